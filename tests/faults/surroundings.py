"""Disks for tests: small disks that fill up, and disks that cannot be written to."""

import os
import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest

PAGE = 4096


@contextmanager
def mounted(folder, *options):
    """Mount a file system at the new folder `folder`; skip the test if mounting is not permitted."""
    folder.mkdir()
    done = subprocess.run(["mount", *options, folder], capture_output=True, text=True, check=False) if shutil.which("mount") else None
    if done is None or done.returncode:
        pytest.skip(f"mounting is not permitted here ({done.stderr.strip() if done else 'no mount'})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def small_disk(folder):
    """Mount a disk of four megabytes in memory."""
    return mounted(folder, "-t", "tmpfs", "-o", "size=4m", "genrev-test")


def read_only(folder, source):
    """Mount `source` at `folder`, read-only."""
    return mounted(folder, "-o", "bind,ro", source)


def fill(folder, leave=0):
    """Fill a disk except for `leave` bytes. Return the file that fills it."""
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
    """Leave only `leave` bytes free on a disk in the block. Yield the system's error message."""
    balloon = fill(folder, leave)
    try:
        yield "No space left on device"
    finally:
        balloon.unlink()


@contextmanager
def limited(folder, leave):
    """Limit files to `leave` bytes in the block. Yield the system's error message."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (leave, before[1]))
    try:
        yield "File too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def content(path):
    """Return the content of a file or folder, for comparison."""
    if path.is_dir():
        return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
    return path.read_bytes()


def left_behind(folder):
    """Return the names of temporary files and locks in a folder."""
    return [path.name for path in folder.rglob("*") if path.name.endswith(".genrev-part") or path.name == "lock"]
