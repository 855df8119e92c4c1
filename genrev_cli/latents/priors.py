"""Priors: the distribution that latent codes should have, and the dimensions on which they live.

z (B, D) is the whole output of an encoder, y (B, d) its active dimensions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import SettingError
from genrev_cli.latents.distribution import Distribution
from genrev_cli.latents.moments import Moments
from genrev_cli.shapes import Codes, Labels, Latents

LabelledLatents = Callable[[], Iterable[tuple[Latents, Labels]]]
"""A function that starts a pass over the latents of all images and their labels, in batches (B, D), (B,)."""


class Prior(Distribution):
    """A distribution of codes, and the dimensions of the latent that they occupy.

    dim: d. latent_dim: D. config: the JSON table from which `build_prior` builds the same prior.
    """

    latent_dim: int

    @abstractmethod
    def restrict(self, z: Latents) -> Latents:
        """Project z on the support of the prior: (B, D) → (B, D). A second projection changes nothing."""

    @abstractmethod
    def select(self, z: Latents) -> Codes:
        """Return the active dimensions: (B, D) → (B, d)."""

    @abstractmethod
    def embed(self, y: Codes) -> Latents:
        """Write codes into latents whose other dimensions are 0: (B, d) → (B, D). select(embed(y)) == y."""

    def fit(self, latents: LabelledLatents) -> None:
        """Fit the prior to the latents of the untrained network, if it needs that."""


CHOICES = ("widest", "first")


class Active(Prior, ABC):
    """A prior on d active dimensions; all others are exactly 0 (Schirrmeister et al. 2018, section 2.2; Nguyen et al. 2019, section 2.2).

    active: (d,) indices of the active dimensions; the first d until `fit` chooses others. bound: `restrict` clamps them to ±bound, or ∞.
    """

    active: Tensor

    def __init__(self, name: str, *, dim: int, latent_dim: int, bound: float, choose: str) -> None:
        super().__init__()
        if not isinstance(dim, int) or not 1 <= dim <= latent_dim:
            raise SettingError("dim", repr(dim), f"the latent has {latent_dim} dimensions; choose 1 to {latent_dim}")
        if choose not in CHOICES:
            raise SettingError("choose", repr(choose), f"choose {' or '.join(CHOICES)}")
        self.config = {"name": name, "dim": dim, "latent_dim": latent_dim, "bound": bound, "choose": choose}
        self.dim, self.latent_dim, self.choose = dim, latent_dim, choose
        self.bound = bound or math.inf
        self.register_buffer("active", torch.tensor(range(dim)))  # torch.arange on 'meta' would import sympy

    def activate(self, std: Tensor) -> None:
        """Activate the d dimensions with the largest `std` (D,), in ascending order; of equal ones, the lower index wins."""
        widest = torch.argsort(std, descending=True, stable=True)[: self.dim]
        self.active.copy_(widest.sort().values)

    def fit(self, latents: LabelledLatents) -> None:
        """Activate the dimensions with the largest standard deviation under the untrained network, if choose is 'widest'."""
        if self.choose == "widest":
            self.activate(Moments.of(z for z, _ in latents()).std)

    def restrict(self, z: Latents) -> Latents:
        # no clamp to [0, 0]: clamp passes the gradient of a value that equals its bound, and black pixels do
        return torch.zeros_like(z).index_copy(1, self.active, self.select(z).clamp(-self.bound, self.bound))

    def select(self, z: Latents) -> Codes:
        return z.index_select(1, self.active)

    def embed(self, y: Codes) -> Latents:
        return y.new_zeros(y.shape[0], self.latent_dim).index_copy(1, self.active, y)

    def _constant(self, number: float) -> Codes:
        return torch.full((self.dim,), number, device=self.active.device)


@dataclass(frozen=True)
class ActiveGaussianConfig:
    """dim: d. latent_dim: D. bound: `restrict` clamps active dimensions to ±bound; 0: no clamping.

    The bound of 2 is that of Schirrmeister et al. 2018, footnote 1. choose: which dimensions are active, the 'widest' of the untrained
    network (their section 3.1) or the 'first' (Nguyen et al. 2019, section 2.2).
    """

    dim: int
    latent_dim: int
    bound: float = 2.0
    choose: str = "widest"


@final
class ActiveGaussian(Active):
    """N(0, 1) on each active dimension. Raises SettingError for a negative bound."""

    def __init__(self, dim: int, latent_dim: int, bound: float = 2.0, choose: str = "widest") -> None:
        if bound < 0:
            raise SettingError("bound", bound, "must be at least 0; 0 switches it off")
        super().__init__("active-gaussian", dim=dim, latent_dim=latent_dim, bound=bound, choose=choose)

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        return temperature * torch.randn(n, self.dim, generator=generator, device=generator.device)

    def moments(self) -> tuple[Codes, Codes]:
        return self._constant(0.0), self._constant(1.0)


@dataclass(frozen=True)
class ActiveUniformConfig:
    """dim: d. latent_dim: D. bound: b > 0; codes lie in ±b, 2 in Schirrmeister et al. 2018, footnote 1. choose: as for the Gaussian."""

    dim: int
    latent_dim: int
    bound: float = 2.0
    choose: str = "widest"


@final
class ActiveUniform(Active):
    """U(−b, b) on each active dimension (Schirrmeister et al. 2018, footnote 1). Raises SettingError for a bound that is not above 0.

    `restrict` clamps to ±b, so it projects on the support: it changes no sample.
    """

    def __init__(self, dim: int, latent_dim: int, bound: float = 2.0, choose: str = "widest") -> None:
        if bound <= 0:
            raise SettingError("bound", bound, "must be above 0, because codes are uniform in ±bound")
        super().__init__("active-uniform", dim=dim, latent_dim=latent_dim, bound=bound, choose=choose)

    @property
    def reach(self) -> float:
        """√3: b in standard deviations b / √3."""
        return math.sqrt(3)

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Draw y = temperature · b · (2u − 1), u ~ U[0, 1)."""
        u = torch.rand(n, self.dim, generator=generator, device=generator.device)
        return temperature * self.bound * (2 * u - 1)

    def moments(self) -> tuple[Codes, Codes]:
        return self._constant(0.0), self._constant(self.bound / math.sqrt(3))
