"""The header of every file that genrev writes: its kind, the config that rebuilds it, its inputs, and how it was made.

The same JSON is stored in the safetensors metadata under `genrev`, in the HDF5 root attribute `genrev`, in a PNG's text chunk
`genrev` and under the key `genrev` of a JSON file. Inputs are stored with *their* headers, so the last file alone tells the whole
chain, even if the other files are gone. The key `checksum` protects the header itself; files of format 1 may lack it. A reader
ignores fields that it does not know if the checksum is correct.
"""

import datetime
import functools
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files.schema import wrong_value
from genrev_cli.invocation import command

FORMAT = 2  # readers of format 1 know no checksum, and reject a header with an unknown field
KEY = "genrev"

_CHECKSUM = "checksum"
_DEEPEST = 256  # nested tables, two for each file in the chain; Python's stack overflows at about 450
_FIELDS = {"kind": str, "config": dict, "sha256": str, "step": int, "inputs": dict, "made_by": dict, "format": int}

_REBUILDS: dict[str, dict[str, type]] = {
    "data": {"source": dict, "image_shape": list},
    "checkpoint": {"model": dict, "prior": dict},
    "sampler": {"sampler": dict},
    "codes": {"dim": int},
    "directions": {"dim": int, "latent": str, "directions": list},
}
"""Kind → the config keys that a file of this kind must have to be usable, with their types."""


@dataclass(frozen=True)
class Header:
    """The provenance of one file.

    kind: data, checkpoint, classifier, state, codes, directions, samples, picture, film, score, probe, statistics, features,
        sweep, bench, report or tour.
    config: rebuilds the object. step: number of training steps (0 if there was no training).
    sha256: digest of the content, see `content_digest`; equal content has an equal digest, whenever it was made.
    inputs: role → {path, and the header of that file}. made_by: see `provenance`.
    """

    kind: str
    config: dict[str, Any]
    sha256: str
    step: int = 0
    _: KW_ONLY
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the fields and their checksum as JSON."""
        # The checksum is that of the fields as a reader gets them: tuples as lists, keys as strings, bytes that are not UTF-8 replaced.
        fields = json.loads(json.dumps(asdict(self), ensure_ascii=False).encode(errors="replace"))
        return json.dumps({**fields, _CHECKSUM: _checksum(fields)}, ensure_ascii=False)

    def as_input(self, path: Path) -> dict[str, Any]:
        """Return the record that a file made from this one stores."""
        return {"path": str(path.resolve()), **asdict(self)}


def _checksum(fields: dict[str, Any]) -> str:
    """Return the sha256 of a header's JSON, independent of key order and spacing."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def parse_header(text: str | bytes | None, path: Path) -> Header:
    """Return the header in `text`, which was read from `path`.

    Raises FileError if there is none, it is damaged, or its format is later than `FORMAT`.
    """
    try:
        fields = _loaded(text)
        later = fields.get("format", FORMAT) > FORMAT  # checked first: a later format may have fields that this one does not know
        checksum = fields.pop(_CHECKSUM, None)
        sound = checksum == _checksum(fields) if checksum is not None else fields.get("format", 1) == 1
        known = fields if checksum is None else {name: value for name, value in fields.items() if name in _FIELDS}
        header = None if later or not sound or not _well_formed(fields) else Header(**known)
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise FileError(f"{path}: not written by genrev: it has no genrev header") from error
    if later:
        raise FileError(
            f"{path}: written by a later version of genrev (file format {fields['format']}, this one reads {FORMAT}); upgrade genrev"
        )
    if header is not None and (wrong := _wrong(vars(header))):
        raise FileError(f"{path}: damaged: in its header {wrong}; make it again")
    if header is None:
        raise FileError(f"{path}: damaged: its header is malformed, or does not match its own checksum; make it again")
    return header


def _loaded(text: str | bytes | None) -> dict[str, Any]:
    """Return the JSON in `text`. Raises ValueError, TypeError or RecursionError if it is missing, invalid, or nested too deeply."""
    if text is None:
        raise ValueError("no header")
    fields = json.loads(text.decode() if isinstance(text, bytes) else text)
    depth, level = 0, [fields]
    while level:
        depth += 1
        level = [
            inner for outer in level if isinstance(outer, dict | list) for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if depth > _DEEPEST:
        raise ValueError(f"{depth} nested tables")
    json.dumps(fields, ensure_ascii=False).encode()  # raises for lone surrogates, which JSON can escape and UTF-8 cannot encode
    return fields


def _well_formed(fields: dict[str, Any]) -> bool:
    """Return True if the fields of a header, and of the headers of its inputs, have the right types."""
    made_by = fields.get("made_by")
    return (
        all(isinstance(fields[name], kind) for name, kind in _FIELDS.items() if name in fields)
        and (not made_by or (isinstance(made_by.get("command"), str) and isinstance(made_by.get("seconds"), int | float)))
        and all(isinstance(record, dict) for record in fields.get("inputs", {}).values())
        and all(
            all(isinstance(record.get(name), str) for name in ("path", "kind", "sha256")) and _well_formed(record)
            for record in fields.get("inputs", {}).values()
        )
    )


def _wrong(fields: dict[str, Any]) -> str:
    """Return what `wrong_value` says of a header, or of the headers of its inputs."""
    found = wrong_value(fields["kind"], fields.get("config", {}), fields.get("made_by", {}))
    return found or next(filter(None, map(_wrong, fields.get("inputs", {}).values())), "")


def require_kind(header: Header, kind: str, path: Path, maker: str) -> Header:
    """Return `header` if it has this kind and the config keys of this kind.

    Raises FileError otherwise, naming `maker`, the command that makes such a file.
    """
    if header.kind != kind:
        raise FileError(f"{path}: is a file of kind '{header.kind}', but '{kind}' is needed; make one with '{maker}'")
    for name, expected in _REBUILDS.get(kind, {}).items():
        value = header.config.get(name)
        if not isinstance(value, expected) or (name == "source" and "name" not in header.config[name]):
            raise FileError(f"{path}: damaged: its header has no valid '{name}'; run '{maker}' again")
    return header


def array_digest(dtype: str, shape: Iterable[int], buffers: Iterable[bytes | memoryview | np.ndarray]) -> str:
    """Return the sha256 of one array: its type, its shape, and its bytes in C order, which are given in pieces."""
    digest = hashlib.sha256(f"{dtype} {list(shape)}\n".encode())
    for buffer in buffers:
        digest.update(cast(memoryview, buffer))  # numpy's type stubs declare the buffer protocol from Python 3.12 on only
    return digest.hexdigest()


def content_digest(arrays: Mapping[str, str]) -> str:
    """Return the sha256 over the digests of named arrays, independent of their order."""
    return hashlib.sha256("\n".join(f"{name} {arrays[name]}" for name in sorted(arrays)).encode()).hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    names = ("genrev-cli", "torch", "torchvision", "numpy", "h5py", "safetensors", "POT", "scikit-learn")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # genrev runs from a source tree, or an optional package is not installed
    return found


@functools.cache
def commit_of(file: Path) -> str:
    """Return the commit of the checkout that tracks `file`, with '+' if the checkout has changes; '' outside one. Takes no lock of git."""

    def git(*words: str) -> str:
        # 'git describe --dirty' takes the lock of the index even without optional locks, and a commit at this moment would fail.
        command = ["git", "--no-optional-locks", "-C", str(file.parent), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", str(file))
        return git("rev-parse", "--short=12", "HEAD") + "+" * bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return ""


def provenance(*, seconds: float, seed: int | None = None, device: str | None = None) -> dict[str, Any]:
    """Return how a file is made: command, versions, commit, machine, seed, device, time (UTC) and duration."""
    made = {
        "command": command(),
        "versions": _versions(),
        "git": commit_of(Path(__file__).resolve()),
        "machine": platform.platform(),
        "utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
    }
    return made | ({"seed": seed} if seed is not None else {}) | ({"device": device} if device is not None else {})
