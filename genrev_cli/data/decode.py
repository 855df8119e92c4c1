"""Many image files through a function on all cores: in order, with bounded memory, and without leaving a process behind.

Processes, not threads: on two cores 6,000 CelebA files took 5.8 s serially, 4.7 s in two threads (Pillow holds the
interpreter's lock for too much of a small image) and 3.0 s in two processes, their start included. They are spawned,
because forking a process in which torch has started threads can hang.
"""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genrev_cli.data.container import Container, Read
from genrev_cli.data.pixels import DamagedImage
from genrev_cli.data.source import Block, Damage, Source, images_per_block
from genrev_cli.errors import FileError, UnavailableError
from genrev_cli.invocation import cores

_CHUNK = 32  # images that a process is given at once
_SERIAL = 128  # so few are done before a process has started

Work = Callable[[bytes], Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one file: `value` and the sha256 of its bytes; or the `reason` why it is damaged."""

    value: Any = None
    sha256: str = ""
    reason: str = ""


def run(container: Container, names: Sequence[str], work: Work, workers: int, chunk: int = _CHUNK) -> Iterator[list[Outcome]]:
    """`work` on the bytes of each file, in the order of `names`, at most `chunk` at a time.

    work: picklable; raises DamagedImage. workers: processes, 0 for one per core; few files are done in this one.

    Raises FileError when the container cannot be opened, UnavailableError when a process dies.
    """
    chunks = (names[start : start + chunk] for start in range(0, len(names), chunk))
    workers = workers or cores()
    if workers == 1 or len(names) < _SERIAL:
        try:
            with container.reader() as read:
                for some in chunks:
                    yield [_one(read, work, name) for name in some]
        except OSError as error:
            raise FileError(f"{container.path}: cannot be read ({error})") from error
        return
    with closing(_in_processes(container, chunks, work, workers)) as outcomes:
        yield from outcomes


def _in_processes(container: Container, chunks: Iterator[Sequence[str]], work: Work, workers: int) -> Iterator[list[Outcome]]:
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (container, work))
    pending: deque[Future[list[Outcome]]] = deque()
    try:
        for some in chunks:
            pending.append(executor.submit(_work_on, some))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise UnavailableError(f"{container.path}: a decoding process died, perhaps for want of memory; try --workers 1") from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _one(read: Read, work: Work, name: str) -> Outcome:
    try:
        data = read(name)
    except Exception as error:  # zipfile and zlib raise half a dozen kinds of error on a broken entry
        return Outcome(reason=str(error) or type(error).__name__)
    try:
        return Outcome(work(data), hashlib.sha256(data).hexdigest())
    except DamagedImage as error:
        return Outcome(reason=str(error))


_worker: dict[str, Any] = {}
"""In a decoding process: its open container and the work; empty in every other."""


def _start_worker(container: Container, work: Work) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops us
    threading.Thread(target=_die_with_parent, daemon=True).start()
    stack = ExitStack()  # kept: a collected reader would close its archive
    _worker.update(stack=stack, read=stack.enter_context(container.reader()), work=work)


def _die_with_parent() -> None:
    """A parent that was killed stops nobody, and its workers would wait for work forever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _work_on(names: Sequence[str]) -> list[Outcome]:
    return [_one(_worker["read"], _worker["work"], name) for name in names]


@dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """Images that come as files. work: bytes → (C, H, W) uint8, as for `run`."""

    container: Container
    names: Sequence[str]
    work: Work
    workers: int
    _sums: list[str] = field(default_factory=list)

    def blocks(self) -> Iterator[Block]:
        """All images in order, decoded by `workers` processes."""
        self._sums.clear()
        chunk = min(_CHUNK, images_per_block(self.image_shape))
        with closing(run(self.container, self.names, self.work, self.workers, chunk)) as chunks:
            done = 0
            for outcomes in chunks:
                yield self._block(done, outcomes)
                done += len(outcomes)

    def _block(self, start: int, outcomes: list[Outcome]) -> Block:
        good, damaged = [], []
        for row, outcome in enumerate(outcomes, start):
            name, reason = self.names[row], outcome.reason or self._wrong_shape(outcome.value)
            if reason:
                damaged.append(Damage(self.container.where(name), name, reason))
            else:
                good.append(row)
                self._sums.append(f"{outcome.sha256}  {name}\n")
        pixels = [outcomes[row - start].value for row in good]
        return Block(np.array(good, np.int64), np.stack(pixels) if good else np.empty((0, *self.image_shape), np.uint8), damaged)

    def _wrong_shape(self, pixels: np.ndarray) -> str:
        """Why these do not fit the others: a file changed meanwhile, or its header told another size."""
        return "" if pixels.shape == self.image_shape else f"its shape is {pixels.shape}, where {self.image_shape} was expected"

    def checksums(self) -> dict[str, str]:
        """sha256 over the lines 'sha256  name' of all files read: the same for a folder and a zip of it."""
        return {"files_sha256": hashlib.sha256("".join(self._sums).encode(errors="surrogateescape")).hexdigest()}
