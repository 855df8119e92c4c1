"""Atomic writes: a target is never half-written."""

import errno
import os
import subprocess
import sys
from contextlib import nullcontext

import pytest

from genrev_cli.errors import FileError
from genrev_cli.files import atomic
from genrev_cli.files.atomic import atomic_path, write_text


@pytest.fixture
def dead_pid():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fill(folder, text):
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text(text)


def test_a_folder_that_was_moved_away_is_restored(tmp_path, dead_pid):
    """A writer that is killed between its two renames leaves the old folder under another name."""
    (tmp_path / f".out.old.{dead_pid}.genrev-part").mkdir()
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "out"):
        raise ZeroDivisionError
    assert names(tmp_path) == ["out"]


def test_the_target_appears_after_the_block(tmp_path):
    target = tmp_path / "deep" / "er" / "a.txt"
    with atomic_path(target) as part:
        part.write_text("new")
        assert not target.exists()
        assert part.parent == target.parent  # a rename is atomic only within one file system
    assert target.read_text() == "new"
    assert names(target.parent) == ["a.txt"]


def failing_write(target, write, folder=False):
    with pytest.raises(RuntimeError, match="cut short"), atomic_path(target, folder=folder) as part:
        write(part)
        raise RuntimeError("cut short")


@pytest.mark.parametrize("exists", [True, False])
def test_a_failed_write_keeps_the_old_file(tmp_path, exists):
    target = tmp_path / "a.txt"
    if exists:
        write_text(target, "old")
    failing_write(target, lambda part: part.write_text("half"))
    assert names(tmp_path) == ["a.txt"] * exists
    assert not exists or target.read_text() == "old"


def test_a_failed_write_keeps_the_old_folder(tmp_path):
    target = tmp_path / "samples"
    fill(target, "old")
    failing_write(target, lambda part: fill(part, "half"), folder=True)
    assert names(tmp_path) == ["samples"]
    assert (target / "inner" / "file").read_text() == "old"


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_is_replaced(tmp_path, exists):
    target = tmp_path / "samples"
    if exists:
        fill(target, "old")
        (target / "stale").write_text("gone afterwards")
    with atomic_path(target, folder=True) as part:
        fill(part, "new")
    assert names(tmp_path) == ["samples"]
    assert names(target) == ["inner"]
    assert (target / "inner" / "file").read_text() == "new"


@pytest.mark.parametrize("name", [".a.h5.{}.genrev-part", ".a.h5.old.{}.genrev-part"])
def test_temporary_files_of_killed_writers_are_removed(tmp_path, dead_pid, name):
    orphan = tmp_path / name.format(dead_pid)
    fill(orphan, "written by a killed run")
    write_text(tmp_path / "a.h5", "new")
    assert names(tmp_path) == ["a.h5"]


@pytest.mark.parametrize("name", [".a.h5.1.genrev-part", ".b.h5.{dead}.genrev-part", ".a.h5.x.genrev-part", "a.h5.{dead}.genrev-part"])
def test_other_temporary_files_stay(tmp_path, dead_pid, name):
    """Files of a living process, of another target, or with no process number."""
    other = tmp_path / name.format(dead=dead_pid)
    other.write_text("theirs")
    write_text(tmp_path / "a.h5", "new")
    assert other.read_text() == "theirs"


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_is_followed(tmp_path, dangling):
    real, link = tmp_path / "disk" / "real.txt", tmp_path / "link.txt"
    real.parent.mkdir()
    if not dangling:
        real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert names(real.parent) == ["real.txt"]


@pytest.mark.parametrize("target", ["file/inside.txt", "x" * 300])
def test_an_impossible_target_is_a_file_error(tmp_path, target):
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(FileError, match="cannot be written") as error:
        write_text(tmp_path / target, "new")
    assert "\n" not in str(error.value)
    assert names(tmp_path) == ["file"]


def test_a_full_disk_is_a_file_error(tmp_path):
    with pytest.raises(FileError, match=r"a\.txt: cannot be written: No space left on device"), atomic_path(tmp_path / "a.txt"):
        raise OSError(28, os.strerror(28))
    assert names(tmp_path) == []


@pytest.mark.parametrize(("others", "whose"), [(1, "new"), (3, "new"), (1000, "theirs")])
def test_other_processes_replace_the_folder_at_the_same_time(tmp_path, monkeypatch, others, whose):
    """Each process puts its folder there after the last one was moved away; after too many of them, an error is raised."""
    target, left, rename = tmp_path / "samples", iter(range(others)), os.replace
    fill(target, "old")

    def crowded(source, to):
        rename(source, to)
        if source == target and next(left, None) is not None:
            fill(target, "theirs")

    monkeypatch.setattr(os, "replace", crowded)
    with pytest.raises(FileError, match="not empty") if whose == "theirs" else nullcontext(), atomic_path(target, folder=True) as part:
        fill(part, "new")
    assert names(tmp_path) == ["samples"]
    assert (target / "inner" / "file").read_text() == whose


def test_a_folder_that_cannot_be_replaced_is_restored(tmp_path, monkeypatch):
    target, rename = tmp_path / "samples", os.replace
    fill(target, "old")

    def refused(source, to):
        if to == target and ".old." not in source.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, to)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(FileError, match="samples: cannot be written: Input/output error"), atomic_path(target, folder=True) as part:
        fill(part, "new")
    assert names(tmp_path) == ["samples"]
    assert (target / "inner" / "file").read_text() == "old"


def test_temporary_files_of_other_machines_stay(tmp_path, dead_pid):
    """This machine cannot see if their writers are alive."""
    theirs = tmp_path / f".a.h5.{dead_pid}-00000000.genrev-part"
    theirs.write_text("theirs")
    write_text(tmp_path / "a.h5", "new")
    assert names(tmp_path) == [theirs.name, "a.h5"]


@pytest.mark.parametrize("name", ["x" * 240, "ü" * 120, os.fsdecode(b"\xff" * 240), "a b[c]*?\n-"], ids=["long", "unicode", "bytes", "odd"])
def test_any_name_can_be_written(tmp_path, name):
    write_text(tmp_path / name, "old")
    write_text(tmp_path / name, "new")
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "new"


def test_links_in_a_circle_are_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FileError, match="a: cannot be written: Too many levels of symbolic links"):
        write_text(tmp_path / "a", "new")
    assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "a").is_symlink()


def test_a_single_file_is_flushed_without_a_thread(tmp_path, monkeypatch):
    """Where memory is short, a thread can end before it begins, and Python waits for it for ever."""
    monkeypatch.setattr(atomic, "ThreadPoolExecutor", lambda *_: pytest.fail("a thread"))
    write_text(tmp_path / "a.txt", "a")
    assert (tmp_path / "a.txt").read_text() == "a"
