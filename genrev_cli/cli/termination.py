"""Under torchrun: say a sentence when SIGTERM ends a process before its training handles that signal.

torchrun sends SIGTERM to the other processes when one has ended. Near the start they load torch or wait for each other, and no Python code
of the main thread runs there. So a thread waits for the signal.
"""

import os
import signal
import threading
from collections.abc import Callable

from genrev_cli.errors import LostProcessError

_CURE = "run the same command again"
_SPEAKERS = 2
"""The first so many processes speak: one of them may be the one that was lost, and more would repeat it."""


def explain_termination(tell: Callable[[str], None]) -> None:
    """Call `tell` with a sentence and end the process with exit code 6 when SIGTERM arrives. Others may replace the handler meanwhile."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    rank, size = int(os.environ.get("RANK", "0")), os.environ.get("WORLD_SIZE", "1")
    ours, told = _Handler(), os.pipe()
    os.set_blocking(told[1], False)

    def wait() -> None:
        while received := os.read(told[0], 1):
            if received[0] == signal.SIGTERM and signal.getsignal(signal.SIGTERM) is ours:
                if rank < _SPEAKERS:
                    tell(f"process {rank} of {size} was asked to end: another process has ended, or torchrun was stopped; {_CURE}")
                os._exit(LostProcessError.exit_code)

    signal.signal(signal.SIGTERM, ours)
    signal.set_wakeup_fd(told[1], warn_on_full_buffer=False)
    threading.Thread(target=wait, daemon=True, name="genrev-termination").start()


class _Handler:
    """A handler that leaves the signal to the thread."""

    def __call__(self, number: int, frame: object) -> None:
        """Do nothing."""
