"""Priors: what the latent codes should be distributed like, and on which dimensions.

z (B, D) is the whole output of an encoder, y (B, d) its active dimensions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
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

    def to_standard(self, y: Codes) -> Codes:
        """Codes in standard deviations of the prior from its mean, (n, d) → (n, d); here it has mean 0 and deviation 1."""
        return y

    def from_standard(self, u: Codes) -> Codes:
        """The inverse of `to_standard`."""
        return u

    def temper(self, y: Codes, temperature: float) -> Codes:
        """Codes nearer to the mean, below 1, or farther from it: (n, d) → (n, d)."""
        return self.from_standard(temperature * self.to_standard(y))

    @abstractmethod
    def restrict(self, z: Latents) -> Latents:
        """ẑ: the projection of z on the support of the prior, (B, D) → (B, D). Idempotent."""

    @abstractmethod
    def select(self, z: Latents) -> Codes:
        """The active dimensions, (B, D) → (B, d)."""

    @abstractmethod
    def embed(self, y: Codes) -> Latents:
        """Codes as latents with the other dimensions at rest, (B, d) → (B, D); select(embed(y)) == y."""

    @abstractmethod
    def fit(self, latents: Callable[[], Iterable[Latents]]) -> None:
        """Take from the latents of the untrained network what the prior needs of them; `latents()` passes over those of all images."""


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

    def fit(self, latents: Callable[[], Iterable[Latents]]) -> None:
        """Make the dimensions active whose standard deviation is largest for the untrained network (A2), if those are chosen."""
        if self.choose == "widest":
            self.activate(column_moments(latents())[1])

    def sample(self, n: int, generator: torch.Generator) -> Codes:
        return torch.randn(n, self.dim, generator=generator, device=generator.device)

    def restrict(self, z: Latents) -> Latents:
        # index_copy and not a clamp to [0, 0]: at a bound that equals the value, clamp lets the gradient through
        return torch.zeros_like(z).index_copy(1, self.active, self.select(z).clamp(-self.bound, self.bound))

    def select(self, z: Latents) -> Codes:
        return z.index_select(1, self.active)

    def embed(self, y: Codes) -> Latents:
        return y.new_zeros(y.shape[0], self.latent_dim).index_copy(1, self.active, y)


LEAST_STD = 0.1
"""Of a dimension at the start: the true scale of one that hardly varies (a black corner's is 1e-3) makes the gradient explode."""


@dataclass(frozen=True)
class DiagonalGaussianConfig:
    """latent_dim: D, all of which are active."""

    latent_dim: int


@final
class DiagonalGaussian(Prior):
    """N(μ, diag σ²) over all D dimensions, with μ and log σ trained together with the network.

    The scales are what lets a volume-preserving network fit a density (Dinh et al. 2015, section 3.3).
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise UsageError(f"[prior]: latent_dim = {latent_dim} must be positive")
        self.config = {"name": "diagonal-gaussian", "latent_dim": latent_dim}
        self.dim = self.latent_dim = latent_dim
        self.mean = nn.Parameter(torch.zeros(latent_dim))
        self.log_std = nn.Parameter(torch.zeros(latent_dim))

    def fit(self, latents: Callable[[], Iterable[Latents]]) -> None:
        """μ and σ of the untrained network's latents, σ at least LEAST_STD."""
        mean, std = column_moments(latents())
        with torch.no_grad():
            self.mean.copy_(mean)
            self.log_std.copy_(std.clamp_min(LEAST_STD).log())

    def sample(self, n: int, generator: torch.Generator) -> Codes:
        """Reparameterised: gradients reach μ and σ."""
        return self.from_standard(torch.randn(n, self.dim, generator=generator, device=generator.device))

    def to_standard(self, y: Codes) -> Codes:
        return (y - self.mean) * (-self.log_std).exp()

    def from_standard(self, u: Codes) -> Codes:
        return self.mean + self.log_std.exp() * u

    def log_prob(self, z: Latents) -> Tensor:
        """log N(z; μ, diag σ²) = −½ Σ ((z − μ)/σ)² − Σ log σ − ½ D log 2π: (B, D) → (B,)."""
        return -0.5 * self.to_standard(z).square().sum(1) - self.log_std.sum() - 0.5 * self.dim * math.log(2 * math.pi)

    def restrict(self, z: Latents) -> Latents:
        return z

    def select(self, z: Latents) -> Codes:
        return z

    def embed(self, y: Codes) -> Latents:
        return y


def column_moments(batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every column over all rows of (B, D) batches: (D,) float64 each, in one pass."""
    count, shift, total, squares = 0, None, 0.0, 0.0
    for batch in batches:
        rows = batch.double()
        shift = rows[0] if shift is None else shift  # sums of squares about a value of the data lose no digits
        rows = rows - shift
        count += len(rows)
        total = total + rows.sum(0)
        squares = squares + rows.square().sum(0)
    return shift + total / count, ((squares - total.square() / count) / max(count - 1, 1)).clamp_min(0).sqrt()
