"""Autoencoding through a restricted latent (Schirrmeister et al. 2018, section 2.2; Nguyen, Ardizzone & Köthe 2019, eq. 5, 6).

    R: x → z encoder;   R⁻¹ decoder;   clip: the projection on the support of the prior;   ẑ = clip(R(x));   x̂ = R⁻¹(ẑ)
    y: the active dimensions of z;   q(y): their distribution over the images;   p(y): the prior

The full round trip of a bijection is exact for all weights, so training reduces what the clip loses. The zero padding of Nguyen et al. is
the same clip with other active dimensions. With their MMD the INN-AE becomes their INN-VAE.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import reduce
from operator import add
from typing import Any, final

import torch

from genrev_cli.latents import Prior
from genrev_cli.metrics.kernel import mmd
from genrev_cli.models import Autoencoder
from genrev_cli.settings.reconstruction import ReconstructionConfig
from genrev_cli.settings.schedule import Schedule
from genrev_cli.shapes import Codes, Images, Labels, Latents, Scalar
from genrev_cli.training.distributed import gathered, size
from genrev_cli.training.method import AutoencoderMethod, Passes, require_two_codes
from genrev_cli.training.optim import Optimizer, descend

Terms = dict[str, tuple[float, Scalar]]
"""Name of a loss → its weight and value."""


def total(terms: Terms) -> Scalar:
    """Return Σ weight · loss; at least one term is needed."""
    return reduce(add, (weight * loss for weight, loss in terms.values()))


def logged(terms: Terms) -> dict[str, Scalar]:
    """Return the losses without their weights, detached."""
    return {name: loss.detach() for name, (_, loss) in terms.items()}


def image_loss(x: Images, x_hat: Images, norm: str = "l1") -> Scalar:
    """L_x = mean |x − x̂|   (Schirrmeister et al. 2018, section 2.2), or with norm 'l2' mean (x − x̂)²   (An et al. 2020, section 3.1)"""
    return (x - x_hat).abs().mean() if norm == "l1" else (x - x_hat).square().mean()


def latent_loss(z: Latents, z_hat: Latents) -> Scalar:
    """L_z = mean (z − ẑ)²   (Schirrmeister et al. 2018, section 2.2)"""
    return (z - z_hat).square().mean()


def code_loss(y: Codes, norm: str = "l2") -> Scalar:
    """L_y = mean y², or with norm 'l1' ‖y‖₁ = Σ |y| over the codes and dimensions of a mini-batch (demo2.py in k2cu8/pyOMT)

    The sum is of the codes of all ranks; each rank returns its own part times the number of ranks, because their gradients are averaged.
    """
    return y.square().mean() if norm == "l2" else y.abs().sum() * size()


def mmd_loss(y: Codes, y_prior: Codes, widths: Sequence[float]) -> Scalar:
    """L_mmd = MMD²(q(y), p(y)) with the kernels a² / (a² + |u − v|²), summed over the widths a   (Nguyen et al. 2019, eq. 6)

    It is the biased estimate, as in the authors' code, which is never negative.
    """
    return mmd(y, y_prior, [a**2 for a in widths], unbiased=False)


def fit_prior(autoencoder: Autoencoder, prior: Prior, passes: Passes) -> None:
    """Fit the prior to the untrained network's latents of all images, e.g. to choose its active dimensions."""
    with torch.no_grad():
        prior.fit(lambda: ((autoencoder.encode(x), labels) for x, labels in passes()))


@final
class Reconstruction(AutoencoderMethod):
    """Minimise L = w_x·L_x + w_z·L_z + w_y·L_y + w_mmd·L_mmd by Adam on the autoencoder."""

    config: ReconstructionConfig

    @classmethod
    def require(cls, schedule: Schedule, settings: Mapping[str, Any]) -> None:
        """Raise UsageError for a batch of one image with an MMD."""
        if settings["weight_mmd"]:
            require_two_codes(schedule, "weight_mmd")

    def __init__(
        self, autoencoder: Autoencoder, prior: Prior, config: ReconstructionConfig, autocast: Callable[[], AbstractContextManager]
    ) -> None:
        super().__init__(autoencoder, prior, config, autocast)
        adam = Optimizer(
            autoencoder.coding_modules(),
            lr=config.lr,
            betas=config.betas,
            max_grad_norm=config.max_grad_norm,
            weight_decay=config.weight_decay,
            eps=config.eps,
        )
        self.optimizers = {"R": adam}

    def start(self, passes: Passes) -> None:
        fit_prior(self.autoencoder, self.prior, passes)

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update R and R⁻¹ once."""
        c = self.config
        with self.autocast():
            z = self.autoencoder.encode(x)
            z_hat = self.prior.restrict(z)
            x_hat = self.autoencoder.decode(z_hat)
        L_x, L_z = image_loss(x, x_hat, c.image_norm), latent_loss(z, z_hat)
        loss, terms = c.weight_x * L_x + c.weight_z * L_z, {"L_x": L_x.detach(), "L_z": L_z.detach()}
        if c.weight_code:
            L_y = code_loss(self.prior.select(z), c.code_norm)
            loss, terms = loss + c.weight_code * L_y, {**terms, "L_y": L_y.detach()}
        if c.weight_mmd:
            y_prior = self.prior.sample(len(x) * size(), generator)
            L_mmd = mmd_loss(gathered(self.prior.select(z)), y_prior, c.mmd_widths)
            loss, terms = loss + c.weight_mmd * L_mmd, {**terms, "L_mmd": L_mmd.detach()}
        (norm,) = descend((self.optimizers["R"], loss))
        return {**terms, "grad_norm": norm}
