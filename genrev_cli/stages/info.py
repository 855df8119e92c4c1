"""info: any file of ours → what it is and the whole chain of what it was made from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header
from genrev_cli.files.header import Header
from genrev_cli.files.page import page_digest, read_page, read_report_header
from genrev_cli.files.pictures import json_digest, pixels_digest, read_json, read_picture
from genrev_cli.files.samples import folder_digest, read_mark, read_npz_header
from genrev_cli.result import Result


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
    if path.suffix == ".json":
        return json_digest(read_json(path)[1])
    if path.suffix == ".html":
        return page_digest(read_page(path)[1])
    return header.sha256  # an .npz: its reader has checked it


def info(path: Path, *, verify: bool = False) -> Result:
    """Header and chain of a file; with `verify` its content and that of every input still there are checked against their digests.

    Raises FileError when the file is not ours or, with `verify`, when anything does not match.
    """
    header = read_any_header(path)
    numbers: dict[str, Any] = asdict(header)
    if verify:
        _verify(path, header)
        numbers["verified"] = [str(path), *_verify_inputs(header.inputs)]
    return Result(path, numbers)


def _verify(path: Path, header: Header) -> None:
    if content_of(path, header) != header.sha256:
        raise FileError(f"{path}: damaged: its content does not match the checksum in its header; make it again")


def _verify_inputs(inputs: dict[str, dict[str, Any]]) -> list[str]:
    verified = []
    for record in inputs.values():
        path = Path(record["path"])
        if path.exists() and record.get("made_by"):
            header = read_any_header(path)
            if header.sha256 != record["sha256"]:
                raise FileError(
                    f"{path}: is another file now than the one that was used (content {record['sha256'][:12]}, now {header.sha256[:12]})"
                )
            _verify(path, header)
            verified.append(str(path))
        verified += _verify_inputs(record.get("inputs", {}))
    return list(dict.fromkeys(verified))
