"""Copies of files whose headers have no path of the machine on which they were made. The content, and so its digest, stays the same."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.any import read_any_header
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.header import KEY, Header
from genrev_cli.files.npz import reading_npz
from genrev_cli.files.page import read_page, unfilled, write_page
from genrev_cli.files.pictures import read_json, read_picture, write_json, write_picture
from genrev_cli.files.samples import MARK, sample_files
from genrev_cli.settings.figures import FILMS

_PATH = re.compile(r"(?<![\w:/.~<)])/(?:[^/\s'\"<>|=,;+]+/)+(?=[^/\s])")
"""The folders of an absolute path in a text; not those of an address (https://…)."""
_PICTURE = re.compile('(src="data:[^"]*")')
_PERSONAL = ("argv", "cwd", "host", "hostname", "login", "user", "username")
"""Keys of `made_by` that later versions or plugins may record."""


def stripped(header: Header) -> Header:
    """Return a header without paths: of every absolute path only the last name is left, in the headers of its inputs too."""
    fields = asdict(header)
    clean = _Cleaner(fields)
    return Header(**{**clean.value(fields), "sha256": header.sha256})


class _Cleaner:
    """Removes folders from texts. The folders are those of the paths that a header records, and of this user."""

    def __init__(self, fields: dict[str, Any]) -> None:
        found = {os.path.dirname(path) for text in _texts(fields) for path in (text, *_words(text)) if path.startswith("/")}
        found |= {str(Path.home()), os.getcwd()}
        self.folders = sorted((folder.rstrip("/") + "/" for folder in found if folder.rstrip("/")), key=len, reverse=True)

    def text(self, text: str) -> str:
        """Remove the folders of every absolute path in a text."""
        for folder in self.folders:
            text = re.sub(rf"(?<![\w/.~-]){re.escape(folder)}", "", text)
        return _PATH.sub("", text)

    def command(self, text: str) -> str:
        """Do the same to a command line, whose words may have spaces in quotes."""
        try:
            return shlex.join(_last(word) if word.startswith("/") else self.text(word) for word in shlex.split(text))
        except ValueError:  # a quote that does not end: not a command line
            return self.text(text)

    def value(self, value: Any, name: str = "") -> Any:
        """Do the same to all texts in a value of JSON, and to its keys; equal keys get numbers."""
        if isinstance(value, dict):
            kept = {key: inner for key, inner in value.items() if not (name == "made_by" and key in _PERSONAL)}
            return _renamed({key: (self.value(inner, key)) for key, inner in kept.items()}, self.text)
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        if not isinstance(value, str):
            return value
        if name == "command":
            return self.command(value)
        return _last(value) if value.startswith("/") and "\n" not in value else self.text(value)


def _last(path: str) -> str:
    """Return the last name of a path; the home folder, whose name is the user's, becomes ~."""
    return "~" if Path(path) == Path.home() else os.path.basename(path.rstrip("/")) or path


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value of JSON, keys included."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def _words(text: str) -> list[str]:
    """Return the words of a command line, and what follows = and + in them; [] for a text that is none."""
    try:
        return [part for word in shlex.split(text) for part in re.split("[=+]", word)]
    except ValueError:
        return []


def _renamed(table: dict[str, Any], name: Callable[[str], str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        new = name(key)
        number = 2
        while new in found:
            new, number = f"{name(key)} ({number})", number + 1
        found[new] = value
    return found


def write_stripped(path: Path, out: Path, *, half: bool = False, scores: Sequence[dict[str, Any]] = ()) -> Header:
    """Write a copy of a file or folder of ours without paths, atomically; return its header.

    half, scores: of a checkpoint, round its network's weights to 16 bits, and keep these scores in its header.
    A page also shows paths in its text, which are removed there too, so its digest changes, as it does with `half`.
    Raises FileError if the file is missing, damaged, or not written by genrev.
    """
    header = stripped(read_any_header(path))
    if path.is_dir():
        _write_folder(path, out, header)
    elif path.suffix == ".safetensors":
        _write_tensors(path, out, header, half=half, scores=scores)
    elif path.suffix == ".h5":
        _write_hdf5(path, out, header)
    elif path.suffix == ".png":
        write_picture(out, read_picture(path)[1], header)
    elif path.suffix == ".json":
        write_json(out, _require_clean(read_json(path)[1], path), header)
    elif path.suffix == ".npz":
        _write_npz(path, out, header)
    elif path.suffix in FILMS:
        with atomic_path(out) as part:  # a film is written without paths
            shutil.copyfile(path, part)
    else:
        clean = _Cleaner(asdict(read_any_header(path)))
        write_page(out, _clean_page(unfilled(read_page(path)[1]), clean), header)
    return read_any_header(out)


def _write_tensors(path: Path, out: Path, header: Header, *, half: bool, scores: Sequence[dict[str, Any]]) -> None:
    from genrev_cli.files.checkpoint import halved, read_checkpoint, tensors_digest, write_checkpoint  # with torch, so not for `info`

    tensors = read_checkpoint(path)[1]
    if half:
        tensors = {name: halved(tensor) if name.startswith("autoencoder.") else tensor for name, tensor in tensors.items()}
        header = replace(header, sha256=tensors_digest(tensors))
    if scores:
        header = replace(header, config={**header.config, "scores": list(scores)})
    write_checkpoint(out, tensors, header)


def _clean_page(html: str, clean: _Cleaner) -> str:
    """Remove paths from the text of a page; pictures, in which a path could only appear by chance, stay."""
    parts = _PICTURE.split(html)
    for i in range(0, len(parts), 2):
        for folder in clean.folders:
            shown = escape(folder, quote=False).replace("'", "&#39;").replace('"', "&#34;")  # as Jinja escapes it
            parts[i] = parts[i].replace(shown, "")
        parts[i] = _PATH.sub("", parts[i])
    return "".join(parts)


def _require_clean(result: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a result. Raises FileError if it has a path itself, because without that it would be another result."""
    if json.loads(json.dumps(_Cleaner(result).value(result))) != result:
        raise FileError(f"{path}: has a path of this machine in its result, not only in its header; no copy without it can be made")
    return result


def _write_folder(path: Path, out: Path, header: Header) -> None:
    with atomic_path(out, folder=True) as part:
        for file in sample_files(path):
            shutil.copyfile(file, part / file.name)
        (part / MARK).write_text(header.to_json(), encoding="utf-8")


def _write_hdf5(path: Path, out: Path, header: Header) -> None:
    """Copy all arrays block by block: in a copy of the bytes, the old header would still be there."""
    with hdf5.reading(path) as (_, source), hdf5.writing(out, header) as target:
        for name, array in source.items():
            target.create(name, array.shape, str(array.dtype))
            for start in range(0, len(array), hdf5.rows_at_once(array)):
                target.write(name, start, array[start : start + hdf5.rows_at_once(array)])
    if hdf5.read_header(out).sha256 != header.sha256:
        raise FileError(f"{path}: damaged: its content does not match the checksum in its header; make it again")


def _write_npz(path: Path, out: Path, header: Header) -> None:
    with reading_npz(path) as file:
        arrays: dict[str, Any] = dict(file)  # Any: savez's keywords differ
    arrays[KEY] = np.array(header.to_json())
    with atomic_path(out) as part, part.open("wb") as target:
        np.savez(target, **arrays)
