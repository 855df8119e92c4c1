"""Feature networks in TorchScript files, for example inception-2015-12-05.pt, which StyleGAN's tables use."""

import hashlib
import warnings
import zipfile
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import FileError
from genrev_cli.shapes import Pixels

_RATIO = 1032  # the highest compression ratio of deflate, which torch uses


@final
class ScriptedNetwork:
    """The network of a TorchScript file, in eval mode: pixels (B, 3, H, W) uint8 → (B, d) or (B, d, 1, 1) float.

    A TorchScript file is a program that runs with your rights, so load only files from people you trust.
    sha256: of the file. layer: 'features' if the network has the argument `return_features`, which is then True; else 'output'.

    Raises FileError if the file is missing, truncated, damaged, or not TorchScript. A pickle is refused unread.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        _require_torchscript(path)
        self._path = path
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self._module = _load(path, torch.device(device)).eval()
        forward = getattr(self._module, "forward", None)
        if forward is None:
            raise FileError(f"{path}: its network has no 'forward'; script a network that has one")
        asks = any(argument.name == "return_features" for argument in forward.schema.arguments)
        self._arguments, self.layer = ({"return_features": True}, "features") if asks else ({}, "output")
        self._device = torch.device(device)

    @torch.inference_mode()  # needed here too: the interpreter remembers from its first call whether gradients are on
    def __call__(self, pixels: Pixels) -> Tensor:
        """Return the network's output for `pixels` on its device. Raises FileError if the network fails or returns no float tensor."""
        try:
            features = self._module(pixels, **self._arguments)
        except (RuntimeError, torch.jit.Error) as error:
            reason = str(error).strip().splitlines()[-1]
            raise FileError(f"{self._path}: its network cannot take uint8 images of shape {tuple(pixels.shape)} ({reason})") from error
        if not isinstance(features, Tensor) or not features.is_floating_point():
            kind = features.dtype if isinstance(features, Tensor) else type(features).__name__
            raise FileError(
                f"{self._path}: its network returns {kind}, but one float tensor (B, d) is needed; script a network that returns one"
            )
        return features

    def dims(self, height: int, width: int) -> int:
        """Return d for images of this size, found by running two black images. Raises FileError if the output is not (B, d)."""
        shape = tuple(self(torch.zeros(2, 3, height, width, dtype=torch.uint8, device=self._device)).shape)
        if len(shape) not in (2, 4) or shape[0] != 2 or shape[2:] not in ((), (1, 1)):
            raise FileError(
                f"{self._path}: its network returns {shape} for 2 images, but (2, d) or (2, d, 1, 1) is needed; pool its output"
            )
        return shape[1]


def _require_torchscript(path: Path) -> None:
    """Raise FileError unless the file is a whole TorchScript archive. torch checks neither the kind of archive nor its checksums."""
    if not path.is_file():
        raise FileError(f"{path}: no such file; a TorchScript file is needed")
    with path.open("rb") as file:
        pickled = file.read(1) == b"\x80"  # the first byte of a pickle, as torch.save before 1.6 wrote it
    names: list[str] = []
    if not pickled:
        try:
            with zipfile.ZipFile(path) as archive:
                if any(_is_bomb(entry) for entry in archive.infolist()):
                    raise ValueError("an entry claims an impossible size")
                damaged, names = archive.testzip(), archive.namelist()
        except Exception as error:  # damaged archives raise many kinds of errors
            raise FileError(f"{path}: not a TorchScript file, or truncated ({type(error).__name__}); fetch or save it again") from error
        if damaged:
            raise FileError(f"{path}: damaged: '{damaged}' in it does not match its checksum; fetch or save it again")
    if not any(name.rpartition("/")[2] == "constants.pkl" for name in names):
        raise FileError(
            f"{path}: not a TorchScript file (a file of torch.save holds weights without a network); "
            "make one with torch.jit.script(network).save(FILE), or pass Inception's weights with --weights"
        )


def _is_bomb(entry: zipfile.ZipInfo) -> bool:
    """Return True if an entry uses a compression that torch does not, or claims a size that it cannot have."""
    return entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.file_size > _RATIO * entry.compress_size


def _load(path: Path, device: torch.device) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            # torch deprecates TorchScript in favour of torch.export, but published extractors are TorchScript.
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated", FutureWarning)
            return torch.jit.load(path, map_location=device)
    except Exception as error:  # torch's interpreter raises many kinds of errors
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FileError(f"{path}: not a TorchScript file that this torch can read ({first})") from error
