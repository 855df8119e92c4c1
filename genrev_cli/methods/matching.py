"""A network whose codes are matched to the prior by a distance instead of an adversary, as Schirrmeister et al. 2018, section 4, propose.

R: x → z encoder;   y the active dimensions of z;   y' ~ p(y) samples of the prior, as many as codes
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import final

import torch

from genrev_cli.latents import Prior
from genrev_cli.methods.reconstruction import image_loss, latent_loss
from genrev_cli.metrics.kernel import mmd
from genrev_cli.metrics.sliced import sliced_wasserstein
from genrev_cli.models import Autoencoder
from genrev_cli.ot.discrete import transport_loss
from genrev_cli.settings.adversarial import MatchingConfig
from genrev_cli.shapes import Codes, Images, Labels, Scalar
from genrev_cli.training.distributed import gathered, size
from genrev_cli.training.method import AutoencoderMethod
from genrev_cli.training.optim import Optimizer, descend

MMD_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""s of the kernels C / (C + |u − v|²), C = 2·d·s (Tolstikhin et al. 2018, wae.py of tolstikhin/wae)."""
PROJECTIONS = 256


def mmd_distance(y: Codes, y_prior: Codes, generator: torch.Generator) -> Scalar:
    """Return the unbiased estimate of MMD²(q(y), p(y)) with the kernels of WAE-MMD."""
    return mmd(y, y_prior, [2 * y.shape[1] * s for s in MMD_SCALES])


def sliced_distance(y: Codes, y_prior: Codes, generator: torch.Generator) -> Scalar:
    """Return SWD₂(q(y), p(y)) over PROJECTIONS new random directions."""
    return sliced_wasserstein(y, y_prior, projections=PROJECTIONS, generator=generator)


def transport_distance(y: Codes, y_prior: Codes, generator: torch.Generator) -> Scalar:
    """Return the exact transport cost between the mini-batch and the samples, with Euclidean distances."""
    return transport_loss(y, y_prior)


MATCHERS: dict[str, Callable[[Codes, Codes, torch.Generator], Scalar]] = {
    "mmd": mmd_distance,
    "sliced": sliced_distance,
    "ot": transport_distance,
}
"""Name → distance that replaces the adversary: (codes, samples of the prior, generator) → distance."""


@final
class LatentMatching(AutoencoderMethod):
    """Minimise L = w_match·distance(q(y), p(y)) + w_x·L_x + w_z·L_z by Adam on the autoencoder."""

    config: MatchingConfig

    def __init__(
        self, autoencoder: Autoencoder, prior: Prior, config: MatchingConfig, autocast: Callable[[], AbstractContextManager]
    ) -> None:
        super().__init__(autoencoder, prior, config, autocast)
        self.optimizers = {
            "R": Optimizer(autoencoder.coding_modules(), lr=config.lr, betas=config.betas, max_grad_norm=config.max_grad_norm)
        }

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update R once."""
        c = self.config
        with self.autocast():
            z = self.autoencoder.encode(x)
            z_hat = self.prior.restrict(z)
            x_hat = self.autoencoder.decode(z_hat)
        y_prior = self.prior.sample(len(x) * size(), generator)
        L_match = MATCHERS[c.matcher](gathered(self.prior.select(z)), y_prior, generator)
        L_x, L_z = image_loss(x, x_hat, one_sided=c.one_sided), latent_loss(z, z_hat)
        (norm,) = descend((self.optimizers["R"], c.weight_match * L_match + c.weight_x * L_x + c.weight_z * L_z))
        return {"L_match": L_match.detach(), "L_x": L_x.detach(), "L_z": L_z.detach(), "grad_norm": norm}
