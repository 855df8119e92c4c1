"""Turn what Python users give into blocks of tensors, and results into what they gave: NumPy arrays, pictures, paths or tensors."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genrev_cli.data.photos import find_photos
from genrev_cli.data.pixels import DamagedImage
from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.progress import Progress
from genrev_cli.shapes import Images, to_float, to_pixels
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.preparation import fitting_of

Given: TypeAlias = np.ndarray | Tensor | Image.Image | str | Path | Sequence[Image.Image | str | Path]
"""Images: an array or a tensor of them, or pictures of any size: one or many, in memory or by their paths."""

LOWEST, HIGHEST = -0.5, 1.5
"""Limits of float pixels, whose range is 0 to 1: beyond them they are surely of another scale; a decoder may exceed 0 to 1 a little."""


class Warnings(Progress):
    """Passes notes on as Python's warnings."""

    def note(self, message: str) -> None:
        warnings.warn(message, stacklevel=2)


@dataclass(frozen=True, kw_only=True)
class Batch(ABC):
    """n images of a checkpoint, in blocks; and how results go back."""

    n: int
    device: torch.device

    @abstractmethod
    def block(self, rows: slice) -> Images:
        """Return some images on the device, (k, C, H, W) float with pixels in [0, 1]."""

    @abstractmethod
    def images(self, found: Images) -> Any:
        """Return images (…, C, H, W) float, pixels in [0, 1], as the user gets them."""

    @abstractmethod
    def numbers(self, found: Tensor) -> Any:
        """Return codes or scores as the user gets them."""

    def map(self, function: Callable[[Images], Tensor], size: int) -> Tensor:
        """Return the results of a function on all images, `size` at a time; those of arrays leave the device at once."""
        blocks = (self.block(slice(start, start + size)) for start in range(0, max(self.n, 1), size))
        return torch.cat([self.kept(function(block)) for block in blocks])

    def kept(self, found: Tensor) -> Tensor:
        """Return a result of a block as it is kept until all are there."""
        return found


@final
@dataclass(frozen=True, kw_only=True)
class Tensors(Batch):
    """Tensors: float is passed on as it is, and gradients flow; results are tensors on the same device."""

    given: Tensor

    def block(self, rows: slice) -> Images:
        part = self.given[rows].to(self.device)
        return to_float(part) if part.dtype == torch.uint8 else part.float()

    def images(self, found: Images) -> Tensor:
        return self.numbers(found)

    def numbers(self, found: Tensor) -> Tensor:
        return found.to(self.given.device)


@final
@dataclass(frozen=True, kw_only=True)
class Arrays(Batch):
    """Anything that is not a tensor. read: rows → (k, C, H, W) uint8 or float. Results are NumPy arrays; images are uint8.

    A result that is not finite raises DivergedError: as uint8 it would be a black image.
    """

    read: Callable[[slice], np.ndarray]

    def block(self, rows: slice) -> Images:
        part = torch.from_numpy(np.ascontiguousarray(self.read(rows))).to(self.device)
        return to_float(part) if part.dtype == torch.uint8 else part.float()

    def kept(self, found: Tensor) -> Tensor:
        kept = found.detach().cpu()
        if not kept.isfinite().all():
            raise DivergedError("a result is not finite; the model has diverged, or what it was given is not finite")
        return kept

    def images(self, found: Images) -> np.ndarray:
        return to_pixels(found.detach()).cpu().numpy()

    def numbers(self, found: Tensor) -> np.ndarray:
        return found.detach().float().cpu().numpy()


def images_given(model: Checkpoint, given: Given, device: torch.device) -> Batch:
    """Return images for a checkpoint.

    An array or a tensor has the model's size, (N, C, H, W) or (N, H, W, C), or one image without N: uint8 from 0 to 255, or float from 0
    to 1. Pictures, and files, folders and zips of them, may have any size; they are prepared as the data of the training was.
    Raises UsageError for another type, shape or scale, FileError for an unusable file.
    """
    if isinstance(given, Tensor):
        shape = model.autoencoder.image_shape
        tensor = given[None] if tuple(given.shape) == shape else given
        if tuple(tensor.shape[1:]) != shape:
            raise UsageError(f"a tensor has shape {tuple(given.shape)}, but {model.path} takes {_wanted(model)}")
        return Tensors(n=len(tensor), device=device, given=tensor if tensor.dtype == torch.uint8 else _scaled(tensor))
    if isinstance(given, np.ndarray):
        array = _channels_first(given, model)
        return Arrays(n=len(array), device=device, read=lambda rows: array[rows])
    return _pictures(model, [given] if isinstance(given, str | Path | Image.Image) else list(given), device)


def _pictures(model: Checkpoint, given: list[Any], device: torch.device) -> Batch:
    fitting = fitting_of(model, Warnings())
    if given and all(isinstance(one, str | Path) for one in given):
        photos = find_photos([Path(one) for one in given], Warnings())
        return Arrays(n=len(photos), device=device, read=lambda rows: photos.read(fitting, rows.start, rows.stop))
    if not given or not all(isinstance(one, Image.Image) for one in given):
        kinds = sorted({type(one).__name__ for one in given}) or ["nothing"]
        raise UsageError(f"images are given as {', '.join(kinds)}; give a NumPy array, a tensor, pictures of Pillow, or paths")

    def read(rows: slice) -> np.ndarray:
        try:
            return np.stack([fitting.of(picture) for picture in given[rows]])
        except DamagedImage as error:
            raise UsageError(f"a picture cannot be used: {error}") from error

    return Arrays(n=len(given), device=device, read=read)


def _channels_first(given: np.ndarray, model: Checkpoint) -> np.ndarray:
    """Return images as (N, C, H, W), a view. Raises UsageError for another type, shape or scale."""
    channels, height, width = model.autoencoder.image_shape
    single = {(channels, height, width): given[None], (height, width, channels): given[None]}
    found = single.get(given.shape, given)
    if channels == 1 and found.shape[-2:] == (height, width) and given.ndim in (2, 3):
        found = given.reshape(-1, 1, height, width)
    if found.ndim == 4 and found.shape[1:] == (height, width, channels):
        found = found.transpose(0, 3, 1, 2)
    if found.shape[1:] != (channels, height, width):
        raise UsageError(
            f"an array has shape {given.shape}, but {model.path} takes {_wanted(model)}; give pictures of Pillow or paths "
            "to have them cropped and resized"
        )
    return found if found.dtype == np.uint8 else _scaled(found)


def _wanted(model: Checkpoint) -> str:
    channels, height, width = model.autoencoder.image_shape
    return f"(N, {channels}, {height}, {width})"


def _scaled(pixels: Any) -> Any:
    """Return float pixels, a tensor or an array. Raises UsageError for another type, or values far outside of 0 to 1."""
    kind = pixels.dtype
    if not (kind.is_floating_point if isinstance(pixels, Tensor) else kind.kind == "f"):
        raise UsageError(f"pixels are {kind}; give uint8 from 0 to 255, or float from 0 to 1")
    if len(pixels) == 0:
        return pixels
    values = pixels.detach() if isinstance(pixels, Tensor) else pixels
    low, high = float(values.min()), float(values.max())
    if not (low >= LOWEST and high <= HIGHEST):  # written so that NaN is refused
        raise UsageError(
            f"pixels are from {low:.3g} to {high:.3g}, but float pixels are from 0 (black) to 1 (white), and uint8 from 0 to 255; "
            "scale them, or call model.network with any values"
        )
    return pixels


def codes_given(given: np.ndarray | Tensor, device: torch.device) -> Batch:
    """Return codes (N, d) in blocks like images; a single code (d,) is one of N = 1. Raises UsageError for another type or shape."""
    if isinstance(given, Tensor):
        if not given.is_floating_point() or given.ndim not in (1, 2):
            raise UsageError(f"codes are a tensor of {given.dtype} and shape {tuple(given.shape)}; give float (N, d)")
        tensor = given.reshape(-1, given.shape[-1])
        return Tensors(n=len(tensor), device=device, given=tensor)
    array = np.asarray(given)
    if array.dtype.kind != "f" or array.ndim not in (1, 2):
        raise UsageError(f"codes are an array of {array.dtype} and shape {array.shape}; give float (N, d)")
    rows = array.reshape(-1, array.shape[-1])
    return Arrays(n=len(rows), device=device, read=lambda part: rows[part].astype(np.float32))
