"""Measure the peak memory of a piece of work in its own process."""

import multiprocessing
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def extra_peak_mb(prepare: Callable[..., Callable[[], Any]], *arguments: Any, device: str = "cpu") -> float:
    """Return the MB (10⁶ bytes) that `prepare(*arguments)()` adds at its peak. What `prepare` itself allocates is not counted.

    It runs in a fresh process, because reuse of freed memory would hide some of it. On a CPU this is resident memory, on CUDA the
    memory allocated by PyTorch. prepare: a function at the top level of its module, so that another process can import it.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_extra_peak, prepare, arguments, device).result()


def _extra_peak(prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...], device: str) -> float:
    run = prepare(*arguments)
    if device.startswith("cuda"):
        import torch  # imported here because it would be most of the memory of a process that needs no PyTorch

        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    before = _resident("VmRSS")
    run()
    return (_resident("VmHWM") - before) / 1e6


def _resident(field: str) -> int:
    """Return bytes of resident memory, now (VmRSS) or at the peak (VmHWM).

    On Linux it reads /proc, because ru_maxrss of a child includes its parent's memory after exec. Other systems know only the peak, so
    the result is too small by the peak of the preparation.
    """
    if _STATUS.exists():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="utf-8").splitlines())
        return int(lines[field].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
