"""info: any file of ours → what it is and the whole chain of what it was made from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError
from genrev_cli.files.any import content_of, read_any_header
from genrev_cli.files.codes import read_names
from genrev_cli.files.header import Header
from genrev_cli.result import Result
from genrev_cli.settings.pages import InfoSettings


def info(path: Path, settings: InfoSettings) -> Result:
    """Return a file's header and chain, and the names of the pictures whose codes it has.

    With `verify`, check its content and that of every input still there against their digests.
    Raises FileError when the file is not ours or, with `verify`, when anything does not match.
    """
    header = read_any_header(path)
    numbers: dict[str, Any] = asdict(header)
    if header.kind == "codes" and (names := read_names(path)):
        numbers["names"] = list(names)
    if settings.verify:
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
