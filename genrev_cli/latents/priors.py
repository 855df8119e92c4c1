"""Priors: what the latent codes should be distributed like, and on which dimensions.

z (B, D) is the whole output of an encoder, y (B, d) its active dimensions.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents.distribution import Distribution
from genrev_cli.latents.moments import Moments
from genrev_cli.shapes import Codes, Labels, Latents

LabelledLatents = Callable[[], Iterable[tuple[Latents, Labels]]]
"""Passes over the latents of all images and their labels, (B, D), (B,)."""


class Prior(Distribution):
    """A distribution of codes, and where they lie in the latent.

    dim: d. latent_dim: D. config: the JSON table that `build_prior` makes it again from.
    """

    latent_dim: int

    @abstractmethod
    def restrict(self, z: Latents) -> Latents:
        """ẑ: the projection of z on the support of the prior, (B, D) → (B, D). Idempotent."""

    @abstractmethod
    def select(self, z: Latents) -> Codes:
        """The active dimensions, (B, D) → (B, d)."""

    @abstractmethod
    def embed(self, y: Codes) -> Latents:
        """Codes as latents with the other dimensions at rest, (B, d) → (B, D); select(embed(y)) == y."""

    def fit(self, latents: LabelledLatents) -> None:
        """Take from the latents of the untrained network what the prior needs of them."""


CHOICES = ("widest", "first")


@dataclass(frozen=True)
class ActiveGaussianConfig:
    """dim: d. latent_dim: D. bound: the active dimensions are clamped to ±bound when restricted (paper, footnote 1: 2); 0 does not.

    choose: which dimensions are active, the 'widest' of the untrained network (A2) or the 'first' (B).
    """

    dim: int
    latent_dim: int
    bound: float = 2.0
    choose: str = "widest"


@final
class ActiveGaussian(Prior):
    """N(0, 1) on d active dimensions, exactly 0 on all others (A2; B's zero padding).

    active: (d,) their numbers, the first d until `fit` chooses others; a d×D selection is never formed.
    """

    def __init__(self, dim: int, latent_dim: int, bound: float = 2.0, choose: str = "widest") -> None:
        super().__init__()
        if not isinstance(dim, int) or not 1 <= dim <= latent_dim:
            raise UsageError(f"[prior]: dim = {dim!r} active dimensions do not fit a latent of {latent_dim}")
        if bound < 0:
            raise UsageError(f"[prior]: bound = {bound} is negative; 0 switches it off")
        if choose not in CHOICES:
            raise UsageError(f"[prior]: choose = {choose!r} is unknown; there is {', '.join(CHOICES)}")
        self.config = {"name": "active-gaussian", "dim": dim, "latent_dim": latent_dim, "bound": bound, "choose": choose}
        self.dim, self.latent_dim, self.choose = dim, latent_dim, choose
        self.bound = bound or math.inf
        self.register_buffer("active", torch.arange(dim))

    def activate(self, std: Tensor) -> None:
        """Choose the d dimensions with the largest standard deviation `std` (D,), in ascending order; ties go to the lower number."""
        widest = torch.argsort(std, descending=True, stable=True)[: self.dim]
        self.active.copy_(widest.sort().values)

    def fit(self, latents: LabelledLatents) -> None:
        """Make the dimensions active whose standard deviation is largest for the untrained network (A2), if those are chosen."""
        if self.choose == "widest":
            self.activate(Moments.of(z for z, _ in latents()).std)

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        return temperature * torch.randn(n, self.dim, generator=generator, device=generator.device)

    def moments(self) -> tuple[Codes, Codes]:
        ones = torch.ones(self.dim, device=self.active.device)
        return torch.zeros_like(ones), ones

    def restrict(self, z: Latents) -> Latents:
        # index_copy and not a clamp to [0, 0]: at a bound that equals the value, clamp lets the gradient through
        return torch.zeros_like(z).index_copy(1, self.active, self.select(z).clamp(-self.bound, self.bound))

    def select(self, z: Latents) -> Codes:
        return z.index_select(1, self.active)

    def embed(self, y: Codes) -> Latents:
        return y.new_zeros(y.shape[0], self.latent_dim).index_copy(1, self.active, y)
