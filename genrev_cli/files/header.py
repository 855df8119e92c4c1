"""The header that every file of ours carries: what it is, what rebuilds it, what it was made from and how.

The same JSON stands in the safetensors metadata under `genrev`, in the HDF5 root attribute `genrev`, in a PNG's text chunk
`genrev` and under the key `genrev` of a JSON file. Inputs are kept with *their* headers, so the whole chain can be read from
the last file alone, even when the others are gone.
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

FORMAT = 1
KEY = "genrev"


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
        return json.dumps(asdict(self), ensure_ascii=False)

    def as_input(self, path: Path) -> dict[str, Any]:
        """How a file made from this one records it."""
        return {"path": str(path.resolve()), **asdict(self)}


def parse_header(text: str | bytes | None, path: Path) -> Header:
    """The header in `text`, read from `path`.

    Raises FileError when there is none, or it was written by a later format.
    """
    foreign = FileError(f"{path}: not a file of genrev's: it has no header that says how it was made")
    if text is None:
        raise foreign
    try:
        fields = json.loads(text)
        later = fields.get("format", FORMAT) > FORMAT  # asked first: a later format may have fields that this one does not know
        header = None if later else Header(**fields)
    except (AttributeError, TypeError, ValueError) as error:
        raise foreign from error
    if header is None:
        raise FileError(
            f"{path}: written by a later version of genrev (file format {fields['format']}, this one reads {FORMAT}); upgrade genrev"
        )
    return header


def require_kind(header: Header, kind: str, path: Path, maker: str) -> Header:
    """`header`, if it is of `kind`; otherwise FileError naming `maker`, the command that makes such a file."""
    if header.kind != kind:
        raise FileError(f"{path}: a file of kind '{header.kind}' where '{kind}' is needed; '{maker}' makes one")
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
