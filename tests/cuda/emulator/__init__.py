"""An emulated CUDA device: tensors that say 'cuda:N', keep their numbers on the CPU and behave as on a GPU otherwise.

    runtime.c, driver.c   a CUDA runtime and driver without a device, preloaded into the process
    tensors.py            the tensor, and how an operator is run on it
    record.py             what the device did, each thing with the line that caused it
    generators.py         random numbers
    placement.py          which devices meet in an operator: mix-ups raise as on CUDA
    waits.py              which operators make the host wait for the device, recorded with the line that did it
    rounding.py           TF32: what convolutions and matrix products see where the switches of torch allow it
    kernels.py            operators that exist on CUDA alone, by their formulas
    patches.py            what torch does outside of its operators
    selfcheck.py          whether all of this works with the installed torch
    plugin.py             `pytest -p emulator.plugin`

It shows placement, waits and rounding. It shows nothing of kernels, speed, memory or NCCL.
"""

from emulator.record import RECORD
from emulator.tensors import EmulatedTensor, start, started

__all__ = ["RECORD", "EmulatedTensor", "start", "started"]
