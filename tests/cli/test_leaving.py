"""How a process ends: as Python ends it, except that nothing is unloaded where torch is loaded."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import atexit, ctypes, sys, threading, time, types
from genrev_cli.cli.leaving import leave
{loaded}
class Last:
    def __del__(self, write=sys.stderr.write):
        write("freed ")
last = Last()
def slow():
    time.sleep(0.3)
    sys.stderr.write("thread ")
atexit.register(sys.stderr.write, "atexit ")
threading.Thread(target=slow).start()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
sys.stdout.write("out")  # not flushed
ctypes.CDLL(None).printf(b" and C")
{traced}
leave(7)
"""
LOADED = 'sys.modules["torch"] = types.ModuleType("torch")'


def ended(loaded="", traced=""):
    code = SCRIPT.format(loaded=loaded, traced=traced)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, env=os.environ, check=False)
    assert done.returncode == 7, done.stderr
    assert set(done.stdout.split()) == {"out", "and", "C"}
    return done.stderr.split()


def test_threads_and_exit_functions_run_and_all_is_printed_but_nothing_is_freed():
    assert ended(LOADED) == ["thread", "atexit"]


@pytest.mark.parametrize(
    ("loaded", "traced"), [("", ""), (LOADED, "sys.setprofile(lambda *_: None)")], ids=["without torch", "with a profiler"]
)
def test_python_ends_the_process_where_it_is_quick_or_watched(loaded, traced):
    assert ended(loaded, traced) == ["thread", "atexit", "freed"]


def test_the_command_ends_with_its_code():
    done = subprocess.run([sys.executable, "-m", "genrev_cli", "sample", "--no-such"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("genrev: error: ")
