"""Autoencoding through a restricted latent (Schirrmeister et al. 2018, A3).

    R: x → z encoder;   R⁻¹ decoder;   clip: the projection on the support of the prior;   ẑ = clip(R(x));   x̂ = R⁻¹(ẑ)

For a bijection the full round trip is exact whatever the weights, so what is trained is how much survives the clip.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import final

import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian, Prior
from genrev_cli.latents.priors import column_std
from genrev_cli.models import Autoencoder
from genrev_cli.shapes import Images, Labels, Latents, Scalar
from genrev_cli.training.method import Method
from genrev_cli.training.optim import Optimizer, descend


@dataclass(frozen=True)
class ReconstructionConfig:
    """The authors' settings (A3)."""

    weight_x: float = 10.0
    weight_z: float = 10.0  # paper; the authors' notebook sets 0 in this phase
    lr: float = 1e-4
    betas: tuple[float, float] = (0.0, 0.9)
    max_grad_norm: float = 5.0

    def __post_init__(self) -> None:
        require_weights(self.weight_x, self.weight_z)


def require_weights(*weights: float) -> None:
    """Raise UsageError for a weight of a loss that is negative."""
    if min(weights) < 0:
        raise UsageError(f"weights of losses {weights}: none may be negative")


def image_loss(x: Images, x_hat: Images) -> Scalar:
    """L_x = mean |x − x̂|   (A3)"""
    return (x - x_hat).abs().mean()


def latent_loss(z: Latents, z_hat: Latents) -> Scalar:
    """L_z = mean (z − ẑ)²   (A3)"""
    return (z - z_hat).square().mean()


def activate_widest(autoencoder: Autoencoder, prior: ActiveGaussian, images: Callable[[], Iterator[Images]]) -> None:
    """Make the d dimensions active whose standard deviation over the data set is largest for the untrained network (A2)."""
    with torch.no_grad():
        prior.activate(column_std(autoencoder.encode(x) for x in images()))


@final
class Reconstruction(Method):
    """L = w_x·L_x + w_z·L_z by Adam on the autoencoder."""

    def __init__(
        self, autoencoder: Autoencoder, prior: Prior, config: ReconstructionConfig, autocast: Callable[[], AbstractContextManager]
    ) -> None:
        self.autoencoder, self.prior, self.config, self.autocast = autoencoder, prior, config, autocast
        self.modules = {"autoencoder": autoencoder, "prior": prior}
        self.optimizers = {"R": Optimizer([autoencoder], lr=config.lr, betas=config.betas, max_grad_norm=config.max_grad_norm)}

    def start(self, images: Callable[[], Iterator[Images]]) -> None:
        activate_widest(self.autoencoder, self.prior, images)

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """One update of R and R⁻¹."""
        c = self.config
        with self.autocast():
            z = self.autoencoder.encode(x)
            z_hat = self.prior.restrict(z)
            x_hat = self.autoencoder.decode(z_hat)
        L_x, L_z = image_loss(x, x_hat), latent_loss(z, z_hat)
        (norm,) = descend((self.optimizers["R"], c.weight_x * L_x + c.weight_z * L_z))
        return {"L_x": L_x.detach(), "L_z": L_z.detach(), "grad_norm": norm}
