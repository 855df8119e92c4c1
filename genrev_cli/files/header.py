"""The header that every file of ours carries: what it is, what rebuilds it, what it was made from and how.

The same JSON stands in the safetensors metadata under `genrev`, in the HDF5 root attribute `genrev`, in a PNG's text chunk
`genrev` and under the key `genrev` of a JSON file. Inputs are kept with *their* headers, so the whole chain can be read from
the last file alone, even when the others are gone. With the fields stands `checksum`, that of the header itself; files of format 1
may have none. Fields that a reader does not know are of no meaning to it, if the checksum vouches for them.
"""

import datetime
import functools
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.invocation import command

FORMAT = 2  # 1 knew no checksum, and takes a header with an unknown field for none at all
KEY = "genrev"

_CHECKSUM = "checksum"
_DEEPEST = 256  # of nested tables, two for each file in the chain; Python's own stack ends behind some 450
_FIELDS = {"kind": str, "config": dict, "sha256": str, "step": int, "inputs": dict, "made_by": dict, "format": int}

_REBUILDS: dict[str, dict[str, type]] = {
    "data": {"source": dict, "image_shape": list},
    "checkpoint": {"model": dict, "prior": dict},
    "sampler": {"sampler": dict},
    "codes": {"dim": int},
}
"""What the config of a kind must hold for anything to be made of the file."""


@dataclass(frozen=True)
class Header:
    """One file's provenance.

    kind: data, checkpoint, classifier, state, codes, samples, picture, score, statistics, features, sweep, bench or report.
    config: rebuilds the object. step: training steps behind it (0 where there are none).
    sha256: digest of the content, see `content_digest`; equal content has an equal digest, whenever it was made.
    inputs: role → {path, and the header of that file}. made_by: see `provenance`.
    """

    kind: str
    config: dict[str, Any]
    sha256: str
    step: int = 0
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """The fields and their checksum."""
        # As a reader will have them: tuples as lists, keys as strings, and a path that is no text with its odd bytes replaced.
        fields = json.loads(json.dumps(asdict(self), ensure_ascii=False).encode(errors="replace"))
        return json.dumps({**fields, _CHECKSUM: _checksum(fields)}, ensure_ascii=False)

    def as_input(self, path: Path) -> dict[str, Any]:
        """How a file made from this one records it."""
        return {"path": str(path.resolve()), **asdict(self)}


def _checksum(fields: dict[str, Any]) -> str:
    """sha256 of a header's JSON, whatever order and spacing it was written in."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def parse_header(text: str | bytes | None, path: Path) -> Header:
    """The header in `text`, read from `path`.

    Raises FileError when there is none, it is damaged, or it was written by a later format.
    """
    try:
        fields = _loaded(text)
        later = fields.get("format", FORMAT) > FORMAT  # asked first: a later format may have fields that this one does not know
        checksum = fields.pop(_CHECKSUM, None)
        sound = checksum == _checksum(fields) if checksum is not None else fields.get("format", 1) == 1
        known = fields if checksum is None else {name: value for name, value in fields.items() if name in _FIELDS}
        header = None if later or not sound or not _well_formed(fields) else Header(**known)
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise FileError(f"{path}: not a file of genrev's: it has no header that says how it was made") from error
    if later:
        raise FileError(
            f"{path}: written by a later version of genrev (file format {fields['format']}, this one reads {FORMAT}); upgrade genrev"
        )
    if header is None:
        raise FileError(f"{path}: damaged: its header is not as genrev writes it, or does not match its own checksum; make it again")
    return header


def _loaded(text: str | bytes | None) -> dict[str, Any]:
    """JSON that can be printed and walked through. Raises ValueError, TypeError or RecursionError of other."""
    fields = json.loads(text.decode() if isinstance(text, bytes) else text)
    depth, level = 0, [fields]
    while level:
        depth += 1
        level = [
            inner for outer in level if isinstance(outer, dict | list) for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if depth > _DEEPEST:
        raise ValueError(f"{depth} tables in one another")
    json.dumps(fields, ensure_ascii=False).encode()  # halves of characters, which JSON can escape, are of no text
    return fields


def _well_formed(fields: dict[str, Any]) -> bool:
    """Whether the fields of a header, and of the headers of its inputs, are of the types that everybody takes them for."""
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


def require_kind(header: Header, kind: str, path: Path, maker: str) -> Header:
    """`header`, if it is of `kind` and says what such a file needs; otherwise FileError naming `maker`, the command that makes one."""
    if header.kind != kind:
        raise FileError(f"{path}: a file of kind '{header.kind}' where '{kind}' is needed; '{maker}' makes one")
    for name, of in _REBUILDS.get(kind, {}).items():
        if not isinstance(header.config.get(name), of):
            raise FileError(f"{path}: damaged: its header does not say its {name}; run '{maker}' again")
    return header


def array_digest(dtype: str, shape: Iterable[int], buffers: Iterable[bytes | memoryview | np.ndarray]) -> str:
    """sha256 of one array: its type, shape and bytes in C order, the latter given piece by piece."""
    digest = hashlib.sha256(f"{dtype} {list(shape)}\n".encode())
    for buffer in buffers:
        digest.update(buffer)
    return digest.hexdigest()


def content_digest(arrays: Mapping[str, str]) -> str:
    """sha256 over the digests of named arrays, independent of their order."""
    return hashlib.sha256("\n".join(f"{name} {arrays[name]}" for name in sorted(arrays)).encode()).hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    names = ("genrev-cli", "torch", "torchvision", "numpy", "h5py", "safetensors", "POT", "scikit-learn")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # running from a source tree, or an extra that is not installed
    return found


@functools.cache
def _git() -> str:
    """The commit of the source tree that is running, with '+' when it has changes; '' outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        result = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
        tracked = subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", __file__], capture_output=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 and tracked.returncode == 0 else ""


def provenance(*, seconds: float, seed: int | None = None, device: str | None = None) -> dict[str, Any]:
    """Who made a file: command, versions, commit, machine, seed, time (UTC) and how long it took."""
    made = {
        "command": command(),
        "versions": _versions(),
        "git": _git(),
        "machine": platform.platform(),
        "utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
    }
    return made | ({"seed": seed} if seed is not None else {}) | ({"device": device} if device is not None else {})
