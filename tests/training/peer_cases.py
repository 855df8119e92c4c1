"""Processes for the tests of lost peers: `python peer_cases.py CASE PATIENCE`, started like torchrun starts them."""

import os
import signal
import sys
import time

import torch

from genrev_cli.cli.console import error_line
from genrev_cli.errors import FileError, GenrevError
from genrev_cli.training.distributed import joined, total
from genrev_cli.training.peers import waiting

RANK = int(os.environ["RANK"])
PATIENCE = float(sys.argv[2])


def meet():
    """Let the processes wait for each other."""
    total(torch.ones(3))
    print("met", flush=True)


def end(rank, how):
    """Let process `rank` send itself a signal."""
    if rank == RANK:
        os.kill(os.getpid(), how)


def ends_while_awaited(rank, how):
    end(rank, how)
    meet()


def ends_while_the_other_works(rank, how):
    end(rank, how)
    time.sleep(60)


def ends_while_the_other_waits_for_its_device(rank, how):
    end(rank, how)
    with waiting():
        time.sleep(60)


def fails_while_the_other_waits_for_its_device():
    if RANK == 1:
        raise FileError("process 1 has a reason")
    with waiting():
        time.sleep(60)


def device():
    """Let both processes wait for their devices, forever."""
    with waiting():
        time.sleep(60)


def slow():
    """Keep process 0 busy for less than the patience, and then for longer, after the other has finished."""
    time.sleep(PATIENCE * 0.6 * (RANK == 0))
    meet()
    time.sleep(PATIENCE * 1.5 * (RANK == 0))


CASES = {
    "stop 1": lambda: ends_while_awaited(1, signal.SIGSTOP),
    "stop 0": lambda: ends_while_awaited(0, signal.SIGSTOP),
    "stop 1 from work": lambda: ends_while_the_other_works(1, signal.SIGSTOP),
    "kill 1": lambda: ends_while_awaited(1, signal.SIGKILL),
    "kill 0": lambda: ends_while_awaited(0, signal.SIGKILL),
    "kill 0 from device": lambda: ends_while_the_other_waits_for_its_device(0, signal.SIGKILL),
    "fail 1 from device": fails_while_the_other_waits_for_its_device,
    "device": device,
    "slow": slow,
}


if __name__ == "__main__":
    try:
        with joined(PATIENCE, error_line):
            meet()
            CASES[sys.argv[1]]()
    except GenrevError as error:
        error_line(str(error))
        sys.exit(error.exit_code)
    print("done")
