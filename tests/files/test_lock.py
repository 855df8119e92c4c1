"""The lock of a target: it excludes other runs while its holder lives, is taken over after a kill, and is removed at the end."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import pytest

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import lock
from genrev_cli.files.lock import locked

HOLDER = """
import sys
from pathlib import Path
from genrev_cli.files.lock import locked
with locked(Path(sys.argv[1]), Path("out.safetensors")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Yield another process that holds the lock, and the path of the lock."""
    path = tmp_path / "out.run" / "lock"
    words = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process, path
        process.kill()


def test_a_second_run_is_told_who_holds_the_lock(holder, tmp_path):
    process, path = holder
    with (
        pytest.raises(UsageError, match=f"out.safetensors: process {process.pid} on {platform.node()} .since 20.*choose another --out"),
        locked(path, tmp_path / "out.safetensors"),
    ):
        raise AssertionError("two runs hold the lock")
    assert json.loads(path.read_text())["pid"] == process.pid


def test_the_lock_of_a_killed_run_is_taken_over(holder, tmp_path):
    """SIGKILL leaves the lock file behind."""
    process, path = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    with locked(path, tmp_path / "out.safetensors"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_the_lock_is_removed_with_its_empty_folder(tmp_path):
    path = tmp_path / "out.run" / "lock"
    with locked(path, tmp_path / "a"):
        assert path.exists()
    assert list(tmp_path.iterdir()) == []
    with locked(path, tmp_path / "a"):
        (path.parent / "log.jsonl").write_text("")
    assert [file.name for file in path.parent.iterdir()] == ["log.jsonl"]


def test_an_error_releases_the_lock(tmp_path):
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), locked(path, tmp_path / "a"):
        raise ZeroDivisionError
    with locked(path, tmp_path / "a"):
        pass


def test_an_impossible_folder_is_a_file_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"), locked(tmp_path / "file" / "lock", tmp_path / "a"):
        pass


@pytest.mark.parametrize("content", ['{"pid": 1, "host": "another", "since": "2020-01-01T00:00:00+00:00"}', "", '{"pi'])
def test_a_lock_without_a_holder_is_taken_over(tmp_path, content):
    """Process 1 is alive, but it does not hold the lock. A kill or a full disk can leave the start of the text."""
    path = tmp_path / "lock"
    path.write_text(content)
    with locked(path, tmp_path / "a"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


@pytest.mark.parametrize(("reason", "runs"), [(errno.ENOLCK, True), (errno.ENOSYS, True), (errno.EOPNOTSUPP, True), (errno.EIO, False)])
def test_a_file_system_without_locks_allows_every_run(tmp_path, monkeypatch, reason, runs):
    def refused(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(lock.fcntl, "flock", refused)
    entered = False
    message = "lock: cannot be written .Input/output error.; choose another --out"
    expected = nullcontext() if runs else pytest.raises(FileError, match=message)
    with expected, locked(tmp_path / "out.run" / "lock", tmp_path / "a"):
        entered = True
    assert list(tmp_path.iterdir()) == []
    assert entered == runs


def test_a_lock_file_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """Its holder can remove the file after another run opens it; that run then locks a new file, which all others see."""
    path, flock, removed = tmp_path / "lock", lock.fcntl.flock, []

    def late(*arguments):
        if not removed:
            removed.append(path.unlink())
        flock(*arguments)

    monkeypatch.setattr(lock.fcntl, "flock", late)
    with locked(path, tmp_path / "a"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["my notes", "[]", "{}"])
def test_another_file_in_the_place_of_the_lock_is_kept(tmp_path, content):
    path = tmp_path / "lock"
    path.write_text(content)
    with pytest.raises(FileError, match="lock: is not a lock of genrev"), locked(path, tmp_path / "a"):
        pass
    assert path.read_text() == content


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path, there):
    precious, path = tmp_path / "precious", tmp_path / "out.run" / "lock"
    if there:
        precious.write_text("precious")
    path.parent.mkdir()
    path.symlink_to(precious)
    with pytest.raises(FileError, match="lock: cannot be written .Too many levels"), locked(path, tmp_path / "a"):
        pass
    assert precious.exists() == there
    assert not there or precious.read_text() == "precious"


def test_a_pipe_in_the_place_of_the_lock_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(FileError, match="lock: is not a lock of genrev"), locked(tmp_path / "lock", tmp_path / "a"):
        pass


def test_links_in_a_folder_are_found_at_any_depth(tmp_path):
    (tmp_path / "run" / "previews").mkdir(parents=True)
    (tmp_path / "run" / "wandb").mkdir()
    (tmp_path / "run" / "wandb" / "latest").symlink_to("run-1")
    (tmp_path / "link").symlink_to("run")
    lock.require_no_links(tmp_path / "link", besides=("wandb",))  # the folder itself may be one
    (tmp_path / "run" / "previews" / "step.png").symlink_to("/etc/hostname")
    with pytest.raises(FileError, match=r"previews/step\.png: is a link"):
        lock.require_no_links(tmp_path / "run", besides=("wandb",))


@pytest.mark.parametrize("killed", [True, False])
def test_a_process_can_wait_for_a_lock(holder, killed):
    """A holder that ends by itself, here at the end of its input, removes the lock and its folder; a killed one leaves both."""
    process, path = holder
    end = threading.Timer(0.3, process.kill if killed else process.stdin.close)
    end.start()
    began = time.monotonic()
    with locked(path, path.parent / "a", wait=True):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert time.monotonic() - began >= 0.25
    end.join()
