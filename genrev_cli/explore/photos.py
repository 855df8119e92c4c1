"""The photos that are open on the page: pixels, full latent and round trip of each."""

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import final

import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.models import Autoencoder
from genrev_cli.shapes import Latents, Pixels, to_float, to_pixels
from genrev_cli.store.checkpoints import Checkpoint

MOST_OPEN = 64
"""Photos that are kept; the one that was used longest ago is dropped."""


@dataclass(frozen=True)
class RoundTrip:
    """How well a photo x comes back from its full latent, x̂ = D(E(x)), and from the restricted one.

    largest, mean: of |x̂ − x|, with pixels from 0 to 1. wrong: bytes that differ after rounding. restricted: mean |x̃ − x|.
    """

    largest: float
    mean: float
    wrong: int
    restricted: float


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo, or a drawn or chosen code. name: of its file, also in commands. about: what the page says of it.

    z: (1, D) full latent. pixels: (3, C, H, W) uint8: the original, decoded from the restricted latent, decoded from the full latent; for a
    code without a photo the original is decoded from the code.
    trip: None for a code without a photo. inverted: its file is the negative.
    """

    name: str
    about: str
    z: Latents
    pixels: Pixels
    trip: RoundTrip | None
    inverted: bool = False


@final
class Photos:
    """Photos by their numbers."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, Photo] = OrderedDict()
        self._numbers = itertools.count(1)

    def add(self, photo: Photo) -> int:
        """Keep a photo and return its number."""
        number = next(self._numbers)
        self._open[number] = photo
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return number

    def get(self, number: int) -> Photo:
        """Return a photo. Raises UsageError for one that is not open (any more)."""
        if number not in self._open:
            raise UsageError(f"photo {number} is not open any more; open it again")
        self._open.move_to_end(number)
        return self._open[number]


def decoded_pixels(autoencoder: Autoencoder, z: Latents) -> Pixels:
    """Return the images of latents (n, D) as pixels (n, C, H, W) uint8 on the CPU. Raises DivergedError if one is not finite."""
    return _finite(autoencoder.decode(z))


def _finite(images: torch.Tensor) -> Pixels:
    if not images.isfinite().all():
        raise DivergedError("this code is decoded to values that are not finite; go back, or move less far")
    return to_pixels(images).cpu()


def photo_of(model: Checkpoint, pixels: Pixels, *, name: str, about: str) -> Photo:
    """Return the photo of an image (C, H, W) uint8, encoded and decoded once."""
    device = model.own_prior.moments()[0].device
    x = to_float(pixels[None].to(device))
    z = model.autoencoder.encode(x)
    restricted, full = model.autoencoder.decode(torch.cat([model.own_prior.restrict(z), z]))
    shown = torch.cat([pixels[None].cpu(), _finite(torch.stack([restricted, full]))])
    error = (full - x[0]).abs()
    wrong = int((shown[2] != shown[0]).sum())
    missing = (restricted.clamp(0, 1) - x[0]).abs().mean().item()
    trip = RoundTrip(largest=error.max().item(), mean=error.mean().item(), wrong=wrong, restricted=missing)
    return Photo(name=name, about=about, z=z, pixels=shown, trip=trip)


def code_photo(model: Checkpoint, z: Latents, *, name: str, about: str) -> Photo:
    """Return a latent (1, D) without a photo, as if its image were one."""
    shown = decoded_pixels(model.autoencoder, torch.cat([z, model.own_prior.restrict(z), z]))
    return Photo(name=name, about=about, z=z, pixels=shown, trip=None)
