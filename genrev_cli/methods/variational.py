"""Variational (Kingma & Welling 2014) and Wasserstein autoencoders (Tolstikhin et al. 2018), baselines of the papers.

μ(x), σ(x): the posterior q(z|x) = N(μ, diag σ²);   f: x → z a deterministic encoder;   g: z → x̂ decoder;   p(z) the prior, N(0, I)
Pixels are in [−1, 1].
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import softplus

from genrev_cli.latents import Prior
from genrev_cli.methods.matching import mmd_distance
from genrev_cli.methods.perceptual import require_scales
from genrev_cli.methods.perceptual_losses import kl_loss, signed_image_loss
from genrev_cli.methods.reconstruction import fit_prior
from genrev_cli.models import Autoencoder, Variational
from genrev_cli.models.adversary import CodeDiscriminator
from genrev_cli.settings.schedule import Schedule
from genrev_cli.settings.variational import VAEConfig, WAEConfig
from genrev_cli.shapes import Images, Labels, Scalar, Scores
from genrev_cli.training.distributed import average, gathered, shard, size
from genrev_cli.training.method import AutoencoderMethod, Passes, require_normal, require_two_codes
from genrev_cli.training.optim import Optimizer, descend


def gaussian_nll(squared_error: Scalar, variance: Tensor) -> Scalar:
    """−log N(x; x̂, s² I) = e / 2s² + ½ log s² per pixel, up to a constant. e: mean squared error. s²: variance."""
    return squared_error / (2 * variance) + variance.log() / 2


@final
class VAE(AutoencoderMethod):
    """Minimise L = −E log p(x|z) + KL(q(z|x) ‖ p(z)) per pixel by Adam, z = μ + σ u: the negative ELBO divided by C·H·W."""

    config: VAEConfig

    def __init__(self, autoencoder: Autoencoder, prior: Prior, config: VAEConfig, autocast: Callable[[], AbstractContextManager]) -> None:
        """Raises UsageError for a network that gives no variance of codes, and for a prior other than N(0, I)."""
        require_scales("vae", autoencoder)
        require_normal("vae", prior)
        super().__init__(autoencoder, prior, config, autocast)
        self.optimizers = {"R": Optimizer([autoencoder], lr=config.lr, betas=config.betas, max_grad_norm=config.max_grad_norm)}

    def start(self, passes: Passes) -> None:
        fit_prior(self.autoencoder, self.prior, passes)

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update encoder and decoder once."""
        assert isinstance(self.autoencoder, Variational)
        with self.autocast():
            mean, log_variance = (self.prior.select(part) for part in self.autoencoder.posterior(x))
            u = shard(torch.randn(len(x) * size(), self.prior.dim, generator=generator, device=x.device))
            x_hat = self.autoencoder.decode(self.prior.embed(mean + (log_variance / 2).exp() * u))
        L_x, L_kl = signed_image_loss(x, x_hat), kl_loss(mean, log_variance)
        std = self.config.decoder_std
        variance = (
            L_x.new_tensor(std**2) if std else average([L_x.detach()])[0]
        )  # the most likely variance, where the gradient with respect to it is 0
        L = gaussian_nll(L_x, variance) + L_kl * mean.shape[1] / x[0].numel()
        (norm,) = descend((self.optimizers["R"], L))
        return {"L": L.detach(), "L_x": L_x.detach(), "L_kl": L_kl.detach(), "grad_norm": norm}


MOST_LAYERS = 100  # of the discriminator


def discrimination_loss(scores_prior: Scores, scores_codes: Scores) -> Scalar:
    """L_D = −E_p log D(z) − E_x log(1 − D(f(x))),  D = sigmoid(score)   (Tolstikhin et al. 2018, Algorithm 1)"""
    return softplus(-scores_prior).mean() + softplus(scores_codes).mean()


def confusion_loss(scores_codes: Scores) -> Scalar:
    """L_f = −E_x log D(f(x))   (Tolstikhin et al. 2018, Algorithm 1)"""
    return softplus(-scores_codes).mean()


@final
class WAE(AutoencoderMethod):
    """Minimise L = w_x · E ‖x − g(f(x))‖² + λ · penalty by Adam on f and g.

    wae-mmd: the penalty is the unbiased MMD² with kernels C / (C + |u − v|²), C = 2·H·s, as for the prior N(0, I).
    wae-gan: the penalty comes from a discriminator D of codes. D, and f and g, are updated from the same point, each by its own loss.
    """

    config: WAEConfig

    @classmethod
    def require(cls, schedule: Schedule, settings: Mapping[str, Any]) -> None:
        """Raise UsageError for a batch of one image with the MMD."""
        if settings["variant"] == "wae-mmd":
            require_two_codes(schedule, "wae-mmd")

    def __init__(self, autoencoder: Autoencoder, prior: Prior, config: WAEConfig, autocast: Callable[[], AbstractContextManager]) -> None:
        super().__init__(autoencoder, prior, config, autocast)
        c = config
        self.optimizers = {"R": Optimizer(autoencoder.coding_modules(), lr=c.lr, betas=c.betas, max_grad_norm=c.max_grad_norm)}
        if c.variant == "wae-gan":
            device = next(autoencoder.parameters()).device
            self.D = self.modules["D"] = CodeDiscriminator(prior.dim, c.hidden, c.layers).to(device)
            self.optimizers["D"] = Optimizer([self.D], lr=c.lr_discriminator, betas=c.betas, max_grad_norm=c.max_grad_norm)

    def start(self, passes: Passes) -> None:
        fit_prior(self.autoencoder, self.prior, passes)

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update f and g once, and for wae-gan D too."""
        c = self.config
        with self.autocast():
            z = self.prior.select(self.autoencoder.encode(x))
            x_hat = self.autoencoder.decode(self.prior.embed(z))
        L_x = x[0].numel() * signed_image_loss(x, x_hat)
        z_prior = self.prior.sample(len(x) * size(), generator)
        if c.variant == "wae-mmd":
            L_mmd = mmd_distance(gathered(z), z_prior, generator)
            (norm,) = descend((self.optimizers["R"], c.weight_x * L_x + c.weight_penalty * L_mmd))
            return {"L_x": L_x.detach(), "L_mmd": L_mmd.detach(), "grad_norm": norm}
        L_D, L_f = discrimination_loss(self.D(shard(z_prior)), self.D(z.detach())), confusion_loss(self.D(z))
        pairs = (self.optimizers["R"], c.weight_x * L_x + c.weight_penalty * L_f), (self.optimizers["D"], L_D)
        norm, norm_D = descend(*pairs)
        return {"L_x": L_x.detach(), "L_f": L_f.detach(), "L_D": L_D.detach(), "grad_norm": norm, "grad_norm_D": norm_D}
