"""Autoencoding through a restricted latent (Schirrmeister et al. 2018, section 2.2; Nguyen, Ardizzone & Köthe 2019, eq. 5, 6).

    R: x → z encoder;   R⁻¹ decoder;   clip: the projection on the support of the prior;   ẑ = clip(R(x));   x̂ = R⁻¹(ẑ)
    y: the active dimensions of z;   q(y): their distribution over the images;   p(y): the prior

The full round trip of a bijection is exact for all weights, so training reduces what the clip loses. The zero padding of Nguyen et al. is
the same clip with other active dimensions. With their MMD the INN-AE becomes their INN-VAE.
With a likelihood the autoencoder becomes an injective flow (`free_form`), with a smooth decoder a regularized autoencoder (`regularized`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import reduce
from operator import add
from typing import Any, final

import torch

from genrev_cli.latents import Prior
from genrev_cli.methods.free_form import agreement, directions, likelihood_loss, pushed, require_own_jacobians, volume_surrogate
from genrev_cli.methods.regularized import gradient_loss, kernel_loss, pulled
from genrev_cli.metrics.kernel import mmd
from genrev_cli.models import Autoencoder
from genrev_cli.settings.reconstruction import ReconstructionConfig
from genrev_cli.settings.schedule import Schedule
from genrev_cli.shapes import Codes, Images, Labels, Latents, Scalar
from genrev_cli.training.distributed import gathered, size
from genrev_cli.training.method import AutoencoderMethod, Passes, require_normal, require_two_codes
from genrev_cli.training.optim import Optimizer, descend

Terms = dict[str, tuple[float, Scalar]]
"""Name of a loss → its weight and value."""


def total(terms: Terms) -> Scalar:
    """Return Σ weight · loss; at least one term is needed."""
    return reduce(add, (weight * loss for weight, loss in terms.values()))


def logged(terms: Terms) -> dict[str, Scalar]:
    """Return the losses without their weights, detached."""
    return {name: loss.detach() for name, (_, loss) in terms.items()}


def image_loss(x: Images, x_hat: Images, norm: str = "l1", *, one_sided: bool = False) -> Scalar:
    """L_x = mean |x − x̂|   (Schirrmeister et al. 2018, section 2.2), or with norm 'l2' mean (x − x̂)²   (An et al. 2020, section 3.1)

    one_sided: no error where x = 0 and x̂ < 0, or x = 1 and x̂ > 1, because pictures are clipped to [0, 1]. Ours.
    """
    if one_sided:
        x_hat = torch.where(((x <= 0) & (x_hat < 0)) | ((x >= 1) & (x_hat > 1)), x, x_hat)
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
    """Minimise L = w_x·L_x + w_z·L_z + w_y·L_y + w_mmd·L_mmd + w_nll·L_ml + w_decoder·L_L2 + w_gradient·L_GP by Adam on the autoencoder.

    Derivatives of the decoder are taken at the clipped code that is decoded. Their random directions are drawn after the prior's samples.
    """

    config: ReconstructionConfig

    @classmethod
    def require(cls, schedule: Schedule, settings: Mapping[str, Any]) -> None:
        """Raise UsageError for a batch of one image with an MMD."""
        if settings["weight_mmd"]:
            require_two_codes(schedule, "weight_mmd")

    def __init__(
        self, autoencoder: Autoencoder, prior: Prior, config: ReconstructionConfig, autocast: Callable[[], AbstractContextManager]
    ) -> None:
        """Raises UsageError, with a likelihood, for a prior other than N(0, I) and for a network with batch norm."""
        if config.weight_nll:
            require_normal("weight_nll", prior)
            require_own_jacobians(autoencoder)
        super().__init__(autoencoder, prior, config, autocast)
        self.second_order = bool(config.weight_nll or config.weight_gradient)
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
        if c.weight_nll:
            x = x.detach().requires_grad_()
        with self.autocast():
            z = self.autoencoder.encode(x)
            z_hat = self.prior.restrict(z)
            x_hat = self.autoencoder.decode(z_hat)
        scalars: dict[str, Scalar] = {}
        L_x = image_loss(x.detach(), x_hat, c.image_norm, one_sided=c.one_sided)
        terms: Terms = {"L_x": (c.weight_x, L_x), "L_z": (c.weight_z, latent_loss(z, z_hat))}
        if c.weight_code:
            terms["L_y"] = (c.weight_code, code_loss(self.prior.select(z), c.code_norm))
        if c.weight_mmd:
            y_prior = self.prior.sample(len(x) * size(), generator)
            terms["L_mmd"] = (c.weight_mmd, mmd_loss(gathered(self.prior.select(z)), y_prior, c.mmd_widths))
        if c.weight_decoder:
            terms["L_decoder"] = (c.weight_decoder, kernel_loss(self.autoencoder.decoder_modules()))
        if c.weight_gradient:
            u = directions(x_hat.flatten(1), generator).view_as(x_hat)
            along = self.prior.select(pulled(x_hat, z_hat, u))
            terms["L_gradient"] = (c.weight_gradient, gradient_loss(along, x_hat[0].numel()))
        if c.weight_nll:
            y = self.prior.select(z)
            v = directions(y, generator)
            S = volume_surrogate(x, y, pushed(x_hat, z_hat, self.prior.embed(v)), v)
            terms["L_ml"] = (c.weight_nll, likelihood_loss(y, S, x[0].numel()))
            scalars["agreement"] = agreement(S, y.shape[1])
        (norm,) = descend((self.optimizers["R"], total(terms)))
        return {**logged(terms), **scalars, "grad_norm": norm}
