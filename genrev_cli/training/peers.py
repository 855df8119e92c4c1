"""Detect that a process of the run is dead or stuck, and end this process with one sentence.

Every process has two threads beside the main one. The first communicates with the rendezvous store: it writes a heartbeat, a number that
grows, and reads those of the others. The second judges what the first has read. It does not communicate, so nothing can block it.
The main thread marks where it waits for the others or for its device (`waiting`).
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch.distributed as dist

from genrev_cli.errors import LostProcessError
from genrev_cli.training.failures import GOES_ON

GRACE = 5.0
"""Seconds that the main thread gets to report a fault before the watcher does: it often knows more."""

STORE_SECONDS = 2.0
"""Seconds that the store may take to tell which process failed first."""

LAST_WORDS = 5.0
"""Seconds that rank 0 waits, after its own error, for the errors of the others."""

LEFT, FAILED = b"left", b"failed"
"""The last beat of a process that has finished, and of one that has ended with an error."""

_open: set[object] = set()
"""A mark for each `waiting` block that a thread is in."""


@contextmanager
def waiting() -> Iterator[None]:
    """Mark a block in which the thread waits for other processes or for its device."""
    mark = object()
    _open.add(mark)
    try:
        yield
    finally:
        _open.discard(mark)


@dataclass
class Heard:
    """Answers of the store so far. rounds: their number. beats: the last beat of each process. gone: the store has ended."""

    rounds: int = 0
    beats: list[bytes] = field(default_factory=list)
    gone: bool = False


class Judge:
    """Decides whether this process may go on. It adds up the time between its own checks, so a process that was suspended blames no other.

    patience: seconds without a beat after which a process counts as lost. agent: True if torchrun keeps the store; else process 0 does.
    """

    def __init__(self, *, rank: int, size: int, patience: float, agent: bool) -> None:
        self.rank, self.size, self.patience, self.agent = rank, size, patience, agent
        self._silent = [0.0] * size
        self._beats: list[bytes] = [b""] * size
        self._rounds, self._unanswered, self._gone = 0, 0.0, 0.0
        self._waits: dict[object, float] = {}
        self._limit = f"{patience:g} seconds" if patience < 120 else f"{patience / 60:g} minutes"

    @property
    def keeps_store(self) -> bool:
        """True if the store ends with this process."""
        return self.rank == 0 and not self.agent

    def look(self, seconds: float, heard: Heard, waits: Iterable[object]) -> str:
        """Return why this process has to end, as a sentence; '' while it may go on. seconds: time since the last check."""
        self._count(seconds, heard, waits)
        why = self._reason(max(self._waits.values(), default=0.0))
        return why and f"{why}; {GOES_ON}"

    def _reason(self, stuck: float) -> str:
        """Return the reason to end; '' if there is none. stuck: the longest time that a thread of this process has waited, in seconds."""
        store = "the rendezvous store of torchrun" if self.agent else f"process 0 of {self.size}"
        if self._gone > GRACE and (self.agent or stuck > GRACE):  # process 0 may have finished, and its store with it
            return f"{store} has ended"
        if self._unanswered > self.patience:
            return self._mute(store)
        for number, beat in enumerate(self._beats):
            if beat == FAILED and stuck > GRACE:
                return f"process {number} of {self.size} has ended with an error"
            if self._silent[number] > self.patience:
                return self._mute(f"process {number} of {self.size}")
        if stuck > self.patience + GRACE:
            return f"process {self.rank} of {self.size} has waited {self._limit} for the others or its device (--peer-timeout)"
        return ""

    def _mute(self, who: str) -> str:
        return f"{who} has not answered for {self._limit} (--peer-timeout)"

    def _count(self, seconds: float, heard: Heard, waits: Iterable[object]) -> None:
        """Add up how long each wait lasts, how long the store has not answered, and how long each beat has not changed."""
        self._waits = {mark: self._waits.get(mark, 0.0) + seconds for mark in waits}
        self._gone = self._gone + seconds if heard.gone else 0.0
        self._unanswered = 0.0 if heard.gone else self._unanswered + seconds
        if heard.rounds == self._rounds:
            return
        for number, beat in enumerate(heard.beats):
            same = beat == self._beats[number] and beat not in (LEFT, FAILED) and number != self.rank
            self._silent[number] = self._silent[number] + self._unanswered if same else 0.0
        self._rounds, self._beats, self._unanswered = heard.rounds, heard.beats, 0.0


class Watcher:
    """Watches the processes of a run from `start` to `stop`, and ends this process with exit code 6 when the judge says so."""

    def __init__(self, store: dist.Store, judge: Judge, tell: Callable[[str], None]) -> None:
        self.judge, self.tell = judge, tell
        self._store = store.clone()  # its own connection: on a shared one, a slow answer blocks all others
        self._store.set_timeout(timedelta(seconds=longer_than(judge.patience)))  # longer than the judge waits
        self._store.set(_key(judge.rank), "0")  # to read the beats, each process must have written one
        self._interval = min(5.0, judge.patience / 10)
        self._heard = Heard()
        self._stopped, self._ending = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=task, daemon=True, name="genrev-peers") for task in (self._beat, self._look)]

    def start(self) -> None:
        """Start the threads; all processes must have found the store."""
        for thread in self._threads:
            thread.start()

    def stop(self, last: bytes) -> None:
        """Stop watching, and write `last` (LEFT or FAILED) for the others. This does not return if the watcher already ends the process."""
        with self._ending:
            if self._stopped.is_set():
                return
            self._stopped.set()
        self._threads[0].join(STORE_SECONDS)  # its next beat would overwrite the last one
        within(STORE_SECONDS, lambda: self._store.set(_key(self.judge.rank), last.decode()))

    def _beat(self) -> None:
        """Write a beat and read those of the others, in regular intervals."""
        keys, number = [_key(rank) for rank in range(self.judge.size)], 0
        while not self._stopped.wait(self._interval):
            number += 1
            try:
                self._store.set(keys[self.judge.rank], str(number))
                self._heard.beats = self._store.multi_get(keys)
            except RuntimeError:  # the types that torch raises
                self._heard.gone = True
                return
            self._heard.rounds += 1

    def _look(self) -> None:
        """Ask the judge in regular intervals, and end the process when it says so."""
        pause = self._interval / 4
        last = time.monotonic()
        while not self._stopped.wait(pause):
            now = time.monotonic()
            sentence = self.judge.look(min(now - last, 2 * pause), self._heard, tuple(_open))
            last = now
            if sentence:
                with self._ending:  # not released until the process ends, so that the main thread reports nothing
                    if not self._stopped.is_set():
                        self._end(sentence)

    def _end(self, sentence: str) -> None:
        if order_of_errors(self._store) == 1:
            self.tell(sentence)
        if self.judge.keeps_store:
            within(LAST_WORDS, lambda: wait_for_errors(self._store, self.judge.size))
        os._exit(LostProcessError.exit_code)


def longer_than(patience: float) -> float:
    """Return torch's own timeout in seconds. It is longer than the watcher's, because torch's error is a page of C++."""
    return 2 * patience + 60


def _key(rank: int) -> str:
    return f"genrev/beats/{rank}"


def order_of_errors(store: dist.Store) -> int:
    """Return the place of this process's error in the order of all processes' errors; 1 if the store does not answer."""
    return within(STORE_SECONDS, lambda: store.add("genrev/errors", 1)) or 1


def wait_for_errors(store: dist.Store, count: int) -> None:
    """Keep this process, and its store, alive until the others have read which error was first."""
    end = time.monotonic() + LAST_WORDS
    while store.add("genrev/errors", 0) < count and time.monotonic() < end:
        time.sleep(0.05)


def within(seconds: float, ask: Callable[[], int | None]) -> int | None:
    """Return the store's answer, or None when none comes in time: the process that keeps the store may be dead or suspended."""
    answers = []

    def run() -> None:
        try:
            answers.append(ask())
        except RuntimeError:  # the types that torch raises
            answers.append(None)

    thread = threading.Thread(target=run, daemon=True, name="genrev-store")
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None
