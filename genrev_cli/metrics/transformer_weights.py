"""Find the weights of DINOv2 and CLIP, which are published as safetensors or can be converted to it."""

import hashlib
import os
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from genrev_cli.errors import FileError, UnavailableError

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Published:
    """Weights on the Hugging Face hub. file: their name in ~/.cache/genrev. url: '' if they have to be converted. cure: how to get them."""

    file: str
    url: str
    cure: str


PUBLISHED = {
    "dinov2": Published(
        "dinov2-large.safetensors",
        "https://huggingface.co/facebook/dinov2-large/resolve/main/model.safetensors",
        "fetch model.safetensors of huggingface.co/facebook/dinov2-large elsewhere",
    ),
    "clip": Published(
        "clip-vit-large-patch14-336.safetensors",
        "",
        'make model.safetensors with transformers: python -c "from transformers import CLIPVisionModelWithProjection as C; '
        "C.from_pretrained('openai/clip-vit-large-patch14-336').save_pretrained('clip')\"",
    ),
}
"""Features → the weights that papers use: ViT-L/14 for the FD-DINOv2, ViT-L/14 at 336×336 for the CMMD."""


def find_transformer_weights(features: str, given: Path | None = None) -> Path:
    """Return the first weights file of: `given`, $GENREV_WEIGHTS, ~/.cache/genrev. If there is none, download it to the latter.

    Raises FileError if `given` or $GENREV_WEIGHTS names a missing file, UnavailableError if there is no file and none can be fetched.
    """
    known, variable = PUBLISHED[features], os.environ.get("GENREV_WEIGHTS")
    for named, said_by in ((given, "--weights"), (Path(variable) if variable else None, "$GENREV_WEIGHTS")):
        if named is not None:
            if not named.is_file():
                raise FileError(f"{named}: no such file ({said_by}); give the path of the weights of {features}")
            return named
    ours = Path.home() / ".cache" / "genrev" / known.file
    if ours.is_file():
        return ours
    try:
        if not known.url:
            raise OSError("they are not published as safetensors")
        _download(known.url, ours)
    except OSError as error:  # URLError and time-outs are OSErrors
        raise UnavailableError(
            f"no weights of {features}: $GENREV_WEIGHTS is not set, there is no {ours}, and they cannot be fetched ({error}); "
            f"{known.cure}, and pass the file with --weights FILE"
        ) from error
    return ours


def load_transformer_weights(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read a .safetensors file; return its tensors (on the CPU) and its sha256. Raises FileError if it is missing, damaged or another."""
    if not path.is_file():
        raise FileError(f"{path}: no such file; weights of DINOv2 and CLIP are .safetensors files")
    try:
        state = load_file(path)
    except Exception as error:  # damaged files raise many kinds of errors
        raise FileError(f"{path}: not a .safetensors file, or truncated ({type(error).__name__}); fetch it again") from error
    return state, weights_digest(path)


def weights_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, target: Path) -> None:
    """Download a file whole or not at all. Raises OSError."""
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, part.open("wb") as file:
            shutil.copyfileobj(response, file)
            expected = response.headers.get("Content-Length")
        if expected and part.stat().st_size != int(expected):
            raise OSError(f"{url} ended early")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
