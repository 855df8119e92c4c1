"""Read the header and check the content of any file that genrev writes."""

from collections.abc import Callable
from pathlib import Path

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint_header import read_checkpoint_header
from genrev_cli.files.films import film_digest, read_film_header
from genrev_cli.files.header import Header
from genrev_cli.files.page import page_digest, read_page, read_report_header
from genrev_cli.files.pictures import json_digest, pixels_digest, read_json, read_picture
from genrev_cli.files.samples import folder_digest, read_mark, read_npz_header
from genrev_cli.settings.figures import FILMS


def _checkpoint_digest(path: Path) -> str:
    from genrev_cli.files.checkpoint import read_checkpoint  # torch is imported only where arrays are read

    return read_checkpoint(path)[0].sha256


_READERS: dict[str, tuple[Callable[[Path], Header], Callable[[Path], str] | None]] = {
    ".safetensors": (read_checkpoint_header, _checkpoint_digest),
    ".h5": (hdf5.read_header, hdf5.read_digest),
    ".png": (lambda path: read_picture(path)[0], lambda path: pixels_digest(read_picture(path)[1])),
    ".json": (lambda path: read_json(path)[0], lambda path: json_digest(read_json(path)[1])),
    ".npz": (read_npz_header, None),
    ".html": (read_report_header, lambda path: page_digest(read_page(path)[1])),
    **dict.fromkeys(FILMS, (read_film_header, film_digest)),
}
"""Suffix → what reads the header, and what computes the digest of the content; None where the former checks the content too."""


def read_any_header(path: Path) -> Header:
    """Return the header of any file or folder that genrev made.

    Raises FileError when it is missing, damaged, or not made by genrev.
    """
    if path.is_dir():
        header = read_mark(path)
        if header is None:
            raise FileError(f"{path}: a folder that genrev did not make")
        return header
    if path.suffix not in _READERS:
        raise FileError(f"{path}: not a kind of file that genrev writes ({', '.join(_READERS)}, or a folder of samples)")
    return _READERS[path.suffix][0](path)


def content_of(path: Path, header: Header) -> str:
    """Return the digest of a file's content, computed from the content. header: the file's own, from `read_any_header`.

    Raises FileError when the content cannot be read, or the reader itself finds that it does not match.
    """
    if path.is_dir():
        return folder_digest(path)
    digest = _READERS[path.suffix][1]
    return digest(path) if digest else header.sha256
