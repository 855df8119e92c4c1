"""fp32 is IEEE float32 whatever the process had set before; TF32 is used only on request."""

import subprocess
import sys

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.metrics.features import NetworkExtractor
from genrev_cli.precision import PRECISIONS, allow_tf32, autocast_in, ieee_float32, require_precision, tf32_allowed

BEFORE = {
    "nothing": "",
    "the old interface, convolutions": "torch.backends.cudnn.allow_tf32 = {}",
    "the old interface, matrix products": "torch.backends.cuda.matmul.allow_tf32 = {}",
    "the new interface, everything": "torch.backends.fp32_precision = 'tf32'",
    "the new interface, cuDNN": "torch.backends.cudnn.fp32_precision = 'tf32'",
    "the new interface, convolutions": "torch.backends.cudnn.conv.fp32_precision = 'tf32'",
    "the new interface, recurrent networks": "torch.backends.cudnn.rnn.fp32_precision = 'ieee'",
    "the new interface, matrix products": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "torch.set_float32_matmul_precision": "torch.set_float32_matmul_precision('medium')",
}

SEEN = """
import sys, torch
from genrev_cli.precision import allow_tf32, tf32_allowed
for before in sys.argv[1:]:
    exec(before)
    for allow in (True, False):
        allow_tf32(allow)
        switches = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul)
        assert {switch.fp32_precision for switch in switches} == {"tf32" if allow else "ieee"}, (before, allow)
        # other libraries read the old interface, and torch raises when the two interfaces differ
        assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == tf32_allowed() == allow, (before, allow)
        assert torch.get_float32_matmul_precision() == ("high" if allow else "highest"), (before, allow)
"""


@pytest.fixture(autouse=True)
def restored():
    before = tf32_allowed()
    yield
    allow_tf32(before)


@pytest.mark.parametrize("override", ["0", "1"])
def test_the_switches_are_set_whatever_they_were_before(override):
    """This runs in a separate process, because some switches cannot be reset."""
    lines = [line.format(value) for line in BEFORE.values() for value in (True, False)]
    environment = {"PATH": "", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": override, "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", SEEN, *lines], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("before", [True, False])
def test_a_block_in_ieee_float32_leaves_things_as_they_were(before):
    allow_tf32(before)
    with pytest.raises(KeyError), ieee_float32():
        assert not tf32_allowed()
        raise KeyError
    assert tf32_allowed() == before


def test_features_are_made_in_ieee_float32_by_a_run_in_tf32():
    seen = []

    def network(pixels):
        seen.append(tf32_allowed())
        return pixels.float().flatten(1)

    extractor = NetworkExtractor(
        network, name="n", label="FD", kernel_label="KD", dims=4, layer="", weights_sha256="", image_shape=(1, 2, 2)
    )
    allow_tf32(True)
    extractor(torch.zeros(3, 1, 2, 2, dtype=torch.uint8))
    assert seen == [False]
    assert tf32_allowed()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_bf16_casts(precision):
    with autocast_in(torch.device("cpu"), precision)():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)


@pytest.mark.parametrize("use", [require_precision, lambda word: autocast_in(torch.device("cpu"), word)])
def test_other_words_are_refused(use):
    with pytest.raises(UsageError, match="--precision fp16: choose fp32, tf32 or bf16"):
        use("fp16")
