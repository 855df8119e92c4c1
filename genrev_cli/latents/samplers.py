"""Distributions fitted to the codes of a trained encoder. They replace the prior of the training (An et al. 2020, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents.distribution import Distribution
from genrev_cli.latents.priors import Prior
from genrev_cli.shapes import Codes, Latents


@dataclass(frozen=True)
class MixtureConfig:
    """dim: d. components: number of Gaussians."""

    dim: int
    components: int


@final
class Mixture(Distribution):
    """Σ_c π_c N(μ_c, L_c L_cᵀ): a mixture of Gaussians with full covariances.

    weight (C,): π. mean (C, d): μ. factor (C, d, d): the lower triangular L.
    """

    weight: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(self, dim: int, components: int) -> None:
        super().__init__()
        if min(dim, components) < 1:
            raise UsageError(f"dim = {dim} and components = {components} must be positive")
        self.config = {"name": "gmm", "dim": dim, "components": components}
        self.dim = dim
        self.register_buffer("weight", torch.full((components,), 1 / components))
        self.register_buffer("mean", torch.zeros(components, dim))
        self.register_buffer("factor", torch.eye(dim).repeat(components, 1, 1))

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Draw components c by their weight, then μ_c + temperature·L_c u with u ~ N(0, I)."""
        component = torch.multinomial(self.weight, n, replacement=True, generator=generator)
        u = torch.randn(n, self.dim, generator=generator, device=generator.device)
        return self.mean[component] + temperature * (self.factor[component] @ u[:, :, None]).squeeze(2)

    def moments(self) -> tuple[Codes, Codes]:
        """Return the moments of the whole mixture."""
        mean = self.weight @ self.mean
        variance = self.weight @ (self.factor.square().sum(2) + (self.mean - mean).square())
        return mean, variance.sqrt()


@final
class Resampled(Prior):
    """A checkpoint's prior with another distribution of codes: the sampler draws codes, the prior embeds them in the latent.

    full: the sampler draws all latent dimensions, so nothing is embedded or restricted. Raises UsageError when dimensions do not fit.
    """

    def __init__(self, base: Prior, sampler: Distribution, full: bool) -> None:
        super().__init__()
        wanted = base.latent_dim if full else base.dim
        if sampler.dim != wanted:
            raise UsageError(f"the sampler's codes have {sampler.dim} dimensions, but the model's have {wanted}")
        self.base, self.sampler, self.full = base, sampler, full
        self.dim, self.latent_dim, self.classes = sampler.dim, base.latent_dim, sampler.classes
        self.config = {"name": "resampled", "base": base.config, "sampler": sampler.config, "full": full}

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        return self.sampler.sample(n, generator, temperature)

    def sample_rows(self, n: int, rows: slice, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        return self.sampler.sample_rows(n, rows, generator, temperature)

    def sample_numbered(self, seed: int, numbers: Sequence[int], temperature: float = 1.0) -> Codes:
        return self.sampler.sample_numbered(seed, numbers, temperature)

    def for_numbers(self) -> Distribution:
        return self.sampler.for_numbers()

    def moments(self) -> tuple[Codes, Codes]:
        return self.sampler.moments()

    def given(self, label: int) -> "Resampled":
        return Resampled(self.base, self.sampler.given(label), self.full)

    def restrict(self, z: Latents) -> Latents:
        return z if self.full else self.base.restrict(z)

    def select(self, z: Latents) -> Codes:
        return z if self.full else self.base.select(z)

    def embed(self, y: Codes) -> Latents:
        return y if self.full else self.base.embed(y)
