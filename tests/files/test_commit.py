"""The commit in a file's provenance: found without a lock of git, which a user's own commit may need at the same moment."""

import os
import shutil
import subprocess

import pytest

from genrev_cli.files.header import commit_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one commit, and how to run git in it."""

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", "-C", tmp_path, *who, *words], capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "a.py").write_text("a")
    git("add", "a.py")
    git("commit", "--quiet", "-m", "a")
    commit_of.cache_clear()
    yield tmp_path, git
    commit_of.cache_clear()


def test_the_commit_is_found_without_a_lock(checkout):
    """A lock file that is made and removed changes the time of its folder, and a touched file is what git wants to note in its index."""
    folder, git = checkout
    os.utime(folder / "a.py", (1, 1))
    before = (folder / ".git").stat().st_mtime_ns
    assert commit_of(folder / "a.py") == git("rev-parse", "--short=12", "HEAD")
    assert (folder / ".git").stat().st_mtime_ns == before


def test_changes_are_marked(checkout):
    folder, git = checkout
    (folder / "new.py").write_text("not tracked, and no change of what is")
    assert not commit_of(folder / "a.py").endswith("+")
    commit_of.cache_clear()
    (folder / "a.py").write_text("changed")
    assert commit_of(folder / "a.py") == git("rev-parse", "--short=12", "HEAD") + "+"
    assert commit_of(folder / "new.py") == ""


def test_there_is_none_outside_a_checkout(tmp_path):
    (tmp_path / "a.py").write_text("a")
    commit_of.cache_clear()
    assert commit_of(tmp_path / "a.py") == ""
