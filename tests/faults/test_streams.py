"""Closed, full and unread streams, and too little memory: no traceback, and the right exit code."""

import io
import json
import os
import pty
import shutil
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import torch

from genrev_cli.cli import main
from genrev_cli.cli.bars import listener
from genrev_cli.errors import FileError, lacks_memory
from genrev_cli.files import checkpoint, checkpoint_header
from genrev_cli.settings.pages import InfoSettings
from genrev_cli.stages import info

GENREV = [sys.executable, "-m", "genrev_cli"]


@pytest.fixture
def unread():
    """The writing end of a pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def command(*words, closed=(), **streams):
    """Run a command in its own process with some descriptors closed. Return exit code, stdout and stderr."""
    close = lambda: [os.close(number) for number in closed]  # noqa: E731
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    done = subprocess.run([*GENREV, *words], preexec_fn=close, text=True, errors="surrogateescape", timeout=60, check=False, **streams)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("words", [("--version",), ("--help",)], ids=" ".join)
def test_a_broken_pipe_on_stdout_exits_with_141(unread, words):
    """141 is the exit code of a program ended by SIGPIPE."""
    assert command(*words, stdout=unread) == (141, None, "")


@pytest.mark.slow
def test_a_broken_pipe_under_info_exits_with_141(sound, unread):
    assert command("info", sound / "data.h5", stdout=unread) == (141, None, "")


def test_a_full_stdout_is_an_error():
    with open("/dev/full", "w") as full:
        found = command("--version", stdout=full)
    assert found == (3, None, "genrev: error: the result cannot be printed: No space left on device\n")


def test_a_closed_stdout_is_not_an_error(tmp_path):
    assert command("--version", closed=[1]) == (0, "", "")


def test_a_broken_pipe_on_stderr_keeps_the_exit_code(unread, tmp_path):
    assert command("info", "--none", stderr=unread) == (2, "", None)


def test_closed_streams_do_not_change_files_and_paths_are_printed_exactly(sound, tmp_path):
    """If stdin and stderr are closed, opened files could get their numbers, and libraries that print would write into these files."""
    target = tmp_path / os.fsdecode(b"\xff\n\x1b[31m.h5")
    words = ("prepare-data", "folder", "--path", sound / "images", "--size", "8", "--test-fraction", "0", "--out", target)
    assert command(*words, closed=[0, 2]) == (0, f"{target}\n", "")
    assert info.info(target, InfoSettings(verify=True)).numbers["verified"] == [str(target)]


def test_an_error_is_not_printed_on_stdout(tmp_path):
    assert command("info", "--none", closed=[2]) == (2, "", "")


class _Broken:
    """A stream without a reader."""

    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError

    def isatty(self):
        return False


def test_training_continues_if_stderr_is_broken(sound, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr", _Broken())
    line = f"pretrain-recon --data {sound}/data.h5 --recipe {sound}/tiny.toml --device cpu --log-every 1 --out {tmp_path}/m.safetensors"
    assert main(line.split()) == 0
    assert (tmp_path / "m.safetensors").exists()


def test_a_terminal_that_hangs_up_does_not_end_the_command(monkeypatch):
    """Progress bars are drawn on the terminal."""
    near, far = pty.openpty()
    terminal = open(far, "w")  # noqa: SIM115 (closed below)
    monkeypatch.setattr("sys.stderr", terminal)
    with listener().task("train", 10) as bar:
        bar.advance()
        assert os.read(near, 1)
        os.close(near)
        for _ in range(9):
            bar.advance(1, loss=0.5)
            time.sleep(0.05)
    listener().note("done")
    with pytest.raises(OSError, match="Input/output error"):
        os.write(far, b"it is gone")
    with suppress(OSError):
        terminal.close()


@pytest.mark.parametrize("words", [["--show-completion", "bash"], ["--help"], ["info", "--help"]])
def test_typers_own_options_succeed(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out


def test_names_that_stdout_cannot_encode_are_escaped(sound, tmp_path, monkeypatch):
    path = tmp_path / "數.safetensors"
    shutil.copy(sound / "m.safetensors", path)
    printed = []
    for words in (["info", str(path)], ["info", str(path), "--json"]):
        stdout = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
        monkeypatch.setattr("sys.stdout", stdout)
        assert main(words) == 0
        printed.append(stdout.buffer.getvalue().decode("latin-1"))
    assert printed[0].startswith(f"{tmp_path}/\\u6578.safetensors\n")
    assert json.loads(printed[1])["out"] == str(path)


def _too_much(make):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        make()
    return caught.value


MEMORY = {
    "Python": (MemoryError(), "there is not enough memory: "),
    "NumPy": (_too_much(lambda: np.empty(1 << 50, np.uint8)), "there is not enough memory (1.00 PiB more were needed): "),
    "torch": (_too_much(lambda: torch.empty(1 << 50)), "there is not enough memory (4503599627370496 bytes more were needed): "),
    "CUDA": (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 7.79 GiB"),
        "there is not enough memory on GPU 0, which has 7.79 GiB (20.00 GiB more were needed): ",
    ),
    "CUDA's libraries": (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), "there is not enough memory: "),
    "the system": (OSError(12, os.strerror(12)), "there is not enough memory: "),
}


@pytest.mark.parametrize(("error", "sentence"), MEMORY.values(), ids=MEMORY)
def test_too_little_memory_exits_with_5(monkeypatch, capsys, error, sentence):
    def stage(*_, **__):
        raise error

    monkeypatch.setattr(info, "info", stage)
    assert main(["info", "a.h5"]) == 5
    assert capsys.readouterr() == ("", f"genrev: error: {sentence}make --batch smaller where there is one, or free some\n")


@pytest.mark.parametrize("error", [RuntimeError("size mismatch"), OSError(13, os.strerror(13)), ValueError("out of memory")])
def test_other_errors_are_not_memory_errors(error):
    assert not lacks_memory(error)


def test_a_checkpoint_is_not_called_damaged_if_memory_runs_out(sound, monkeypatch):
    def refused(*_, **__):
        raise RuntimeError("unable to mmap 400 bytes from file </a>: Cannot allocate memory (12)")  # as torch says it

    monkeypatch.setattr(checkpoint_header, "safe_open", refused)
    with pytest.raises(RuntimeError, match="Cannot allocate memory") as caught:
        checkpoint.read_checkpoint(sound / "m.safetensors")
    assert not isinstance(caught.value, FileError)


def test_an_error_of_the_system_names_the_file(monkeypatch, capsys):
    def stage(*_, **__):
        raise PermissionError(13, os.strerror(13), "a b.h5")

    monkeypatch.setattr(info, "info", stage)
    assert main(["info", "a b.h5"]) == 3
    assert capsys.readouterr() == ("", "genrev: error: a b.h5: Permission denied\n")
