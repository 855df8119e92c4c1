"""info: any file of ours → what it is and the whole chain of what it was made from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError
from genrev_cli.files.any import content_of, read_any_header
from genrev_cli.files.codes import read_names
from genrev_cli.files.counts import counts_of
from genrev_cli.files.directions import KIND, open_directions
from genrev_cli.files.header import Header
from genrev_cli.files.strip import write_stripped
from genrev_cli.files.targets import check_target
from genrev_cli.result import Result
from genrev_cli.settings.pages import InfoSettings
from genrev_cli.store.direction_table import table_of


def info(path: Path, settings: InfoSettings) -> Result:
    """Return a file's header and chain, the names of the pictures whose codes it has, and the table of its directions.

    With `verify`, check its content and that of every input still there against their digests.
    With `out`, write a copy there whose header has no path of this machine; its content is checked.
    Raises FileError when the file is not ours, or when anything that was checked does not match.
    """
    header = read_any_header(path)
    if settings.out is not None:
        return _strip(path, header, settings.out)
    numbers: dict[str, Any] = asdict(header)
    if header.kind == "codes" and (names := read_names(path)):
        numbers["names"] = list(names)
    if header.kind == KIND:
        numbers["table"] = table_of(open_directions(path).about, "directions")
    if settings.verify:
        _verify(path, header)
        numbers["verified"] = [str(path), *_verify_inputs(header.inputs)]
    return Result(path, numbers | counts_of(path, header))


def _strip(path: Path, header: Header, out: Path) -> Result:
    """Write the copy. Raises FileError for a target that holds anything else than an earlier copy of the same content."""
    check_target(out, header.kind, (path.suffix,), [path])
    _verify(path, header)
    if out.exists() and header.kind != "report" and read_any_header(out).sha256 != header.sha256:
        raise FileError(f"{out}: exists and has another content than {path}; choose another --out, or remove it")
    return Result(out, {"kind": header.kind, "sha256": write_stripped(path, out).sha256})


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
