import os
import shutil
import signal
from dataclasses import dataclass

import pytest
from sound_files import build, published

from genrev_cli.cli import main
from genrev_cli.data import cifar10, mnist

SECONDS = 20
THEN = 1_000_000_000
"""Modification time of the input, in seconds since 1970."""


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """The folder with all intact files."""
    folder = tmp_path_factory.mktemp("sound")
    build(folder)
    return folder


@dataclass(frozen=True)
class Outcome:
    """The result of a command. error: its error message or ''. err, out: everything on stderr and stdout."""

    code: int
    error: str
    err: str
    out: str


@pytest.fixture
def run(capfd):
    """A function that runs a command and checks that it ends within seconds: with success, or with one error and a user's exit code."""

    def command(*words, traceback=False):
        capfd.readouterr()
        signal.alarm(SECONDS)
        try:
            code = main([str(word) for word in words])
        finally:
            signal.alarm(0)
        out, err = capfd.readouterr()
        errors = [line for line in err.splitlines() if line.startswith("genrev: error:")]
        assert code in (0, 2, 3, 4), err
        assert ("Traceback" in err) == traceback
        assert len(errors) == (code != 0), err
        assert code == 0 or out == ""
        return Outcome(code, "".join(errors), err, out)

    def late(*_):
        raise TimeoutError(f"no answer within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    yield command
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def read(sound, tmp_path, run, monkeypatch):
    """A function (reader, bytes of its file) → (outcome, folder), which checks that the command does not change the file."""
    for module, name, value in zip((mnist, cifar10, cifar10), ("MD5", "MD5", "TAR_MD5"), published(sound), strict=True):
        monkeypatch.setattr(module, name, value)
    count = iter(range(1_000_000))

    def attempt(reader, data):
        folder = tmp_path / str(next(count))
        for name in reader.beside:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(sound / name, folder / name)
        path = folder / reader.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (THEN, THEN))
        outcome = run(*(word.format(w=folder, s=sound) for word in reader.words.split()))
        if not reader.replaced:
            assert path.read_bytes() == data
            assert path.stat().st_mtime == THEN
        return outcome, folder

    return attempt
