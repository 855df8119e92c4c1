"""Networks in TorchScript files: other people's features, as of inception-2015-12-05.pt, by which StyleGAN's tables are measured."""

import hashlib
import warnings
import zipfile
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import FileError
from genrev_cli.shapes import Pixels

_RATIO = 1032  # the most that deflate, by which torch packs, makes of one byte


@final
class ScriptedNetwork:
    """The network of a TorchScript file, in eval mode: pixels (B, 3, H, W) uint8 → (B, d) or (B, d, 1, 1) float, whatever it computes.

    A TorchScript file is a program, and it runs with the rights of whoever loads it: load those whose makers you trust.
    sha256: of the file. layer: 'features' where the network is asked for them by `return_features=True`, else 'output'.

    Raises FileError when the file is missing, truncated, damaged, or holds no TorchScript; a pickle is refused unread.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        _require_torchscript(path)
        self._path = path
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self._module = _load(path, torch.device(device)).eval()
        forward = getattr(self._module, "forward", None)
        if forward is None:
            raise FileError(f"{path}: its network has no 'forward'; script one that does")
        asks = any(argument.name == "return_features" for argument in forward.schema.arguments)
        self._arguments, self.layer = ({"return_features": True}, "features") if asks else ({}, "output")
        self._device = torch.device(device)

    @torch.inference_mode()  # here and not only around it: the interpreter keeps what its first call told it of gradients
    def __call__(self, pixels: Pixels) -> Tensor:
        """What the network makes of `pixels`, which are on its device. Raises FileError when it fails on them or gives no floats."""
        try:
            features = self._module(pixels, **self._arguments)
        except (RuntimeError, torch.jit.Error) as error:
            reason = str(error).strip().splitlines()[-1]
            raise FileError(f"{self._path}: its network cannot take uint8 images of shape {tuple(pixels.shape)} ({reason})") from error
        if not isinstance(features, Tensor) or not features.is_floating_point():
            kind = features.dtype if isinstance(features, Tensor) else type(features).__name__
            raise FileError(f"{self._path}: its network gives {kind} where one float tensor (B, d) is needed; script one that does")
        return features

    def dims(self, height: int, width: int) -> int:
        """The d that it gives for images of a size, found with two black ones. Raises FileError when its output is no (B, d)."""
        shape = tuple(self(torch.zeros(2, 3, height, width, dtype=torch.uint8, device=self._device)).shape)
        if len(shape) not in (2, 4) or shape[0] != 2 or shape[2:] not in ((), (1, 1)):
            raise FileError(f"{self._path}: its network gives {shape} for 2 images where (2, d) or (2, d, 1, 1) is needed; pool its output")
        return shape[1]


def _require_torchscript(path: Path) -> None:
    """The reader of torch checks neither what kind of archive a file is nor the checksums of its parts."""
    if not path.is_file():
        raise FileError(f"{path}: no such file; a TorchScript file is needed")
    with path.open("rb") as file:
        pickled = file.read(1) == b"\x80"  # how a pickle begins: torch.save before 1.6
    names: list[str] = []
    if not pickled:
        try:
            with zipfile.ZipFile(path) as archive:
                if any(_is_bomb(entry) for entry in archive.infolist()):
                    raise ValueError("an entry would grow beyond measure")
                damaged, names = archive.testzip(), archive.namelist()
        except Exception as error:  # of damaged archives it raises whatever it stumbles upon
            raise FileError(f"{path}: not a TorchScript file, or truncated ({type(error).__name__}); fetch or save it again") from error
        if damaged:
            raise FileError(f"{path}: damaged: '{damaged}' in it does not match its checksum; fetch or save it again")
    if not any(name.rpartition("/")[2] == "constants.pkl" for name in names):
        raise FileError(
            f"{path}: not a TorchScript file (one of torch.save holds weights without a network); "
            "make one with torch.jit.script(network).save(FILE), or pass Inception's weights with --weights"
        )


def _is_bomb(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is packed by what torch does not pack by, or cannot become as large as it says."""
    return entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.file_size > _RATIO * entry.compress_size


def _load(path: Path, device: torch.device) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            # torch.export is to replace TorchScript; published extractors are TorchScript all the same.
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated", FutureWarning)
            return torch.jit.load(path, map_location=device)
    except Exception as error:  # its interpreter raises whatever it stumbles upon
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FileError(f"{path}: not a TorchScript file that this torch can read ({first})") from error
