"""Two processes, as torchrun starts them, give the weights of one with the same global batch."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from genrev_cli.cli import main
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint
from genrev_cli.files.header import Header
from genrev_cli.training.log import read_log

SECONDS = 300

# Within the margin the hinge's gradient with respect to the adversary's last bias is 1 − 1 = 0 up to rounding, of which Adam makes
# whole steps; neither L_D nor any other gradient depends on that bias there.
UNDETERMINED = "module.D.linear3.bias"

# Both stages in one start of the interpreter: importing torch is most of the time.
SCRIPT = f"""
import json, os, sys, time
from genrev_cli.cli import main
for port, words in json.loads(sys.argv[1]):
    os.environ["MASTER_PORT"] = port
    code = main(words)
    if code:
        sys.exit(code)
    for _ in range({10 * SECONDS}):  # the first process may still be writing
        if os.path.exists(words[-1]):
            break
        time.sleep(0.1)
"""


def commands(folder, recipe):
    """pretrain-recon and train-adversarial on `folder`/data.h5; the last word is what they make."""
    common = ["--recipe", recipe, "--device", "cpu", "--steps", "4", "--log-every", "2", "--batch", "8", "--out"]
    return [
        ["pretrain-recon", "--data", f"{folder}/data.h5", *common, f"{folder}/recon.safetensors"],
        ["train-adversarial", "--ckpt", f"{folder}/recon.safetensors", *common, f"{folder}/adversarial.safetensors"],
    ]


def tensors_of(path):
    return read_checkpoint(path)[1]


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def run_processes(size, words):
    """Run commands in so many processes; returns what each printed."""
    plan = json.dumps(list(zip(free_ports(len(words)), words, strict=True)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": str(size)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, plan],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        spoken = [process.communicate(timeout=SECONDS) for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()  # closes its pipes
    for process, (_, stderr) in zip(running, spoken, strict=True):
        assert process.returncode == 0, stderr
    return [stdout for stdout, _ in spoken]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, write_images, recipe):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        write_images(folder / "data.h5")
    assert [main(words) for words in commands(one, recipe)] == [0, 0]
    spoken = run_processes(2, commands(two, recipe))
    assert [stdout.split() for stdout in spoken] == [[words[-1] for words in commands(two, recipe)], []]  # the result once

    for name in ("recon.safetensors", "adversarial.safetensors"):
        (header, mine), (other, theirs) = (read_checkpoint(folder / f"{name}.run" / "state.safetensors") for folder in (one, two))
        assert (header.made_by["processes"], other.made_by["processes"]) == (1, 2)
        for tensor in (tensor for tensor in mine if tensor.startswith("module.") and tensor != UNDETERMINED):
            torch.testing.assert_close(theirs[tensor], mine[tensor], rtol=0, atol=1e-6)
        assert tensors_of(two / name).keys() == tensors_of(one / name).keys()
        for tensor, weights in tensors_of(one / name).items():
            torch.testing.assert_close(tensors_of(two / name)[tensor], weights, rtol=0, atol=1e-6)
        logs = [read_log(folder / f"{name}.run" / "log.jsonl") for folder in (one, two)]
        for a, b in zip(*logs, strict=True):
            assert (a["step"], a["kind"]) == (b["step"], b["kind"])
            for key in ("L_x", "L_z", "L_D", "grad_norm", "l1_restricted"):
                assert abs(a.get(key, 0) - b.get(key, 0)) < 1e-5


@pytest.mark.slow
def test_fit_ot_in_two_processes_equals_one(tmp_path):
    codes = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)).numpy()
    arrays = {"codes": codes, "labels": np.arange(60) % 2, "rows": np.arange(60)}
    with hdf5.writing(tmp_path / "codes.h5", Header("codes", {"latent": "restricted", "dim": 3, "split": "train"}, "")) as writer:
        for name, array in arrays.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    words = ["fit-ot", f"{tmp_path}/codes.h5", "--per-class", "--precision", "fp32", "--device", "cpu", "--out"]
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    assert main([*words, str(one)]) == 0
    spoken = run_processes(2, [[*words, str(two)]])
    assert [stdout.split() for stdout in spoken] == [[str(two)], []]
    for name, tensor in tensors_of(one).items():
        torch.testing.assert_close(tensors_of(two)[name], tensor, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_train_ot_in_two_processes(tmp_path, write_images):
    """The result is told by the process that wrote it, and by no other."""
    recipe = tmp_path / "ot.toml"
    recipe.write_text(
        '[model]\nname = "revnet"\nscales = [{ blocks = 1, hidden = 8 }]\n[prior]\nname = "class-gaussians"\nclasses = 1\n[train-ot]\n'
    )
    words = ["train-ot", "--data", str(write_images(tmp_path / "data.h5")), "--recipe", str(recipe), "--device", "cpu", "--steps", "3"]
    out = tmp_path / "two.safetensors"
    spoken = run_processes(2, [[*words, "--batch", "8", "--out", str(out)]])
    assert [stdout.split() for stdout in spoken] == [[str(out)], []]
    assert read_checkpoint(out)[0].step == 3
