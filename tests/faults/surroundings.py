"""Disks for tests: small ones that fill up, and such that cannot be written to."""

import os
import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest

PAGE = 4096


@contextmanager
def mounted(folder, *options):
    """A mount at `folder`, which is made; skips the test where that is not permitted."""
    folder.mkdir()
    done = subprocess.run(["mount", *options, folder], capture_output=True, text=True, check=False) if shutil.which("mount") else None
    if done is None or done.returncode:
        pytest.skip(f"mounting is not permitted here ({done.stderr.strip() if done else 'no mount'})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def small_disk(folder):
    """Four megabytes in memory."""
    return mounted(folder, "-t", "tmpfs", "-o", "size=4m", "genrev-test")


def read_only(folder, source):
    """What is in `source`, where it cannot be written."""
    return mounted(folder, "-o", "bind,ro", source)


def fill(folder, leave=0):
    """Take all room of a disk but `leave` bytes: the file that has it."""
    balloon = folder / "balloon"
    with balloon.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(PAGE)) == PAGE:
                pass
        except OSError:
            os.ftruncate(file.fileno(), os.fstat(file.fileno()).st_size - leave // PAGE * PAGE)
    return balloon


@contextmanager
def filled(folder, leave):
    """A disk that has `leave` bytes of room within the block."""
    balloon = fill(folder, leave)
    try:
        yield "No space left on device"
    finally:
        balloon.unlink()


@contextmanager
def limited(folder, leave):
    """No file may become larger than `leave` bytes within the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (leave, before[1]))
    try:
        yield "File too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def content(path):
    """Of a file or folder, to be compared."""
    if path.is_dir():
        return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
    return path.read_bytes()


def left_behind(folder):
    """Parts and locks that nobody will take away."""
    return [path.name for path in folder.rglob("*") if path.name.endswith(".genrev-part") or path.name == "lock"]
