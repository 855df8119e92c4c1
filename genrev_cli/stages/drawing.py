"""Drawing codes and images so that sample i depends on what is drawn and on i alone."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.latents import Distribution, Prior
from genrev_cli.models import Autoencoder
from genrev_cli.seeds import derive
from genrev_cli.shapes import Codes, Images, Pixels, to_pixels


@dataclass(frozen=True)
class Draw:
    """What is drawn. temperature: below 1 nearer to the mean. labels: the classes that samples take in turn, () as the prior mixes them."""

    seed: int = 0
    temperature: float = 1.0
    labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.temperature):
            raise UsageError(f"--temperature {self.temperature}: a finite number is needed")

    def generator(self, number: int) -> torch.Generator:
        """The randomness of one sample."""
        return torch.Generator().manual_seed(derive(self.seed, "sample", number))


def draw_codes(prior: Distribution, draw: Draw, numbers: Sequence[int], device: torch.device) -> Codes:
    """The codes of samples `numbers`, (n, d) on `device`; drawn on the CPU, each from a generator of its own, so that they are the same on
    every machine.

    Raises UsageError for a class that the prior does not have.
    """
    home = copy.deepcopy(prior).cpu()
    generators = [draw.generator(number) for number in numbers]
    if not draw.labels:
        return home.sample_each(generators, draw.temperature).to(device)
    classes = torch.tensor([draw.labels[number % len(draw.labels)] for number in numbers])
    codes = torch.empty(len(numbers), home.dim)
    for label in dict.fromkeys(classes.tolist()):
        members = (classes == label).nonzero().squeeze(1)
        codes[members] = home.given(label).sample_each([generators[i] for i in members.tolist()], draw.temperature)
    return codes.to(device)


def draw_images(autoencoder: Autoencoder, prior: Prior, draw: Draw, numbers: Sequence[int], device: torch.device) -> Images:
    """Samples `numbers`, (n, C, H, W) as decoded."""
    return autoencoder.decode(prior.embed(draw_codes(prior, draw, numbers, device)))


def draw_pixels(autoencoder: Autoencoder, prior: Prior, draw: Draw, numbers: Sequence[int], device: torch.device) -> Pixels:
    """Samples `numbers` as pixels, (n, C, H, W) uint8.

    Raises DivergedError when one is not finite: as pixels it would be black, and look like an image.
    """
    images = draw_images(autoencoder, prior, draw, numbers, device)
    finite = images.isfinite().flatten(1).all(1)
    if not finite.all():
        number = numbers[int((~finite).nonzero()[0])]
        raise DivergedError(f"sample {number} is decoded to values that are not finite; the model has diverged")
    return to_pixels(images)
