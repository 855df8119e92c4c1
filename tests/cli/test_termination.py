"""torchrun ends the other processes with SIGTERM when one has ended; near the start, too, one of them says why."""

import os
import signal
import subprocess
import sys
import threading

import pytest

READY = """
import sys, time
from genrev_cli import cli
def ready():
    print("ready", file=sys.stderr, flush=True)
def busy(argv=None):
    {work}
    return 0
cli.main = busy
cli.run()
"""
WORKS = {
    "waits in a library": "ready(); time.sleep(60)",
    "waits for a lock": "import threading; ready(); threading.Lock().acquire(); threading.Event().wait()",
    "computes": "ready()\n    while True: pass",
}
LISTENS = """
    from genrev_cli.training.loop import Stop
    with Stop().listening() as stop:
        ready()
        while not stop.requested: time.sleep(0.01)
        time.sleep(0.2)
    print(stop.requested, file=sys.stderr)
"""


def ended(rank, work):
    environment = {**os.environ, "WORLD_SIZE": "4", "RANK": str(rank)}
    process = subprocess.Popen([sys.executable, "-c", READY.format(work=work)], stderr=subprocess.PIPE, text=True, env=environment)
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    assert process.stderr.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    watchdog.cancel()
    return process.returncode, err


@pytest.mark.parametrize("work", WORKS)
def test_a_process_says_why_it_ends(work):
    code, err = ended(1, WORKS[work])
    assert code == 6
    assert err == (
        "genrev: error: process 1 of 4 was asked to end: another process has ended, or torchrun was stopped; run the same command again\n"
    )


def test_only_the_first_two_processes_speak():
    assert ended(2, WORKS["waits in a library"]) == (6, "")


def test_training_handles_the_signal_itself():
    assert ended(0, LISTENS) == (0, "True\n")
