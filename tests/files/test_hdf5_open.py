"""HDF5 files on file systems without locks, and files that another program holds open."""

import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from genrev_cli.cli import main
from genrev_cli.errors import FileError
from genrev_cli.files import hdf5_open
from genrev_cli.files.hdf5_open import open_hdf5

NO_LOCKS = """
#include <errno.h>
int flock(int fd, int op) { errno = %s; return -1; }
"""
READ = (
    "import sys; from genrev_cli.files.hdf5_open import open_hdf5; print(open_hdf5(__import__('pathlib').Path(sys.argv[1]))['x'][:].sum())"
)


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.arange(4)
    return tmp_path / "x.h5"


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc to replace flock")
@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS"])
def test_a_file_system_without_locks(tmp_path, path, error):
    (tmp_path / "no.c").write_text(NO_LOCKS % error)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(tmp_path / "no.so"), str(tmp_path / "no.c")], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(tmp_path / "no.so")}
    done = subprocess.run([sys.executable, "-c", READ, str(path)], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("6\n", 0), done.stderr


@pytest.mark.parametrize("number", [37, 38, 95])
def test_an_error_that_is_no_lock_of_another_opens_without_locks(monkeypatch, path, number):
    opened, calls = h5py.File, []

    def file(path, mode, **options):
        calls.append(options)
        if not options:
            raise BlockingIOError(f"Unable to open file (unable to lock file, errno = {number}, error message = 'x')")
        return opened(path, mode, **options)

    monkeypatch.setattr(hdf5_open.h5py, "File", file)
    assert open_hdf5(path)["x"][3] == 3
    assert calls == [{}, {"locking": False}]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_that_a_notebook_holds_open_says_so(tmp_path, libver):
    command = "import h5py, sys; f = h5py.File(sys.argv[1], 'w', libver=sys.argv[2]); f['x'] = 1; f.flush(); print(1, flush=True); input()"
    words = [sys.executable, "-c", command, str(tmp_path / "x.h5"), libver]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as notebook:
        notebook.stdout.readline()
        with pytest.raises(FileError, match=r"x.h5: another program has it open for writing; close it there, for example with file.close"):
            open_hdf5(tmp_path / "x.h5")
        notebook.communicate(b"\n")
    assert open_hdf5(tmp_path / "x.h5")["x"][()] == 1


def test_a_damaged_file_is_not_said_to_be_open(tmp_path, capsys):
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    assert main(["info", str(tmp_path / "x.h5")]) == 3
    assert "not a readable HDF5 file, or truncated" in capsys.readouterr().err
