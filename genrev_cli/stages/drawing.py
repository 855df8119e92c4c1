"""Drawing codes so that sample i depends on (seed, i) alone."""

import copy
from collections.abc import Sequence

import torch

from genrev_cli.latents import Prior
from genrev_cli.seeds import derive
from genrev_cli.shapes import Codes


def draw_codes(prior: Prior, seed: int, numbers: Sequence[int], device: torch.device) -> Codes:
    """The codes of samples `numbers`, (n, d) on `device`: drawn one by one on the CPU, so they are the same on every machine."""
    home = copy.deepcopy(prior).cpu()
    drawn = [home.sample(1, torch.Generator().manual_seed(derive(seed, "sample", number))) for number in numbers]
    return torch.cat(drawn).to(device)
