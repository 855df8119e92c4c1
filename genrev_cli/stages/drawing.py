"""Drawing codes and images so that sample i depends on (seed, i) alone."""

import copy
from collections.abc import Sequence

import torch

from genrev_cli.errors import DivergedError
from genrev_cli.latents import Prior
from genrev_cli.models import Autoencoder
from genrev_cli.seeds import derive
from genrev_cli.shapes import Codes, Images, Pixels, to_pixels


def draw_codes(prior: Prior, seed: int, numbers: Sequence[int], device: torch.device, temperature: float = 1.0) -> Codes:
    """The codes of samples `numbers`, (n, d) on `device`: drawn one by one on the CPU, so they are the same on every machine."""
    home = copy.deepcopy(prior).cpu()
    drawn = [home.sample(1, torch.Generator().manual_seed(derive(seed, "sample", number)), temperature) for number in numbers]
    return torch.cat(drawn).to(device)


def draw_images(
    autoencoder: Autoencoder, prior: Prior, seed: int, numbers: Sequence[int], device: torch.device, temperature: float = 1.0
) -> Images:
    """Samples `numbers`, (n, C, H, W) as decoded. temperature scales the codes about their mean."""
    return autoencoder.decode(prior.embed(draw_codes(prior, seed, numbers, device, temperature)))


def draw_pixels(
    autoencoder: Autoencoder, prior: Prior, seed: int, numbers: Sequence[int], device: torch.device, temperature: float = 1.0
) -> Pixels:
    """Samples `numbers` as pixels, (n, C, H, W) uint8.

    Raises DivergedError when one is not finite: as pixels it would be black, and look like an image.
    """
    images = draw_images(autoencoder, prior, seed, numbers, device, temperature)
    finite = images.isfinite().flatten(1).all(1)
    if not finite.all():
        number = numbers[int((~finite).nonzero()[0])]
        raise DivergedError(f"sample {number} is decoded to values that are not finite; the model has diverged")
    return to_pixels(images)
