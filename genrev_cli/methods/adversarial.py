"""A reversible network trained against an adversary on its latent codes (Schirrmeister et al. 2018, sections 2.2 and 3.1).

R: x → z encoder;   y the active dimensions of z;   D: y → ℝ the adversary;   p(y) the prior
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ClassVar, final

import torch
from torch.nn.functional import relu

from genrev_cli.latents import Prior
from genrev_cli.methods.reconstruction import image_loss, latent_loss
from genrev_cli.models import Autoencoder
from genrev_cli.models.adversary import LatentAdversary
from genrev_cli.settings.adversarial import AdversarialConfig
from genrev_cli.shapes import Images, Labels, Scalar, Scores
from genrev_cli.training.distributed import shard
from genrev_cli.training.method import AutoencoderMethod
from genrev_cli.training.optim import Optimizer, descend


def adversary_loss(scores_prior: Scores, scores_codes: Scores) -> Scalar:
    """L_D = −E_prior[min(0, −1 + D(y))] − E_x[min(0, −1 − D(R(x)))]   (eq. 3, with relu(a) = −min(0, −a))"""
    return relu(1 - scores_prior).mean() + relu(1 + scores_codes).mean()


def encoder_loss(scores_codes: Scores) -> Scalar:
    """L_E = −E_x[D(R(x))]   (eq. 3 in version 2 of arXiv:1806.01610)"""
    return -scores_codes.mean()


@final
class LatentAdversarial(AutoencoderMethod):
    """Alternate updates on successive mini-batches: one of D, then one of R. The loss of R includes the reconstruction losses."""

    config: AdversarialConfig

    batches_per_step: ClassVar[int] = 2

    def __init__(
        self, autoencoder: Autoencoder, prior: Prior, config: AdversarialConfig, autocast: Callable[[], AbstractContextManager]
    ) -> None:
        super().__init__(autoencoder, prior, config, autocast)
        device = next(autoencoder.parameters()).device
        self.D = LatentAdversary(prior.dim, config.hidden).to(device)
        self.modules["D"] = self.D
        self.optimizers = {
            "R": Optimizer(autoencoder.coding_modules(), lr=config.lr, betas=config.betas, max_grad_norm=config.max_grad_norm),
            "D": Optimizer([self.D], lr=config.lr_adversary, betas=config.betas, max_grad_norm=config.max_grad_norm_adversary),
        }

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update D once, then R once on the next mini-batch."""
        x_D, x_R = x.chunk(2)
        return self._update_D(x_D, generator) | self._update_R(x_R)

    def _update_D(self, x: Images, generator: torch.Generator) -> dict[str, Scalar]:
        with torch.no_grad(), self.autocast():
            y = self.prior.select(self.autoencoder.encode(x))
        y_prior = shard(self.prior.sample(self.config.prior_samples, generator))
        # one pass, so that both are scored with the same estimate of the singular values
        D_prior, D_codes = self.D(torch.cat([y_prior, y])).split([len(y_prior), len(y)])
        L_D = adversary_loss(D_prior, D_codes)
        (norm,) = descend((self.optimizers["D"], L_D))
        return {"L_D": L_D.detach(), "D_prior": D_prior.detach().mean(), "D_codes": D_codes.detach().mean(), "grad_norm_D": norm}

    def _update_R(self, x: Images) -> dict[str, Scalar]:
        c = self.config
        with self.autocast():
            z = self.autoencoder.encode(x)
            z_hat = self.prior.restrict(z)
            x_hat = self.autoencoder.decode(z_hat)
        L_E = encoder_loss(self.D(self.prior.select(z)))
        L_x, L_z = image_loss(x, x_hat, one_sided=c.one_sided), latent_loss(z, z_hat)
        (norm,) = descend((self.optimizers["R"], L_E + c.weight_x * L_x + c.weight_z * L_z))
        return {"L_E": L_E.detach(), "L_x": L_x.detach(), "L_z": L_z.detach(), "grad_norm": norm}
