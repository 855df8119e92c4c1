"""Priors: what the latent codes should be distributed like, and on which dimensions.

z (B, D) is the whole output of an encoder, y (B, d) its active dimensions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from genrev_cli.errors import UsageError
from genrev_cli.shapes import Codes, Latents


class Prior(nn.Module, ABC):
    """dim: d. latent_dim: D. config: the JSON table that `build_prior` makes it again from; its tensors are its state dict."""

    dim: int
    latent_dim: int
    config: dict[str, Any]

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Codes:
        """(n, d), drawn on the generator's device."""

    @abstractmethod
    def restrict(self, z: Latents) -> Latents:
        """ẑ: the projection of z on the support of the prior, (B, D) → (B, D). Idempotent."""

    @abstractmethod
    def select(self, z: Latents) -> Codes:
        """The active dimensions, (B, D) → (B, d)."""

    @abstractmethod
    def embed(self, y: Codes) -> Latents:
        """Codes as latents with the other dimensions at rest, (B, d) → (B, D); select(embed(y)) == y."""


@dataclass(frozen=True)
class ActiveGaussianConfig:
    """dim: d. latent_dim: D. bound: the active dimensions are clamped to ±bound when restricted (paper, footnote 1: 2); 0 does not."""

    dim: int
    latent_dim: int
    bound: float = 2.0


@final
class ActiveGaussian(Prior):
    """N(0, 1) on d active dimensions, exactly 0 on all others (A2).

    active: (d,) their numbers; a d×D selection is never formed.
    """

    def __init__(self, dim: int, latent_dim: int, bound: float = 2.0) -> None:
        super().__init__()
        if not isinstance(dim, int) or not 1 <= dim <= latent_dim:
            raise UsageError(f"[prior]: dim = {dim!r} active dimensions do not fit a latent of {latent_dim}")
        if bound < 0:
            raise UsageError(f"[prior]: bound = {bound} is negative; 0 switches it off")
        self.config = {"name": "active-gaussian", "dim": dim, "latent_dim": latent_dim, "bound": bound}
        self.dim, self.latent_dim = dim, latent_dim
        self.bound = bound or math.inf
        self.register_buffer("active", torch.arange(dim))

    def activate(self, std: Tensor) -> None:
        """Choose the d dimensions with the largest standard deviation `std` (D,), in ascending order; ties go to the lower number."""
        widest = torch.argsort(std, descending=True, stable=True)[: self.dim]
        self.active.copy_(widest.sort().values)

    def sample(self, n: int, generator: torch.Generator) -> Codes:
        return torch.randn(n, self.dim, generator=generator, device=generator.device)

    def restrict(self, z: Latents) -> Latents:
        # index_copy and not a clamp to [0, 0]: at a bound that equals the value, clamp lets the gradient through
        return torch.zeros_like(z).index_copy(1, self.active, self.select(z).clamp(-self.bound, self.bound))

    def select(self, z: Latents) -> Codes:
        return z.index_select(1, self.active)

    def embed(self, y: Codes) -> Latents:
        return y.new_zeros(y.shape[0], self.latent_dim).index_copy(1, self.active, y)


def column_std(batches: Iterable[Tensor]) -> Tensor:
    """Standard deviation of every column over all rows of (B, D) batches: (D,) float64, in one pass, shifted by the first row."""
    count, shift, total, squares = 0, None, 0.0, 0.0
    for batch in batches:
        rows = batch.double()
        shift = rows[0] if shift is None else shift  # sums of squares about a value of the data lose no digits
        rows = rows - shift
        count += len(rows)
        total = total + rows.sum(0)
        squares = squares + rows.square().sum(0)
    return ((squares - total.square() / count) / max(count - 1, 1)).clamp_min(0).sqrt()
