"""info: any file of ours → what it is and the whole chain of what it was made from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.any import content_of, read_any_header
from genrev_cli.files.codes import read_names
from genrev_cli.files.counts import counts_of
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import read_score
from genrev_cli.files.strip import stripped, write_stripped
from genrev_cli.files.targets import check_target
from genrev_cli.report.chain import Record
from genrev_cli.report.material import Score
from genrev_cli.result import Result
from genrev_cli.settings.pages import InfoSettings
from genrev_cli.store.direction_table import table_of


def info(path: Path, settings: InfoSettings) -> Result:
    """Return a file's header and chain, the names of the pictures whose codes it has, and the table of its directions.

    The name of a model that comes with genrev stands for its file.
    With `verify`, check its content and that of every input still there against their digests.
    With `out`, write a copy there whose header has no path of this machine; its content is checked. `half` and `scores` change the copy.
    Raises FileError when the file is not ours, or when anything that was checked does not match.
    """
    path = pretrained.found(path)
    header = read_any_header(path)
    if settings.out is not None:
        return _strip(path, header, settings.out, settings)
    numbers: dict[str, Any] = asdict(header)
    if header.kind == "codes" and (names := read_names(path)):
        numbers["names"] = list(names)
    if header.kind == "directions":
        from genrev_cli.files.directions import open_directions  # with torch, which takes a second

        numbers["table"] = table_of(open_directions(path).about, "directions")
    if settings.verify:
        _verify(path, header)
        numbers["verified"] = [str(path), *_verify_inputs(header.inputs)]
    return Result(path, numbers | counts_of(path, header))


def _strip(path: Path, header: Header, out: Path, settings: InfoSettings) -> Result:
    """Write the copy. Raises FileError for a target that holds anything else than an earlier copy of the same file, and for a score of
    another checkpoint; UsageError for scores and `half` with a file that is no checkpoint.
    """
    check_target(out, header.kind, (path.suffix,), [path, *settings.scores])
    if header.kind != "checkpoint" and (settings.half or settings.scores):
        raise UsageError(f"{path}: is no checkpoint, and only these have weights and scores; leave out --half and --score")
    _verify(path, header)
    if out.exists() and header.kind != "report" and not _is_copy(read_any_header(out), header, settings):
        raise FileError(f"{out}: exists and has another content than {path}; choose another --out, or remove it")
    scores = [_kept(score, path, header) for score in settings.scores]
    return Result(out, {"kind": header.kind, "sha256": write_stripped(path, out, half=settings.half, scores=scores).sha256})


def _is_copy(old: Header, header: Header, settings: InfoSettings) -> bool:
    """Return True for the header of an earlier copy: of the same content, or where that was rounded, of the same training."""
    return old.sha256 == header.sha256 or (settings.half and old.made_by.get("utc") == header.made_by.get("utc"))


def _kept(path: Path, ckpt: Path, header: Header) -> dict[str, Any]:
    """Return what the header of a checkpoint keeps of a score: its result, and its header without what its inputs were made from."""
    score = Score(Record(path, stripped(read_score(path)[0])), read_score(path)[1])
    if not score.is_of(header.sha256):
        raise FileError(f"{path}: is not a score of {ckpt}; leave it out, or make one with 'genrev fid --ckpt {ckpt}'")
    inputs = {role: {**record, "config": {}, "inputs": {}} for role, record in score.record.header.inputs.items()}
    return {"result": score.result, "header": {**asdict(score.record.header), "inputs": inputs}}


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
