"""A disk that can lose power, simulated from the calls that a program makes in one folder.

The program runs in a real folder. Before each call that orders writes (fsync, rename, unlink, mkdir, rmdir), what it wrote since the last
one is noted. After a power cut (Pillai et al. 2014, section 2; recalled):

    a file has what was last flushed, or what was last written, or some of both (torn: cut short, or zeros at its end)
    a folder has its flushed names, and any of the later changes of names; each change (a rename too) happened or did not
"""

import copy
import os
import random
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Change = dict[str, int | None]
"""Name in a folder → the file that it leads to from now on; None if it is gone."""


@dataclass
class _File:
    live: bytes = b""
    flushed: bytes = b""


@dataclass
class Disk:
    """files: number → content. names: folder → its flushed names. later: folder → later changes of names, in their order."""

    files: dict[int, _File] = field(default_factory=dict)
    names: dict[str, dict[str, int]] = field(default_factory=lambda: {"": {}})
    later: dict[str, list[Change]] = field(default_factory=lambda: {"": []})

    def live(self, folder: str) -> dict[str, int]:
        """Return the names that a program sees."""
        found = dict(self.names[folder])
        for change in self.later[folder]:
            _apply(found, change)
        return found

    def change(self, folder: str, change: Change) -> None:
        self.later[folder].append(change)

    def flush(self, folder: str) -> None:
        self.names[folder], self.later[folder] = self.live(folder), []

    def cut(self, rng: random.Random) -> dict[str, bytes | None]:
        """Return what is left after a power cut: path → content, None for a folder."""
        left: dict[str, bytes | None] = {}
        self._left("", rng, left)
        return left

    def _left(self, folder: str, rng: random.Random, left: dict[str, bytes | None]) -> None:
        names, share = dict(self.names[folder]), rng.choice((0.0, 0.5, 1.0))
        for change in self.later[folder]:
            if rng.random() < share:
                _apply(names, change)
        for name, number in names.items():
            path = f"{folder}/{name}".lstrip("/")
            if number < 0:
                left[path] = None
                self._left(path, rng, left)
            else:
                left[path] = _torn(self.files[number], rng)


def _apply(names: dict[str, int], change: Change) -> None:
    for name, number in change.items():
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _torn(file: _File, rng: random.Random) -> bytes:
    if file.live == file.flushed:
        return file.live
    kind, place = rng.choice(("flushed", "live", "short", "zeros")), rng.randrange(len(file.live) + 1)
    appended = file.live.startswith(file.flushed)
    place = max(place, len(file.flushed)) if appended else place  # a file that only grows does not lose what was flushed
    torn = {"short": file.live[:place], "zeros": file.live[:place] + bytes(len(file.live) - place), "flushed": file.flushed}
    return torn.get(kind, file.live)


class Recorder:
    """Watches a folder and keeps a copy of the simulated disk before and after each call."""

    def __init__(self, root: Path) -> None:
        self.root, self.disk, self._numbers = Path(os.path.realpath(root)), Disk(), 0
        self._scan()
        for folder in list(self.disk.later):
            self.disk.flush(folder)
        for file in self.disk.files.values():
            file.flushed = file.live
        self.moments = [copy.deepcopy(self.disk)]

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _scan(self, folder: str = "") -> None:
        """Note new files and new contents."""
        known = self.disk.live(folder)
        for name in sorted(os.listdir(self.root / folder)):
            path, inner = self.root / folder / name, f"{folder}/{name}".lstrip("/")
            if path.is_dir():
                if name not in known:
                    self._new_folder(folder, name)
                self._scan(inner)
                continue
            if name not in known:
                known[name] = self._number()
                self.disk.files[known[name]] = _File()
                self.disk.change(folder, {name: known[name]})
            self.disk.files[known[name]].live = path.read_bytes()

    def _new_folder(self, folder: str, name: str) -> None:
        self.disk.change(folder, {name: -self._number()})
        inner = f"{folder}/{name}".lstrip("/")
        self.disk.names[inner], self.disk.later[inner] = {}, []

    def _inside(self, path: str | Path) -> tuple[str, str] | None:
        """Return folder and name of a path in the watched folder."""
        real = Path(os.path.realpath(Path(path).parent), Path(path).name)
        if not real.is_relative_to(self.root):
            return None
        inner = real.relative_to(self.root)
        return ("" if str(inner.parent) == "." else str(inner.parent)), inner.name

    def flushed(self, descriptor: int) -> None:
        """A file or folder was flushed."""
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        self._scan()
        if path == self.root:
            self.disk.flush("")
        elif found := self._inside(path):
            folder, name = found
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                self.disk.flush(f"{folder}/{name}".lstrip("/"))
            else:
                file = self.disk.files[self.disk.live(folder)[name]]
                file.flushed = file.live
        self._keep()

    def before(self) -> None:
        self._scan()
        self._keep()

    def renamed(self, old: str | Path, new: str | Path) -> None:
        """A file got another name in its folder."""
        if (a := self._inside(old)) and (b := self._inside(new)):
            assert a[0] == b[0], "only renames within a folder are simulated"
            self.disk.change(a[0], {a[1]: None, b[1]: self.disk.live(a[0])[a[1]]})
            self._keep()

    def removed(self, path: str | Path) -> None:
        if (found := self._inside(path)) and found[1] in self.disk.live(found[0]):
            self.disk.change(found[0], {found[1]: None})
            self._keep()

    def made(self, path: str | Path) -> None:
        if found := self._inside(path):
            self._new_folder(*found)
            self._keep()

    def _keep(self) -> None:
        self.moments.append(copy.deepcopy(self.disk))


def _watched(call: Callable, before: Callable[[], None], after: Callable[..., None], paths: int) -> Callable:
    def run(*args, **options):
        before()
        result = call(*args, **options)
        after(*args[:paths])
        return result

    return run


@contextmanager
def recording(root: Path) -> Iterator[Recorder]:
    """Record what is done in a folder within the block."""
    found = Recorder(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: found.flushed(descriptor if isinstance(descriptor, int) else descriptor.fileno()))
        for name, after, paths in (
            ("replace", found.renamed, 2), ("rename", found.renamed, 2), ("unlink", found.removed, 1), ("rmdir", found.removed, 1),
            ("mkdir", found.made, 1),
        ):  # fmt: skip
            patch.setattr(os, name, _watched(getattr(os, name), found.before, after, paths))
        yield found
        found.before()


def written(left: dict[str, bytes | None], folder: Path) -> Path:
    """Write what a power cut left to a new folder."""
    folder.mkdir()
    for path, content in left.items():
        target = folder / path
        if content is None:
            target.mkdir()
        else:
            target.write_bytes(content)
    return folder
