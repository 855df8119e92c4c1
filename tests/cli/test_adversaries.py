"""Adversaries elsewhere: on the codes of an ordinary autoencoder and of a PGA, on the samples of a flow and of a reversible network."""

import json

import pytest
import torch

from genrev_cli import load
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header

FAST = ("--device", "cpu", "--log-every", 1, "--batch", 64)


def logged(out):
    """Return the scalars of the last step in the log."""
    lines = [json.loads(line) for line in out.with_name(out.name + ".run").joinpath("log.jsonl").read_text().splitlines()]
    return next(line for line in reversed(lines) if "grad_norm" in line)


@pytest.fixture
def done(run):
    """Run a command that must succeed."""

    def command(*words):
        code, _, err = run(*words)
        assert code == 0, err
        return err

    return command


def test_an_adversarial_autoencoder_from_its_recipe(chain, done, tmp_path):
    """aae-digits has the tables of both phases, and the second starts from the first's checkpoint."""
    recon, out = tmp_path / "recon.safetensors", tmp_path / "aae.safetensors"
    done("pretrain-recon", "--data", chain / "digits.h5", "--recipe", "aae-digits", "--out", recon, "--steps", 3, *FAST)
    done("train-adversarial", "--ckpt", recon, "--out", out, "--steps", 3, *FAST)
    header = read_checkpoint_header(out)
    assert header.config["recipe"] == "aae-digits"
    assert {"L_D", "L_E", "L_x"} <= logged(out).keys()
    assert logged(out)["L_z"] == 0, "all dimensions are active"
    done("sample", "--ckpt", out, "-n", 4, "--out", tmp_path / "s.h5")


@pytest.mark.parametrize("family", ["aae", "classic"])
def test_an_adversary_fits_any_ordinary_autoencoder(chain, done, run, tmp_path, family):
    """For other images a rule sizes both phases; a checkpoint without the second table gets it from the rule of reversible networks."""
    recon, out = tmp_path / "recon.safetensors", tmp_path / "aae.safetensors"
    words = ("--data", chain / "digits.h5", "--recipe", family, "--size-of-model", "small")
    done("pretrain-recon", *words, "--out", recon, "--steps", 2, *FAST)
    said = done("train-adversarial", "--ckpt", recon, "--out", out, "--steps", 2, *FAST)
    assert ("has no table [train-adversarial]" in said) == (family == "classic")
    assert load(out).network.config["name"] == "dense"


@pytest.mark.parametrize("variant", ["lpga", "vpga", "lvpga"])
def test_pga_with_a_latent_adversary(chain, done, tmp_path, variant):
    """train-adversarial goes on from a PGA's checkpoint: encoder, mean and decoder change; σ(x) has no loss there and stays."""
    pga, out = tmp_path / "pga.safetensors", tmp_path / "adversarial.safetensors"
    done("train-pga", "--data", chain / "digits.h5", "--variant", variant, "--out", pga, "--steps", 3, *FAST)
    said = done("train-adversarial", "--ckpt", pga, "--out", out, "--steps", 3, *FAST)
    assert "has no table [train-adversarial]" in said
    (_, before), (_, after) = read_checkpoint(pga), read_checkpoint(out)
    changed = {name.split(".")[1] for name in after if name in before and not torch.equal(before[name], after[name])}
    assert {"features", "mean", "decoder"} <= changed
    assert "log_variance" not in changed
    assert {"L_D", "L_E"} <= logged(out).keys()
    done("sample", "--ckpt", out, "-n", 4, "--out", tmp_path / "s.h5")


@pytest.mark.parametrize("dims", [4, 64])
def test_a_reversible_generator_draws_part_or_all_of_its_latent(chain, done, tmp_path, dims):
    out = tmp_path / "gan.safetensors"
    words = ("--data", chain / "digits.h5", "--recipe", "revgan-digits", "--dims", dims, "--steps", 2, "--out", out)
    done("train-gan", *words, *FAST)
    model = load(out)
    assert (model.prior.dim, model.network.latent_dim) == (dims, 64)
    done("sample", "--ckpt", out, "-n", 4, "--out", tmp_path / "s.h5")


def test_dims_of_a_checkpoint_are_refused(chain, run, tmp_path):
    code, _, err = run("train-gan", "--ckpt", chain / "recon.safetensors", "--dims", 0, "--out", tmp_path / "g.safetensors")
    assert (code, "--dims 0: does not apply to the codes of a checkpoint" in err) == (2, True)


def test_a_flow_gan_resumes_to_the_bit(chain, done, tmp_path):
    """Its discriminator is in the state: two steps and two more equal four."""
    words = ("train-flow", "--data", chain / "digits.h5", "--weight-adversarial", 0.5, *FAST)
    whole, halves = tmp_path / "whole.safetensors", tmp_path / "halves.safetensors"
    done(*words, "--out", whole, "--steps", 4)
    done(*words, "--out", halves, "--steps", 2)
    done(*words, "--out", halves, "--steps", 4)
    (_, a), (_, b) = read_checkpoint(whole), read_checkpoint(halves)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert {"bits_per_dim", "L_G", "L_D"} <= logged(halves).keys()
    assert not any(name.startswith("D.") for name in a), "a checkpoint has no discriminator"
