"""Wrong input: one sentence on stderr, nothing on stdout, and the exit code of its kind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextvars import copy_context

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from genrev_cli import cli
from genrev_cli.cli import main
from genrev_cli.errors import lacks_memory


def _truncated(source, target):
    target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    return target


@pytest.fixture
def bad(chain, tmp_path):
    """Unusable files by name."""
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["images"] = np.zeros((2, 1, 8, 8), np.uint8)
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "floats.npy", np.zeros((3, 8, 8, 1)))
    np.savez(tmp_path / "nan.npz", mu=np.full(64, np.nan), sigma=np.eye(64))
    _truncated(chain / "recon.safetensors", tmp_path / "cut.safetensors")
    _truncated(chain / "digits.h5", tmp_path / "cut.h5")
    shutil.copy(chain / "grid.png", tmp_path / "other.png")
    lines = {"key": "leraning_rate = 1", "type": 'lr = "fast"', "negative": "weight_x = -1", "nan": "lr = nan"}
    for name, line in lines.items():
        (tmp_path / f"{name}.toml").write_text((chain / "tiny.toml").read_text().replace("lr = 1e-3", line))
    tiny = (chain / "tiny.toml").read_text()
    for name, (old, new) in {
        "dim": ("dim = 4", "dim = 900"),
        "blocks": ("blocks = 1", "blocks = -1"),
        "word": ("hidden = 8", "hiden = 8"),
    }.items():
        (tmp_path / f"{name}.toml").write_text(tiny.replace(old, new, 1))
    images = tmp_path / "images"
    images.mkdir()
    for i in range(3):
        shutil.copy(chain / "grid.png", images / f"{i}.png")
    assert (
        main(["prepare-data", "folder", "--path", str(images), "--size", "16", "--out", str(tmp_path / "large.h5"), "--test-fraction", "0"])
        == 0
    )
    return tmp_path


CASES = {
    "no such data": (3, "pretrain-recon --data {bad}/none.h5", "no such file"),
    "a checkpoint as data": (3, "pretrain-recon --data {chain}/recon.safetensors", "is a checkpoint or a map, but a .h5 file is needed"),
    "codes as data": (3, "pretrain-recon --data {chain}/codes.h5", "kind 'codes', but 'data' is needed"),
    "foreign HDF5": (3, "pretrain-recon --data {bad}/foreign.h5", "not written by genrev"),
    "truncated HDF5": (3, "pretrain-recon --data {bad}/cut.h5", "truncated"),
    "empty HDF5": (3, "pretrain-recon --data {bad}/empty.h5", "truncated"),
    "a folder as data": (3, "pretrain-recon --data {bad}", "is a folder, but a .h5 file is needed"),
    "no such checkpoint": (3, "sample --ckpt {bad}/none.safetensors", "no such file"),
    "foreign safetensors": (3, "sample --ckpt {bad}/foreign.safetensors", "not written by genrev"),
    "truncated safetensors": (3, "sample --ckpt {bad}/cut.safetensors", "truncated"),
    "text as a checkpoint": (3, "sample --ckpt {bad}/text.safetensors", "not a readable safetensors file"),
    "data as a checkpoint": (3, "sample --ckpt {chain}/digits.h5", "holds prepared images, of prepare-data, but a .safetensors"),
    "a state as a checkpoint": (3, "sample --ckpt {chain}/recon.safetensors.run/state.safetensors", "kind 'state', but"),
    "wrong image size": (3, "encode --ckpt {chain}/recon.safetensors --data {bad}/large.h5", "images are 1×16×16"),
    "wrong size of features": (2, "fid {bad}/large.h5 --ref {chain}/digits.h5 --features pixel --no-cache", "resize one of the two"),
    "unknown recipe": (2, "pretrain-recon --data {chain}/digits.h5 --recipe grn-minst", "did you mean 'grn-mnist'"),
    "bad recipe key": (2, "pretrain-recon --data {chain}/digits.h5 --recipe {bad}/key.toml", "unknown key 'leraning_rate'"),
    "bad recipe value": (2, "pretrain-recon --data {chain}/digits.h5 --recipe {bad}/type.toml", "must be float, not 'fast'"),
    "negative in a recipe": (
        2, "pretrain-recon --data {chain}/digits.h5 --recipe {bad}/negative.toml", "negative.toml [pretrain-recon]: weight_x = -1; must"),
    "not a number in a recipe": (
        2, "pretrain-recon --data {chain}/digits.h5 --recipe {bad}/nan.toml", "nan.toml [pretrain-recon]: lr: must be a finite number"),
    "negative over a recipe": (
        2, "pretrain-recon --data {chain}/digits.h5 --recipe {bad}/negative.toml --weight-x -2", "error: --weight-x -2: must be"),
    "too many dimensions in a recipe": (
        2, "pretrain-recon --data {chain}/digits.h5 --recipe {bad}/dim.toml", "dim.toml [prior]: dim = 900; the latent has 64 dimensions"),
    "too many dimensions": (2, "pretrain-recon --data {chain}/digits.h5 --dims 900", "error: --dims 900: the latent has 64 dimensions"),
    "dimensions of another prior": (
        2, "pretrain-recon --data {chain}/digits.h5 --recipe flow-digits --dims 4", "error: --dims 4: flow-digits [prior] has no key"),
    "impossible network": (2, "pretrain-recon --data {chain}/digits.h5 --recipe {bad}/blocks.toml", "blocks.toml [model]: revnet: Scale("),
    "unknown key of a network": (
        2, "pretrain-recon --data {chain}/digits.h5 --recipe {bad}/word.toml", "word.toml [model]: scales[0]: unknown key 'hiden'; "),
    "no grid": (2, "pretrain-recon --data {chain}/digits.h5 --exact-bits 99", "error: --exact-bits 99: must be 0 (off) or 8 to 22"),
    "no features": (2, "fit-features --data {chain}/digits.h5 --dims 0", "error: --dims 0: must be at least 1"),
    "another variant's setting": (
        2, "train-vae --data {chain}/digits.h5 --weight-penalty 2", "error: --weight-penalty 2: vae-digits [train-vae] has no key"),
    "unknown command": (2, "train-swae", "If a plugin defines it, pass --plugin FILE"),
    "unknown reference": (3, "fid {chain}/samples --ref celebs --features pixel", "give a path or a name: celeba"),
    "reference not prepared": (3, "fid {chain}/samples --ref celeba --features pixel", "genrev prepare-data celeba"),
    "no weights": (3, "fid {chain}/samples --ref {chain}/digits.h5 --weights {bad}/w.pth", "no such file"),
    "no images": (3, "fid {bad}/empty --ref {chain}/digits.h5 --features pixel", "image"),
    "too few images": (2, "fid {chain}/samples --ref {chain}/digits.h5 --features pixel -n 1000", "has only 70 images; pass -n 70 or less"),
    "a folder of photos as data": (
        3, "pretrain-recon --data {bad}/images", "make one with 'genrev prepare-data folder --path {bad}/images --out data/images.h5'"),
    "another tool's option": (2, "sample --ckpt {chain}/recon.safetensors --num-samples 3", "no such option of sample; did you mean -n?"),
    "a misspelt option": (2, "sample --ckpt {chain}/recon.safetensors --tempratur 2", "did you mean --temperature?"),
    "an option of nobody's": (2, "sample --ckpt {chain}/recon.safetensors --xyzzy", "'genrev sample --help' lists the options"),
    "a reference twice": (2, "fid {chain}/samples {chain}/digits.h5 --ref digits --features pixel", "both name the reference"),
    "no reference": (2, "fid {chain}/samples --features pixel", "there is no reference; give it as the second argument or with --ref"),
    "a tracker that is unknown": (2, "pretrain-recon --data {chain}/digits.h5 --tracker mlflow", "choose tensorboard, trackio or wandb"),
    "unknown split": (2, "encode --ckpt {chain}/recon.safetensors --split dev", "dev: choose train, val, test or all"),
    "empty split": (2, "encode --ckpt {chain}/recon.safetensors --split val", "has no images in split 'val'"),
    "unknown source": (2, "prepare-data imagenet", "unknown source of images"),
    "missing source": (3, "prepare-data mnist --path {bad}/none", "--download"),
    "odd number of ends": (2, "interpolate 1 2 3 --ckpt {chain}/recon.safetensors", "they go in pairs"),
    "row out of range": (2, "interpolate 1 999 --ckpt {chain}/recon.safetensors", "has no image 999"),
    "dimension out of range": (2, "traverse --dim 4 --ckpt {chain}/recon.safetensors", "active dimensions 0 to 3"),
    "unknown device": (2, "sample --ckpt {chain}/recon.safetensors --device gpu", "choose auto, cpu, cuda"),
    "unknown option": (2, "sample --ckpt {chain}/recon.safetensors --sed 3", "--sed"),
    "missing option": (2, "sample", "--ckpt is missing: Checkpoint (.safetensors) of a training command, or mnist"),
    "missing argument": (2, "edit --ckpt mnist", "PHOTO... is missing: Pictures of any size"),
    "wrong type": (2, "sample --ckpt {chain}/recon.safetensors -n many", "Invalid value for '-n'"),
    "name of a checkpoint": (2, "pretrain-recon --data {chain}/digits.h5 --out model.pth", "must end in .safetensors"),
    "steps and epochs": (2, "train-adversarial --ckpt {chain}/recon.safetensors --steps 3 --epochs 1", "give one of them"),
    "changed settings": (2, "train-adversarial --ckpt {chain}/recon.safetensors --lr 0.5", "method.lr"),
    "foreign folder as target": (3, "sample --ckpt {chain}/recon.safetensors --out {bad}", "is not a file of kind 'samples'"),
    "input as target": (2, "encode --ckpt {chain}/recon.safetensors --out {chain}/digits.h5", "is an input of the same command"),
    "data as target": (3, "encode --ckpt {chain}/recon.safetensors --out {bad}/large.h5", "is not a file of kind 'codes'"),
    "name of samples": (2, "sample --ckpt {chain}/recon.safetensors --out x.png", "must end in nothing (a folder) or .h5 or .npz"),
    "pixel features with a profile": (2, "fid {chain}/samples --ref digits --features pixel --profile tf", "do not apply"),
    "unknown metric": (2, "fid {chain}/samples --ref digits --features pixel --metrics fid,isc", "choose from fid, kid, prdc, mind"),
    "nothing to score": (2, "fid --ref {chain}/digits.h5 --features pixel", "give samples, or pass a checkpoint with --ckpt"),
    "samples and a checkpoint": (
        2, "fid {chain}/samples --ckpt {chain}/recon.safetensors --ref {chain}/digits.h5 --features pixel", "both name samples to score"),
    "reconstructions of samples": (2, "fid {chain}/samples --ref {chain}/digits.h5 --metrics recon", "give it with --ckpt"),
    "floats as images": (3, "fid {bad}/floats.npy --ref {chain}/digits.h5 --features pixel", "save them as uint8"),
    "statistics that are NaN": (3, "fid {chain}/samples --ref {bad}/nan.npz --features pixel", "'mu' has NaN"),
    "another shape to reconstruct": (
        3, "fid --ckpt {chain}/recon.safetensors --ref {bad}/large.h5 --split train --metrics recon", "images are 1×16×16"),
    "unknown protocol": (2, "fid-ref celebs", "did you mean 'celeba'"),
    "split of a protocol": (2, "fid {chain}/samples --ref mnist --split val --features pixel", "mnist has no such split"),
    "protocol not prepared": (3, "fid-ref mnist", "genrev prepare-data mnist --out data/mnist.h5"),
    "another set under a name": (3, "fid-ref mnist --data {chain}/digits.h5", "its source is digits, not mnist"),
    "statistics over a score": (2, "fid {chain}/samples --ref {chain}/digits.h5 --save-stats x.h5", "must end in .npz"),
    "split of a folder": (2, "fid {chain}/samples --ref {chain}/samples --features pixel --split test", "has no splits"),
    "not a number": (2, "train-adversarial --ckpt {chain}/recon.safetensors --weight-x nan --dry-run", "must be a finite number"),
    "negative weight": (2, "train-adversarial --ckpt {chain}/recon.safetensors --weight-x -1 --dry-run", "-x -1: must be at least 0"),
    "one code in an MMD": (2, "train-vae --data {chain}/digits.h5 --variant wae-mmd --batch 1 --dry-run", "choose a batch of at least 2"),
    "one code in an INN-VAE": (
        2, "pretrain-recon --data {chain}/digits.h5 --weight-mmd 1 --batch 1 --dry-run", "choose a batch of at least 2"),
    "one code to match": (
        2, "train-adversarial --ckpt {chain}/recon.safetensors --matcher mmd --batch 1 --dry-run", "choose a batch of at least 2"),
    "an image of another size": (
        3, "interpolate {chain}/grid.png 1 --as-is --ckpt {chain}/recon.safetensors", "the model takes 8×8 and gray; leave out --as-is"),
    "info of a foreign file": (3, "info {bad}/foreign.h5", "not written by genrev"),
    "info of another kind": (3, "info {bad}/key.toml", "not a kind of file that genrev writes"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "line", "sentence"), CASES.values(), ids=CASES)
def test_error(chain, bad, run, monkeypatch, code, line, sentence):
    monkeypatch.chdir(bad / "empty")
    found, out, err = run(*line.format(chain=chain, bad=bad).split())
    (message,) = [text for text in err.splitlines() if not text.startswith(("genrev: ", "scan", "features")) or "error" in text]
    assert message.startswith("genrev: error: ")
    assert sentence.format(bad=bad) in message
    assert (found, out) == (code, "")
    assert list((bad / "empty").iterdir()) == []  # nothing half-made


def test_a_missing_gpu_is_said_and_not_replaced(chain, run):
    if torch.cuda.device_count() > 9:
        pytest.skip("has a tenth GPU")
    code, out, err = run("sample", "--ckpt", chain / "recon.safetensors", "--device", "cuda:9")
    assert (code, out) == (5, "")
    assert "use --device cpu" in err


def test_debug_gives_the_traceback(run, tmp_path):
    code, _, err = run("info", tmp_path / "none.h5", "--debug")
    assert code == 3
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("genrev: error: ")


@pytest.mark.parametrize("words", [["--peer-timeout", "2.5"], ["--peer-timeout=1", "--peer-timeout", "2.5"], ["--peer-timeout=2.5"]])
@pytest.mark.parametrize("place", [0, 1])
def test_peer_timeout_goes_with_every_command(monkeypatch, words, place):
    seen = []
    monkeypatch.setattr(cli, "_run", lambda words, peer_seconds: seen.append((words, peer_seconds)))
    command = ["info", "a.h5"]
    assert cli.main([*command[:place], *words, *command[place:]]) == 0
    assert seen == [(command, 150.0)]


def test_peer_timeout_is_ten_minutes_unless_it_is_given(monkeypatch):
    seen = []
    monkeypatch.setattr(cli, "_run", lambda words, peer_seconds: seen.append(peer_seconds))
    assert cli.main(["info", "a.h5"]) == 0
    assert seen == [600.0]


@pytest.mark.parametrize("words", [["0"], ["-1"], ["nan"], ["inf"], ["soon"], []])
def test_peer_timeout_is_a_time(run, words):
    code, out, err = run("info", "a.h5", "--peer-timeout", *words)
    assert (code, out) == (2, "")
    assert "a number of minutes above 0 is needed" in err


def test_the_data_must_be_what_the_model_was_trained_on(chain, run, tmp_path):
    copy = tmp_path / "recon.safetensors"
    shutil.copy(chain / "recon.safetensors", copy)
    moved = chain / "digits.moved"
    (chain / "digits.h5").rename(moved)
    try:
        code, _, err = run("encode", "--ckpt", copy, "--out", tmp_path / "c.h5")
        assert code == 3
        assert "does not exist any more; put it beside recon.safetensors, or pass --data" in err
        assert main(["prepare-data", "digits", "--limit", "100", "--out", str(chain / "digits.h5")]) == 0
        code, _, err = run("encode", "--ckpt", copy, "--out", tmp_path / "c.h5")
        assert code == 3
        assert "has changed since" in err
    finally:
        moved.rename(chain / "digits.h5")


def test_an_interrupt_during_an_import_is_reported_as_one(monkeypatch, capsys):
    """Extension modules that are being loaded answer Ctrl-C with an ImportError."""
    from genrev_cli import cli

    def loading(*_, **__):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    monkeypatch.setattr(cli, "_parsed", loading)
    monkeypatch.setattr(cli, "_interrupts", [])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have taken from jobs in the background
    try:
        with pytest.raises(SystemExit) as ended:
            copy_context().run(cli.run)  # nothing of its beginning is to stay
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "genrev: error: interrupted\n"


@pytest.mark.parametrize("words", [["--help"], ["sample", "--help"]])
def test_help_is_the_same_without_docstrings(words):
    """PYTHONOPTIMIZE=2 removes docstrings."""
    said = [
        subprocess.run([sys.executable, *options, "-m", "genrev_cli", *words], capture_output=True, text=True, check=True).stdout
        for options in ([], ["-OO"])
    ]
    assert said[0] == said[1]


def test_a_current_folder_that_is_gone(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert main(["recipes"]) == 3
    finally:
        os.chdir(tmp_path)
    assert "the current folder cannot be read" in capsys.readouterr().err


def test_a_library_that_does_not_fit_into_memory():
    """What the loader says under a small ulimit -v."""
    assert lacks_memory(ImportError("libtorch_cpu.so: failed to map segment from shared object"))
    assert lacks_memory(RuntimeError("could not create a primitive"))
    assert lacks_memory(RuntimeError("could not execute a primitive"))
    assert lacks_memory(RuntimeError("can't start new thread"))
    assert not lacks_memory(RuntimeError("could not create a primitive descriptor for a convolution forward propagation primitive"))
    assert not lacks_memory(ImportError("No module named 'torch'"))
