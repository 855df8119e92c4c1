"""Every kind of autoencoder goes through every command unchanged."""

import json

import pytest

from genrev_cli.cli import main
from genrev_cli.models import MODELS

TABLES = {
    "revnet": 'name = "revnet"\nscales = [{ blocks = 1, hidden = 4 }]',
    "inn": 'name = "inn"\nlevels = [{ couplings = 1, hidden = 4 }]\nhidden_dense = 4',
    "dense": 'name = "dense"\nhidden = [8]',
    "convolutional": 'name = "convolutional"\nstages = [{ channels = 4 }, { channels = 4, pool = true }]',
    "strided": 'name = "strided"\nchannels = [4, 4]\nvariational = true',
    "residual": 'name = "residual"\nwidth = 2',
    "infogan": 'name = "infogan"\nwidth = 2',
    "sngan": 'name = "sngan"\nwidth = 2',
    "sngan-resnet": 'name = "sngan-resnet"\nwidth = 2',
    "dcgan": 'name = "dcgan"\nwidth = 4\nstages = 2',
    "wgan-resnet": 'name = "wgan-resnet"\nchannels = [8, 4, 4]',
}
RECIPE = """
[model]
{model}
[prior]
name = "active-gaussian"
dim = 3
bound = 0.0
choose = "first"
[pretrain-recon]
lr = 1e-3
weight_mmd = 1.0
batch = 8
steps = 2
[train-adversarial]
prior_samples = 8
hidden = [4, 4]
batch = 8
steps = 2
"""


@pytest.mark.parametrize(("stage", "prior"), [("train-flow", "diagonal-gaussian"), ("train-pga", "active-gaussian")])
def test_a_reversible_network_may_be_exact_to_the_bit_in_any_stage(tmp_path, data, capsys, stage, prior):
    recipe, model = tmp_path / "r.toml", tmp_path / "model.safetensors"
    dim = "dim = 3" if prior == "active-gaussian" else ""
    recipe.write_text(f'[model]\n{TABLES["revnet"]}\n[prior]\nname = "{prior}"\n{dim}\n[{stage}]\nbatch = 8\nsteps = 3\n')
    words = [stage, "--data", data, "--recipe", recipe, "--exact-bits", 16, "--out", model, "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    capsys.readouterr()
    assert main(["reconstruct", "--ckpt", str(model), "--out", str(tmp_path / "rows.png"), "--verify-exact", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["exact_bits"], found["images_differing"], found["exact_error"]) == (16, 0, 0)


@pytest.mark.parametrize("name", MODELS)
def test_the_whole_chain(tmp_path, data, name, capsys):
    recipe, recon, model = tmp_path / "r.toml", tmp_path / "recon.safetensors", tmp_path / "adversarial.safetensors"
    recipe.write_text(RECIPE.format(model=TABLES[name]))
    commands = [
        ("pretrain-recon", "--data", data, "--recipe", recipe, "--out", recon, "--device", "cpu"),
        ("train-adversarial", "--ckpt", recon, "--out", model, "--device", "cpu"),
        ("encode", "--ckpt", model, "--out", tmp_path / "codes.h5"),
        ("sample", "--ckpt", model, "-n", 12, "--out", tmp_path / "samples.h5", "--grid", tmp_path / "grid.png"),
        ("reconstruct", "--ckpt", model, "--out", tmp_path / "rows.png"),
        ("interpolate", "--ckpt", model, "--out", tmp_path / "between.png", "--split", "train"),
        ("traverse", "--ckpt", model, "--out", tmp_path / "along.png"),
        ("fid", tmp_path / "samples.h5", "--ref", data, "--split", "train", "--features", "pixel", "--out", tmp_path / "fid.json"),
        ("fid", "--ckpt", model, "--ref", data, "--metrics", "recon", "--out", tmp_path / "recon.json", "--json"),
        ("report", model, tmp_path / "fid.json", tmp_path / "codes.h5", tmp_path / "rows.png", "--out", tmp_path / "report.html"),
    ]
    for words in commands:
        code, (out, err) = main([str(word) for word in words]), capsys.readouterr()
        assert code == 0, err
        if "--json" in words:
            assert json.loads(out)["metric"] == "L1"
    assert (tmp_path / "report.html").stat().st_size > 10_000
