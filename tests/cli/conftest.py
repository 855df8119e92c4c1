import json

import pytest

from genrev_cli.cli import main


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A folder in which every stage ran once, on digits and a network that trains in a second."""
    folder = tmp_path_factory.mktemp("chain")
    recipe = folder / "tiny.toml"
    recipe.write_text(
        '[model]\nname = "revnet"\nscales = [{ blocks = 1, hidden = 8 }, { blocks = 1, hidden = 8 }]\n'
        '[prior]\nname = "active-gaussian"\ndim = 4\n'
        "[pretrain-recon]\nlr = 1e-3\nbatch = 64\nsteps = 6\n"
        "[train-adversarial]\nprior_samples = 64\nhidden = [8, 8]\nbatch = 64\nsteps = 6\n"
    )

    def run(*words):
        assert main([str(word) for word in words]) == 0

    data, recon, model = folder / "digits.h5", folder / "recon.safetensors", folder / "adversarial.safetensors"
    run("prepare-data", "digits", "--out", data)
    run("pretrain-recon", "--data", data, "--recipe", recipe, "--out", recon, "--device", "cpu", "--log-every", 2)
    run("train-adversarial", "--ckpt", recon, "--device", "cpu", "--log-every", 2)
    run("encode", "--ckpt", model, "--out", folder / "codes.h5")
    run("sample", "--ckpt", model, "-n", 70, "--out", folder / "samples", "--grid", folder / "grid.png")
    run("reconstruct", "--ckpt", model, "--out", folder / "reconstructions.png")
    run("interpolate", "--ckpt", model, "--out", folder / "interpolations.png")
    run("traverse", "--ckpt", model, "--out", folder / "traversals.png", "--around", 0)
    run("fid", folder / "samples", "--ref", data, "--features", "pixel", "--out", folder / "fid.json", "--no-cache")
    return folder


@pytest.fixture
def run(capsys):
    """Run a command: its exit code, stdout and stderr."""

    def command(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture
def run_json(run):
    """Run a command with --json: its result."""

    def command(*words):
        code, out, err = run(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    return command
