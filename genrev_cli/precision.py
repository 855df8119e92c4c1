"""The precision that networks compute in, set in one place.

float32 on CUDA is two things: IEEE's 24 bits, or TF32, which rounds what convolutions and matrix products read to 11 bits. torch lets
convolutions use TF32 unless told otherwise. A round trip through a reversible network then misses its input by 1e-2 instead of 1e-5:
both directions round the same function, but of inputs that differ in the last bit. So fp32 means IEEE here, and TF32 has its own name.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from genrev_cli.errors import UsageError
from genrev_cli.settings.schedule import PRECISIONS

CAUSES = {
    "tf32": "TF32 rounds what convolutions and matrix products read to 11 bits",
    "bf16": "bfloat16 rounds what convolutions and matrix products read and give to 8 bits",
}
"""Why an inverse is inexact in each of the others."""


def require_precision(precision: str) -> None:
    """Raise UsageError for another word than those of PRECISIONS."""
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: choose {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}")


def autocast_in(device: torch.device, precision: str) -> Callable[[], AbstractContextManager]:
    """Return what makes the autocast context of `--precision`: convolutions and linear maps in bfloat16 for bf16, no change for others.

    Raises UsageError like `require_precision`.
    """
    require_precision(precision)
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def allow_tf32(allow: bool) -> None:
    """Let float32 convolutions and matrix products round what they read to TF32, or not, whatever the process had set before.

    torch has two interfaces for this and refuses to read one after the other was written, so both are set, and to the same.
    """
    torch.backends.cudnn.allow_tf32 = allow
    torch.set_float32_matmul_precision("high" if allow else "highest")
    for switch in (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul):
        switch.fp32_precision = "tf32" if allow else "ieee"


def tf32_allowed() -> bool:
    """Return True where float32 convolutions may use TF32, as a process may that has set nothing."""
    return torch.backends.cudnn.conv.fp32_precision == "tf32"


@contextmanager
def ieee_float32() -> Iterator[None]:
    """Compute in IEEE float32 within the block, and as before behind it."""
    before = tf32_allowed()
    allow_tf32(False)
    try:
        yield
    finally:
        allow_tf32(before)
