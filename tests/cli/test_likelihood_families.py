"""Autoencoders with a likelihood (fif) and regularized ones (rae-l2, rae-gp) at the command line: train, go on, and draw samples."""

import json

import pytest

from genrev_cli.cli import main
from genrev_cli.files.checkpoint import read_checkpoint
from genrev_cli.runs.resume import run_folder
from genrev_cli.training.log import read_log

FAST = ["--device", "cpu", "--steps", "2", "--batch", "8", "--log-every", "1"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.h5"
    assert main(["prepare-data", "digits", "--out", str(path)]) == 0
    return path


def proposed(err):
    return err.strip().splitlines()[-1]


def test_an_injective_flow_leads_to_samples_of_its_prior(tmp_path, run, digits):
    out = tmp_path / "fif.safetensors"
    code, _, err = run("pretrain-recon", "--data", digits, "--recipe", "fif", "--out", out, *FAST)
    assert code == 0, err
    assert proposed(err) == f"next: genrev sample --ckpt {out} --grid samples.png"
    header = read_checkpoint(out)[0]
    assert (header.config["recipe"], header.config["method"]["weight_nll"]) == ("fif-digits", 1.0)
    losses = [line for line in read_log(run_folder(out) / "log.jsonl") if line["kind"] == "loss"]
    assert all({"L_x", "L_ml", "agreement"} <= line.keys() for line in losses)
    assert len(losses) == 2
    samples = tmp_path / "samples.h5"
    assert run("sample", "--ckpt", out, "-n", 3, "--out", samples)[0] == 0
    assert samples.exists()


@pytest.mark.parametrize(("family", "weight"), [("rae-l2", "weight_decoder"), ("rae-gp", "weight_gradient")])
def test_a_regularized_autoencoder_leads_to_a_mixture(tmp_path, run, digits, family, weight):
    out, codes, gmm = tmp_path / "rae.safetensors", tmp_path / "codes.h5", tmp_path / "gmm.safetensors"
    words = ["pretrain-recon", "--data", digits, "--recipe", family, "--size-of-model", "small", "--out", out]
    code, _, err = run(*words, *FAST)
    assert code == 0, err
    assert proposed(err) == f"next: genrev encode --ckpt {out}"
    assert read_checkpoint(out)[0].config["method"][weight] > 0
    code, _, err = run("encode", "--ckpt", out, "--out", codes, "--device", "cpu")
    assert proposed(err) == f"next: genrev fit-gmm {codes}"
    code, _, err = run("fit-gmm", codes, "--out", gmm)
    assert proposed(err) == f"next: genrev sample --ckpt {out} --gmm {gmm} --out samples-gmm --grid samples-gmm.png"
    assert run("sample", "--ckpt", out, "--gmm", gmm, "-n", 3, "--out", tmp_path / "samples.h5")[0] == 0


def test_an_option_makes_any_autoencoder_an_injective_flow(tmp_path, run_json, digits):
    """Of a checkpoint without the setting too, as all of earlier versions are."""
    plain, likely = tmp_path / "plain.safetensors", tmp_path / "likely.safetensors"
    run_json("pretrain-recon", "--data", digits, "--recipe", "classic", "--size-of-model", "small", "--out", plain, *FAST)
    run_json("pretrain-recon", "--data", digits, "--init", plain, "--weight-nll", 1, "--image-norm", "l2", "--out", likely, *FAST)
    (before, _), (after, _) = read_checkpoint(plain), read_checkpoint(likely)
    assert (before.config["method"]["weight_nll"], after.config["method"]["weight_nll"]) == (0.0, 1.0)
    assert after.config["model"] == before.config["model"]


@pytest.mark.parametrize("given", [["--compile"], ["--memory", "reversible"]], ids=" ".join)
@pytest.mark.parametrize("weight", ["--weight-nll", "--weight-gradient"])
def test_what_has_no_second_derivatives_is_refused(tmp_path, capsys, digits, given, weight):
    words = ["pretrain-recon", "--data", digits, "--recipe", "grn-digits", weight, "1", "--out", tmp_path / "a.safetensors", *FAST, *given]
    assert main([str(word) for word in words]) == 2
    assert f"{' '.join(given)}: has no derivatives of derivatives, which weight_nll and weight_gradient need" in capsys.readouterr().err


def test_batch_norm_has_no_likelihood(tmp_path, capsys, digits):
    words = ["pretrain-recon", "--data", digits, "--recipe", "rae-l2", "--size-of-model", "small", "--weight-nll", "1", "--dry-run"]
    assert main([str(word) for word in (*words, "--out", tmp_path / "a.safetensors")]) == 2
    assert "weight_nll needs the Jacobian of each image, and batch norm mixes the images" in capsys.readouterr().err


def test_checkpointed_streams_give_the_same_likelihood(tmp_path, run_json, digits):
    """--memory checkpoint recomputes inside of both derivatives."""
    losses = []
    for memory in ("plain", "checkpoint"):
        out = tmp_path / f"{memory}.safetensors"
        run_json("pretrain-recon", "--data", digits, "--recipe", "grn-digits", "--weight-nll", 1, "--memory", memory, "--out", out, *FAST)
        losses.append([line["L_ml"] for line in read_log(run_folder(out) / "log.jsonl") if line["kind"] == "loss"])
    assert losses[0] == losses[1]
    assert len(losses[0]) == 2


def test_five_steps_and_five_more_equal_ten(tmp_path, run_json, digits):
    words = ["pretrain-recon", "--data", digits, "--recipe", "fif-digits", "--device", "cpu", "--batch", "8"]
    straight, broken = tmp_path / "straight.safetensors", tmp_path / "broken.safetensors"
    run_json(*words, "--out", straight, "--steps", 10)
    run_json(*words, "--out", broken, "--steps", 5)
    run_json(*words, "--out", broken, "--steps", 10)
    (_, a), (_, b) = read_checkpoint(straight), read_checkpoint(broken)
    assert a.keys() == b.keys()
    assert all((a[name] == b[name]).all() for name in a)


def test_the_plan_has_the_settings(run_json, digits, tmp_path):
    plan = run_json("pretrain-recon", "--data", digits, "--recipe", "rae-gp", "--out", tmp_path / "a.safetensors", "--dry-run")
    assert (plan["method"]["weight_gradient"], plan["method"]["weight_nll"]) == (1e-3, 0.0)
    assert json.dumps(plan)
