"""Find the weights of the Inception network that defines the FID, and check that they are complete."""

import hashlib
import os
import shutil
import urllib.request
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from genrev_cli.errors import FileError, UnavailableError

NAME = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{NAME}"
SHA256_PREFIX = "6726825d"

_TIMEOUT_SECONDS = 30


def find_inception_weights(given: Path | None = None) -> Path:
    """Return the first weights file of: `given`, $GENREV_WEIGHTS, `weights_places`. If there is none, download it to ~/.cache/genrev.

    Raises FileError if `given` or $GENREV_WEIGHTS names a missing file, UnavailableError if no file is found and the download fails.
    """
    if found := local_inception_weights(given):
        return found
    ours = weights_places()[0]
    try:
        _download(ours)
    except OSError as error:  # URLError and time-outs are OSErrors
        looked_for = " or ".join(str(place) for place in weights_places())
        raise UnavailableError(
            f"no Inception weights: $GENREV_WEIGHTS is not set, there is no {looked_for}, and {URL} (sha256 {SHA256_PREFIX}…) cannot be "
            f"fetched ({error}); fetch it elsewhere and pass it with --weights FILE, or use --features pixel (not comparable with FID)"
        ) from error
    return ours


def local_inception_weights(given: Path | None = None) -> Path | None:
    """Return the weights file like `find_inception_weights`, but None instead of a download.

    Raises FileError if `given` or $GENREV_WEIGHTS names a missing file.
    """
    variable = os.environ.get("GENREV_WEIGHTS")
    for named, said_by in ((given, "--weights"), (Path(variable) if variable else None, "$GENREV_WEIGHTS")):
        if named is not None:
            if not named.is_file():
                raise FileError(f"{named}: no such file ({said_by}); give the path of {NAME}")
            return named
    return next((place for place in weights_places() if place.is_file()), None)


def weights_places() -> tuple[Path, Path]:
    """Return the default paths of the weights: the target of the download in ~/.cache/genrev, then torch hub's checkpoints."""
    return Path.home() / ".cache" / "genrev" / NAME, Path(torch.hub.get_dir()) / "checkpoints" / NAME


def require_readable(path: Path) -> str:
    """Return the sha256 of a weights file that is safe to read: a .safetensors file, or the published .pth.

    Raises FileError for any other file, and for a published file that is truncated or corrupt.
    """
    sha256 = _sha256(path)
    if path.name == NAME:
        _require_whole(path, sha256)
    elif path.suffix != ".safetensors":
        _require_published(path, sha256)
    return sha256


def load_inception_weights(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read a .safetensors file or the published .pth; return its state dict (on the CPU) and its sha256.

    Raises FileError if the file is missing, truncated, corrupt, not a state dict, or another file in torch's format.
    """
    sha256 = require_readable(path)
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _load_torch(path)
    except Exception as error:  # both readers raise many kinds of errors
        raise FileError(f"{path}: not a readable weights file, or truncated ({type(error).__name__}); fetch it again from {URL}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FileError(f"{path}: not a state dict (names and tensors); the FID's is at {URL}")
    return dict(state), sha256


def _load_torch(path: Path) -> dict[str, Tensor]:
    # pytorch-fid publishes its weights only in torch's own format, and only here is such a file read. weights_only runs no code from it,
    # but a file of a kilobyte may ask for gigabytes of memory, so only the published file is allowed.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd protocols, in files that are refused below
        return torch.serialization.load(path, map_location="cpu", weights_only=True)


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise FileError(f"{path}: no such file; the FID's weights are at {URL}")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_whole(path: Path, sha256: str) -> None:
    if not sha256.startswith(SHA256_PREFIX):
        raise FileError(f"{path}: truncated or corrupt: its sha256 is {sha256[:8]}…, not {SHA256_PREFIX}…; delete it and fetch {URL} again")


def _require_published(path: Path, sha256: str) -> None:
    if not sha256.startswith(SHA256_PREFIX):
        raise FileError(
            f"{path}: not the published weights, or truncated: its sha256 is {sha256[:8]}…, not {SHA256_PREFIX}…; other weights "
            "must be .safetensors: convert them with safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'FILE.safetensors')"
        )


def _download(target: Path) -> None:
    part = target.with_name(f".{NAME}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(URL, timeout=_TIMEOUT_SECONDS) as response, part.open("wb") as file:
            shutil.copyfileobj(response, file)
        _require_whole(part, _sha256(part))
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
