"""genrev train-gan, from an autoencoder to samples, and what it says to contradictions."""

import json

import pytest

from genrev_cli.cli import main
from genrev_cli.scoring import latent_planes

pytestmark = pytest.mark.usefixtures("coarse_maps")


@pytest.fixture(scope="module")
def trained(chain):
    """The chain's digits with an autoencoder, its map, and the GAN from both."""
    recipe = chain / "gan.toml"
    recipe.write_text(
        '[model]\nname = "infogan"\nwidth = 4\n[prior]\nname = "active-gaussian"\ndim = 3\nbound = 0.0\nchoose = "first"\n'
        "[pretrain-recon]\nbatch = 64\nsteps = 4\n[train-gan]\nweight_content = 1.0\nweight_feature = 0.1\nbatch = 32\nsteps = 3\n"
    )
    ae, codes, ot = (chain / name for name in ("ae.safetensors", "ae-codes.h5", "ae-ot.safetensors"))
    for words in (
        ["pretrain-recon", "--data", chain / "digits.h5", "--recipe", recipe, "--out", ae, "--device", "cpu"],
        ["encode", "--ckpt", ae, "--out", codes],
        ["fit-ot", codes, "--target-error", 0.5, "--out", ot],
        ["train-gan", "--ckpt", ae, "--ot", ot, "--loss", "hinge-sn", "--latent", "ot", "--device", "cpu"],
    ):
        assert main([str(word) for word in words]) == 0
    return chain


def test_every_command_takes_the_checkpoint_of_a_gan(trained, run, tmp_path, monkeypatch):
    monkeypatch.setattr(latent_planes, "POINTS", 100)
    gan, ot, ae = trained / "gan.safetensors", trained / "ae-ot.safetensors", trained / "ae.safetensors"
    for words in (
        ["sample", "--ckpt", gan, "--ot", ot, "-n", 5, "--out", tmp_path / "s.h5"],
        ["interpolate", "--ckpt", gan, "--ot", ot, "--out", tmp_path / "i.png"],
        ["reconstruct", "--ckpt", gan, "--out", tmp_path / "r.png"],
        ["fid", "--ckpt", gan, "--ot", ot, "-n", 40, "--ref", trained / "digits.h5", "--features", "pixel", "--out", tmp_path / "f.json"],
        ["compare", f"{ae}+{ot}", f"{gan}+{ot}", "-n", 40, "--features", "pixel", "--out", tmp_path / "c.html"],
        ["report", gan, ae, ot, trained / "ae-codes.h5", tmp_path / "f.json", "--out", tmp_path / "page.html"],
        ["info", gan],
    ):
        code, out, err = run(*words)
        assert code == 0, err
        assert out
    assert "codes drawn from ae-ot.safetensors" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("given", "kept"), [("0.5", 0.5), ("0.1,0.2,0,0.4", [0.1, 0.2, 0, 0.4])])
def test_feature_weights_are_one_number_or_one_for_each_layer(trained, run, tmp_path, given, kept):
    """A single number stays a number, so that runs of earlier versions go on."""
    words = ("--ckpt", trained / "ae.safetensors", "--weight-feature", given, "--out", tmp_path / "x.safetensors", "--dry-run", "--json")
    code, out, err = run("train-gan", *words)
    assert code == 0, err
    assert json.loads(out)["method"]["weight_feature"] == kept


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--latent", "gaussian", "--ot", "ae-ot.safetensors"], "contradicts --ot"),
        (["--latent", "ot"], "needs --ot FILE; 'genrev fit-ot' makes one"),
        (["--latent", "uniform"], "uniform: choose ot, flow or gaussian"),
        (["--latent", "flow", "--ot", "ae-ot.safetensors"], "--latent flow: needs --flow FILE; 'genrev fit-flow' makes one"),
        (["--flow", "ae-ot.safetensors", "--ot", "ae-ot.safetensors"], "both say what codes are drawn from; choose one with --latent"),
        (
            ["--weight-feature", "1,2", "--ot", "ae-ot.safetensors"],
            "weight_feature: has 2 weights, and the encoder of 'infogan' has 4 layers",
        ),
        (["--weight-feature", "1,x", "--ot", "ae-ot.safetensors"], "--weight-feature 1,x: must be numbers with commas between them"),
        (["--loss", "lsgan", "--ot", "ae-ot.safetensors"], "lsgan: choose vanilla, hinge-sn"),
    ],
)
def test_contradictions(trained, run, tmp_path, words, said):
    words = [trained / word if word.endswith("safetensors") else word for word in words]
    code, out, err = run("train-gan", "--ckpt", trained / "ae.safetensors", "--out", tmp_path / "x.safetensors", *words)
    assert (code, out) == (2, "")
    assert said in err
