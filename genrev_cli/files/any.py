"""Read the header and check the content of any file that genrev writes."""

from pathlib import Path

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header
from genrev_cli.files.films import FILMS, film_digest, read_film_header
from genrev_cli.files.header import Header
from genrev_cli.files.page import page_digest, read_page, read_report_header
from genrev_cli.files.pictures import json_digest, pixels_digest, read_json, read_picture
from genrev_cli.files.samples import folder_digest, read_mark, read_npz_header


def read_any_header(path: Path) -> Header:
    """The header of any file or folder of ours.

    Raises FileError when it is missing, damaged, or not of genrev's.
    """
    if path.is_dir():
        header = read_mark(path)
        if header is None:
            raise FileError(f"{path}: a folder that genrev did not make")
        return header
    readers = {
        ".safetensors": read_checkpoint_header,
        ".h5": hdf5.read_header,
        ".png": lambda path: read_picture(path)[0],
        ".json": lambda path: read_json(path)[0],
        ".npz": read_npz_header,
        ".html": read_report_header,
        **dict.fromkeys(FILMS, read_film_header),
    }
    if path.suffix not in readers:
        raise FileError(f"{path}: not a kind of file that genrev writes ({', '.join(readers)}, or a folder of samples)")
    return readers[path.suffix](path)


def content_of(path: Path, header: Header) -> str:
    """The content digest, from the content.

    Raises FileError when the content cannot be read, or the reader itself finds that it does not match.
    """
    if path.is_dir():
        return folder_digest(path)
    if path.suffix == ".safetensors":
        read_checkpoint(path)
        return header.sha256
    if path.suffix == ".h5":
        return hdf5.read_digest(path)
    if path.suffix == ".png":
        return pixels_digest(read_picture(path)[1])
    if path.suffix in FILMS:
        return film_digest(path)
    if path.suffix == ".json":
        return json_digest(read_json(path)[1])
    if path.suffix == ".html":
        return page_digest(read_page(path)[1])
    return header.sha256  # an .npz: its reader has checked it
