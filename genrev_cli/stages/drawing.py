"""Drawing codes and images so that sample i depends on (seed, i) alone."""

import copy
from collections.abc import Sequence

import torch

from genrev_cli.latents import Prior
from genrev_cli.models import Autoencoder
from genrev_cli.seeds import derive
from genrev_cli.shapes import Codes, Images


def draw_codes(prior: Prior, seed: int, numbers: Sequence[int], device: torch.device) -> Codes:
    """The codes of samples `numbers`, (n, d) on `device`: drawn one by one on the CPU, so they are the same on every machine."""
    home = copy.deepcopy(prior).cpu()
    drawn = [home.sample(1, torch.Generator().manual_seed(derive(seed, "sample", number))) for number in numbers]
    return torch.cat(drawn).to(device)


def draw_images(
    autoencoder: Autoencoder, prior: Prior, seed: int, numbers: Sequence[int], device: torch.device, temperature: float = 1.0
) -> Images:
    """Samples `numbers`, (n, C, H, W) as decoded. temperature scales the codes about their mean."""
    return autoencoder.decode(prior.embed(prior.temper(draw_codes(prior, seed, numbers, device), temperature)))
