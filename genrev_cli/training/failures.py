"""Explain errors of torch's communication between processes: out of memory, a lost process, an error of NCCL, or a bug of genrev."""

import re

import torch
import torch.distributed as dist

from genrev_cli.errors import LostProcessError, UnavailableError, lacks_memory

GOES_ON = "the same command goes on from the last state that was saved, if it saves any"

_SOURCE = re.compile(r"^(\[[^\]]*\.\w+:\d+\] *|NCCL error in: *\S+:\d+, *)")
"""The place in the source of torch or gloo that comes first in their errors."""

_PLACE = re.compile(r"\[?/[^\s\]]*\.\w+:\d+\]? *")
"""A place in the source anywhere else in an error, as when torch puts its own words before those of gloo."""

_GLOO = re.compile(r"\bgloo/|caused pair closure|connection (closed|reset)|broken pipe", re.IGNORECASE)
"""What gloo says when another process is gone or does not answer. Its errors have no type of their own."""

_NCCL = re.compile(
    r"connection (was )?(closed|reset|refused|timed out)|broken pipe|no route to host|network is unreachable"
    r"|remote process exit|ncclRemoteError|communicator was aborted|timed? ?out|wait timeout",
    re.IGNORECASE,
)
"""What NCCL says in the same cases."""


def meaning_of(error: RuntimeError, rank: int, size: int) -> Exception:
    """Return the error to raise instead of one that a collective raised in process `rank` of `size`.

    It is an error that `lacks_memory` recognises when NCCL is out of memory; a LostProcessError when another process is gone or does not
    answer; an UnavailableError for any other error of NCCL; else the error itself.
    """
    text = str(error)
    backend = isinstance(error, dist.DistBackendError)
    if backend and (lacks_memory(error) or re.search(r"Cuda failure 2\b", text)):
        return torch.OutOfMemoryError(f"out of memory on process {rank} of {size}: {_last_words(text)}")
    if isinstance(error, dist.DistNetworkError | dist.DistStoreError) or (_NCCL if backend else _GLOO).search(text):
        return LostProcessError(
            f"process {rank} of {size} has lost the others: one of them has ended, or cannot be reached ({first_words(text)}); {GOES_ON}"
        )
    if backend:
        return UnavailableError(f"NCCL failed on process {rank} of {size}: {_last_words(text)}; NCCL_DEBUG=WARN says more")
    return error


def first_words(text: str) -> str:
    """Return the first sentence of an error, without its place in the source, its advice and its symbols."""
    line = _SOURCE.sub("", text.strip().partition("\n")[0])
    line = _PLACE.sub("", line)
    return re.sub(r"[^\x20-\x7e]", "", line.partition(". ")[0]).strip().rstrip(".")


def _last_words(text: str) -> str:
    """Return the first sentence of an NCCL error, with the last error that NCCL reports as its cause."""
    _, _, last = text.partition("Last error:")
    cause = first_words(last)
    return f"{first_words(text)} ({cause})" if cause else first_words(text)
