"""How much memory a piece of work takes at its peak, in a process of its own."""

import multiprocessing
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def extra_peak_mb(prepare: Callable[..., Callable[[], Any]], *arguments: Any, device: str = "cpu") -> float:
    """MB (10⁶ bytes) that `prepare(*arguments)()` adds to what the process held when it began; `prepare` itself isn't counted.

    It runs in a fresh process, so that nothing freed earlier is reused unseen. On a CPU it is resident memory, on CUDA what
    PyTorch allocated. prepare: a function at the top of its module, as another process has to find it.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_extra_peak, prepare, arguments, device).result()


def _extra_peak(prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...], device: str) -> float:
    run = prepare(*arguments)
    if device.startswith("cuda"):
        import torch  # only here: it is most of what a process that needs no PyTorch would load

        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    before = _resident("VmRSS")
    run()
    return (_resident("VmHWM") - before) / 1e6


def _resident(field: str) -> int:
    """Bytes: resident now (VmRSS) or at the peak (VmHWM).

    Linux counts a parent's memory into a child's ru_maxrss when it execs, so /proc is asked where there is one. Elsewhere only peaks
    are known, and the peak of the preparations hides as much of the work's.
    """
    if _STATUS.exists():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="utf-8").splitlines())
        return int(lines[field].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
