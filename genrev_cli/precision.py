"""Set the precision in which networks compute.

float32 on CUDA means IEEE's 24 bits, or TF32, which rounds the inputs of convolutions and matrix products to 11 bits. torch lets
convolutions use TF32 by default. A round trip through a reversible network then misses its input by 1e-2 instead of 1e-5: both directions
round the same function, but its inputs differ in the last bit. So fp32 means IEEE in genrev, and TF32 has its own name.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from genrev_cli.errors import UsageError
from genrev_cli.settings.schedule import PRECISIONS

_CUDNN: Any = torch.backends.cudnn  # its attributes are made when torch is imported, so a type checker knows none of them

CAUSES = {
    "tf32": "TF32 rounds the inputs of convolutions and matrix products to 11 bits",
    "bf16": "bfloat16 rounds inputs and outputs of convolutions and matrix products to 8 bits",
}
"""Reasons why an inverse is inexact, for each precision but fp32."""


def require_precision(precision: str) -> None:
    """Raise UsageError for a word that is not in PRECISIONS."""
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: choose {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}")


def autocast_in(device: torch.device, precision: str) -> Callable[[], AbstractContextManager]:
    """Return a function that makes the autocast context of `--precision`: convolutions and linear maps in bfloat16 for bf16, else none.

    Raises UsageError like `require_precision`.
    """
    require_precision(precision)
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def allow_tf32(allow: bool) -> None:
    """Let float32 convolutions and matrix products round their inputs to TF32, or not.

    torch has two interfaces for this, and raises when one is read after the other was written. So both are set, to the same value.
    """
    torch.backends.cudnn.allow_tf32 = allow
    torch.set_float32_matmul_precision("high" if allow else "highest")
    for switch in (_CUDNN.conv, _CUDNN.rnn, torch.backends.cuda.matmul):
        switch.fp32_precision = "tf32" if allow else "ieee"


def tf32_allowed() -> bool:
    """Return True if float32 convolutions may use TF32, which is the default of torch."""
    return _CUDNN.conv.fp32_precision == "tf32"


@contextmanager
def ieee_float32() -> Iterator[None]:
    """Compute in IEEE float32 within the block, and as before after it."""
    before = tf32_allowed()
    allow_tf32(False)
    try:
        yield
    finally:
        allow_tf32(before)
