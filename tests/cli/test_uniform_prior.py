"""The uniform prior of Schirrmeister et al. 2018, footnote 1, through a whole chain of commands."""

import numpy as np
import pytest
import torch

from genrev_cli import load
from genrev_cli.cli import main
from genrev_cli.files.codes import open_codes

BOUND = 0.5


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder with digits and a checkpoint whose prior is uniform in ±0.5."""
    folder = tmp_path_factory.mktemp("uniform")
    recipe = folder / "uniform.toml"
    recipe.write_text(
        '[model]\nname = "revnet"\nscales = [{ blocks = 1, hidden = 8 }, { blocks = 1, hidden = 8 }]\n'
        f'[prior]\nname = "active-uniform"\ndim = 4\nbound = {BOUND}\n'
        "[pretrain-recon]\nlr = 1e-3\nweight_mmd = 1.0\nbatch = 64\nsteps = 4\n"
        "[train-adversarial]\nprior_samples = 64\nhidden = [8, 8]\nbatch = 64\nsteps = 4\n"
    )
    for words in (
        ("prepare-data", "digits", "--out", folder / "digits.h5"),
        ("pretrain-recon", "--data", folder / "digits.h5", "--recipe", recipe, "--out", folder / "recon.safetensors", "--device", "cpu"),
    ):
        assert main([str(word) for word in words]) == 0
    return folder


@pytest.mark.parametrize("matcher", ["adversary", "mmd", "sliced", "ot"])
def test_every_matcher_trains_and_samples(pretrained, run, tmp_path, matcher):
    """All samples lie in the box; with a temperature, in a smaller one."""
    out = tmp_path / "m.safetensors"
    words = ("train-adversarial", "--ckpt", pretrained / "recon.safetensors", "--matcher", matcher, "--out", out, "--device", "cpu")
    code, _, err = run(*words)
    assert code == 0, err
    prior = load(out).prior
    assert prior.config["name"] == "active-uniform"
    y = prior.sample_numbered(0, range(500))
    assert 0.9 * BOUND < y.abs().max() <= BOUND
    assert torch.equal(prior.sample_numbered(0, range(500), 0.5), 0.5 * y)
    code, _, err = run("sample", "--ckpt", out, "-n", 8, "--temperature", 0.5, "--out", tmp_path / "s.h5")
    assert code == 0, err


def test_codes_are_clamped_to_the_box(pretrained, run, tmp_path):
    assert run("encode", "--ckpt", pretrained / "recon.safetensors", "--out", tmp_path / "codes.h5")[0] == 0
    y = open_codes(tmp_path / "codes.h5").codes
    assert np.abs(y).max() <= BOUND


def test_a_traversal_ends_where_the_prior_ends(pretrained, run, run_json, tmp_path):
    """Its default extent of 3 standard deviations would leave the box, which ends at √3 of them."""
    words = ("traverse", "--ckpt", pretrained / "recon.safetensors", "--out", tmp_path / "t.png", "--count", 2)
    code, _, err = run(*words)
    assert (code, "ends 1.73 standard deviations from its mean, so the rows end there" in err) == (0, True)
    assert run_json(*words)["extent"] == pytest.approx(3**0.5)
    code, _, err = run(*words, "--extent", 1.5)
    assert (code, "rows end there" in err) == (0, False)
