"""Gaussians over all latent dimensions: one, or one per class, with trained means and scales."""

import math
from abc import ABC
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from genrev_cli.errors import SettingError, UsageError
from genrev_cli.latents.moments import Moments
from genrev_cli.latents.priors import LabelledLatents, Prior
from genrev_cli.shapes import Codes, Labels, Latents, Scores


class Unrestricted(Prior, ABC):
    """A prior on the whole latent space: all dimensions are active, and `restrict` changes nothing."""

    def restrict(self, z: Latents) -> Latents:
        return z

    def select(self, z: Latents) -> Codes:
        return z

    def embed(self, y: Codes) -> Latents:
        return y


LEAST_STD = 0.1
"""Smallest initial σ. The real one of a nearly constant dimension (1e-3 in a black corner) would make gradients explode."""


@dataclass(frozen=True)
class DiagonalGaussianConfig:
    """latent_dim: D, all of which are active."""

    latent_dim: int


@final
class DiagonalGaussian(Unrestricted):
    """N(μ, diag σ²) over all D dimensions, with μ and log σ trained together with the network.

    A volume-preserving network needs these scales to fit a density (Dinh et al. 2015, section 3.3).
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise SettingError("latent_dim", latent_dim, "must be at least 1")
        self.config = {"name": "diagonal-gaussian", "latent_dim": latent_dim}
        self.dim = self.latent_dim = latent_dim
        self.mean = nn.Parameter(torch.zeros(latent_dim))
        self.log_std = nn.Parameter(torch.zeros(latent_dim))

    def fit(self, latents: LabelledLatents) -> None:
        """Set μ and σ to those of the untrained network's latents, σ at least LEAST_STD."""
        moments = Moments.of(z for z, _ in latents())
        with torch.no_grad():
            self.mean.copy_(moments.mean)
            self.log_std.copy_(moments.std.clamp_min(LEAST_STD).log())

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Draw z = μ + temperature · σ ⊙ u, u ~ N(0, I); gradients reach μ and σ."""
        u = torch.randn(n, self.dim, generator=generator, device=generator.device)
        return self.mean + temperature * self.log_std.exp() * u

    def moments(self) -> tuple[Codes, Codes]:
        return self.mean, self.log_std.exp()

    def log_prob(self, z: Latents) -> Scores:
        """log N(z; μ, diag σ²) = −½ Σ ((z − μ)/σ)² − Σ log σ − ½ D log 2π: (B, D) → (B,)."""
        u = (z - self.mean) * (-self.log_std).exp()
        return -0.5 * u.square().sum(1) - self.log_std.sum() - 0.5 * self.dim * math.log(2 * math.pi)


@dataclass(frozen=True)
class ClassGaussiansConfig:
    """latent_dim: D, all active. classes: K; 1 means one Gaussian for all images, and labels are ignored."""

    latent_dim: int
    classes: int


@final
class ClassGaussians(Unrestricted):
    """N(μ_k, diag σ_k²) over all D dimensions for each class k, μ and σ trained together with the network.

    (Schirrmeister et al. 2018, section 3.2.) mean, std: (K, D). share: (K,) fraction of the training images in each class; `sample` draws
    classes with these probabilities. σ itself is trained, not log σ, so that it can reach 0 for a dimension that a class does not use.
    """

    share: Tensor

    def __init__(self, latent_dim: int, classes: int) -> None:
        super().__init__()
        if min(latent_dim, classes) < 1:
            raise UsageError(f"latent_dim = {latent_dim} and classes = {classes} must be at least 1")
        self.config = {"name": "class-gaussians", "latent_dim": latent_dim, "classes": classes}
        self.dim = self.latent_dim = latent_dim
        self.classes = classes
        self.mean = nn.Parameter(torch.zeros(classes, latent_dim))
        self.std = nn.Parameter(torch.ones(classes, latent_dim))
        self.register_buffer("share", torch.full((classes,), 1 / classes))

    def fit(self, latents: LabelledLatents) -> None:
        """Set μ_k, σ_k and the share of each class to those of the untrained network's latents.

        Raises UsageError for a label outside the classes, and for a class without images.
        """
        moments = [Moments() for _ in range(self.classes)]
        for z, labels in latents():
            classes = self.classes_of(labels)
            if ((classes < 0) | (classes >= self.classes)).any():
                raise UsageError(
                    f"[prior]: images have labels from {labels.min()} to {labels.max()}, but the classes are 0 to {self.classes - 1}"
                )
            for k, of_class in enumerate(moments):
                of_class.add(z[classes == k])
        counts = torch.tensor([of_class.count for of_class in moments])
        if not counts.all():
            raise UsageError(f"[prior]: class {counts.argmin()} has no images; each of the {self.classes} classes needs some")
        with torch.no_grad():
            self.mean.copy_(torch.stack([of_class.mean for of_class in moments]))
            self.std.copy_(torch.stack([of_class.std for of_class in moments]))
            self.share.copy_(counts / counts.sum())

    def classes_of(self, labels: Labels) -> Labels:
        """Return the class of each image: its label, or 0 if there is only one class."""
        return torch.zeros_like(labels) if self.classes == 1 else labels

    def draw(self, classes: Labels, u: Latents) -> Latents:
        """s = μ_k + σ_k ⊙ u for u ~ N(0, I): (B,), (B, D) → (B, D). Gradients reach μ and σ."""
        return self.mean[classes] + self.std[classes] * u

    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Draw classes with the probabilities `share`, then one code from each."""
        classes = torch.multinomial(self.share, n, replacement=True, generator=generator)
        return self.draw(classes, temperature * torch.randn(n, self.dim, generator=generator, device=generator.device))

    def moments(self) -> tuple[Codes, Codes]:
        """Return mean and standard deviation, averaged over the classes, as for Figure 12 of Schirrmeister et al. 2018."""
        return self.mean.mean(0), self.std.mean(0)

    def given(self, label: int) -> DiagonalGaussian:
        """Return N(μ_k, diag σ_k²) of class k = label."""
        self.require_class(label)
        prior = DiagonalGaussian(self.latent_dim).to(self.mean.device)
        with torch.no_grad():
            prior.mean.copy_(self.mean[label])
            prior.log_std.copy_(self.std[label].log())
        return prior.requires_grad_(False)

    def used(self, least: float = 0.1) -> Tensor:
        """Return which dimensions each class uses, (K, D) bool: those with σ at least `least` times the class's largest σ."""
        return self.std >= least * self.std.amax(1, keepdim=True)

    @torch.no_grad()
    def clamp(self) -> None:
        """Clamp σ ≥ 0, as notebooks/mnist/OptimalTransport.ipynb of robintibor/generative-reversible does."""
        self.std.clamp_(min=0)
