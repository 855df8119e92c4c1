"""Exponential moving average of weights."""

import copy

import torch
from torch import nn


class EMA:
    """An average of the weights of a module. Its half-life is counted in images, so that it does not depend on the batch size."""

    def __init__(self, module: nn.Module, halflife_images: int) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.halflife_images = halflife_images

    @torch.no_grad()
    def update(self, module: nn.Module, images: int) -> None:
        """Update the average: w_ema ← w + 2^(−images / half-life)·(w_ema − w). images: their number since the last call."""
        weight = 1 - 0.5 ** (images / self.halflife_images)
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), weight)
        for mine, theirs in zip(self.module.buffers(), module.buffers(), strict=True):
            mine.copy_(theirs)
