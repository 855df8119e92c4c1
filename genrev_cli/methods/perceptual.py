"""Perceptual generative autoencoders (Zhang et al. 2020, arXiv:1906.10335v1): LPGA, VPGA, and LVPGA of the authors' code (zj10/PGA).

f: x → z encoder with parameters φ;   g: z → x̂ decoder with θ;   h = f ∘ g;   p(z) the prior, N(0, I) on H dimensions
ℋ: distribution of the codes f(x);   σ: scales of the posterior q(z|x) = N(f(x), diag σ²);   sg(·): stops the gradient

As in the authors' code, every mean is over dimensions and batch, and squared errors are not halved. Pixels are in [−1, 1].
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from genrev_cli.errors import UsageError
from genrev_cli.latents import Prior
from genrev_cli.methods.perceptual_losses import code_nll, kl_loss, noise_loss, signed_image_loss, volume_loss
from genrev_cli.methods.reconstruction import Terms, fit_prior, latent_loss, logged, total
from genrev_cli.models import Autoencoder, Variational
from genrev_cli.settings.perceptual import PerceptualConfig
from genrev_cli.settings.schedule import Schedule
from genrev_cli.shapes import Codes, Images, Labels, Latents, Scalar
from genrev_cli.training.distributed import mean, shard, size
from genrev_cli.training.method import AutoencoderMethod, Passes, require_normal
from genrev_cli.training.optim import Optimizer, descend

RADIUS = 0.01
"""ε / √H for the steps of LPGA, and the number that LVPGA adds to σ for its steps (authors' code)."""


def require_scales(method: str, model: Autoencoder) -> None:
    """Raise UsageError for a network whose encoder gives no variance of codes. method: its name in the message."""
    if not (isinstance(model, Variational) and model.log_variance is not None):
        raise UsageError(
            f"{method} needs an encoder that gives a variance of codes, and '{model.config['name']}' gives none; "
            'set [model] name = "strided" or "residual" with variational = true'
        )


@contextmanager
def frozen(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Stop gradients to these parameters inside the block."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@final
class PerceptualAutoencoder(AutoencoderMethod):
    """Minimise L_φ over φ and L_θ over θ, by SGD with momentum, both gradients at the same point (eq. 7, 11):

        L_φ = L_r + α·E_p (f(sg g(z)) − z)² + β·E_ℋ (f(sg g(z)) − sg z)² + γ·(encoder's part),   L_θ = L_r + γ·(decoder's part)

        γ·(…) of     encoder                                                  decoder
        lpga         w_nll·L_nll^φ                                            w_nll·L_nll^θ, δ uniform on the sphere of radius 0.01·√H
        vpga         w_noise·(noise loss, only for σ) + w_kl·KL               w_noise·(noise loss)
        lvpga        as vpga with L_nll^θ as noise loss, + w_nll·L_nll^φ      w_noise·L_nll^θ, δ = (σ + 0.01) u

    For a bijection h is the identity and φ is θ. Then eq. 2, 3 and 6 are 0, and LPGA minimises L_r + w_nll·L_nll^φ.
    """

    config: PerceptualConfig

    @classmethod
    def require(cls, schedule: Schedule, settings: Mapping[str, Any]) -> None:
        """Raise UsageError for a precision that rounds away the differences that the likelihood measures."""
        variant = settings["variant"]
        if variant != "vpga" and schedule.precision != "fp32":
            raise UsageError(
                f"--precision {schedule.precision}: {variant} compares codes that differ by 1 %, which this precision rounds away; "
                "use fp32, or the variant vpga"
            )

    def __init__(
        self, autoencoder: Autoencoder, prior: Prior, config: PerceptualConfig, autocast: Callable[[], AbstractContextManager]
    ) -> None:
        """Raises UsageError for a prior other than N(0, I), and for a network without an encoder or the variance that the variant needs."""
        require_normal(config.variant, prior)
        super().__init__(autoencoder, prior, config, autocast)
        self.warm = True
        self.has_scales = config.variant != "lpga"
        if self.has_scales:
            require_scales(config.variant, autoencoder)
        if not autoencoder.encodes:
            raise UsageError(
                f"{config.variant} needs an encoder, and this '{autoencoder.config['name']}' has none; set encoder = true in [model]"
            )
        decoder = autoencoder.decoder_modules()
        theta = {parameter for module in decoder for parameter in module.parameters()}
        used = [autoencoder] if self.has_scales else autoencoder.coding_modules()
        phi = nn.ParameterList(parameter for module in used for parameter in module.parameters() if parameter not in theta)
        sgd = partial(Optimizer, lr=config.lr, momentum=config.momentum, max_grad_norm=config.max_grad_norm)
        self.optimizers = {"g": sgd(decoder)} | ({"f": sgd([phi])} if len(phi) else {})

    def start(self, passes: Passes) -> None:
        fit_prior(self.autoencoder, self.prior, passes)

    def begin(self, step: int) -> None:
        """Turn all losses on after the warm-up."""
        self.warm = step > self.config.warm_up

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update f and g once; for a bijection, their common parameters."""
        z, log_variance = self._posterior(x)
        x_hat = self._g(z)
        L_x, w_nll = signed_image_loss(x, x_hat), self.config.weight_nll
        if self.autoencoder.bijective:
            terms: Terms = {"L_x": (1.0, L_x)} | ({"L_nll": (w_nll, code_nll(z))} if self.warm else {})
            (norm,) = descend((self.optimizers["g"], total(terms)))
            return {**logged(terms), "grad_norm": norm}
        of_f: Terms = {"L_x": (1.0, L_x)}
        of_g: Terms = {"L_x": (1.0, L_x)}
        if log_variance is not None:  # also in the warm-up, with weight 0, so that every parameter of f has a gradient
            of_f["L_kl"] = (self.config.weight_kl * self.warm, kl_loss(z, log_variance))
        if self.warm:
            of_f |= self._on_codes(z, x_hat, generator)
            moved_f, moved_g = self._along_steps(z, log_variance, x_hat, generator)
            of_f, of_g = of_f | moved_f, of_g | moved_g
        norm_f, norm_g = descend((self.optimizers["f"], total(of_f)), (self.optimizers["g"], total(of_g)))
        return {**logged(of_f | of_g), "grad_norm": norm_f, "grad_norm_g": norm_g}

    def _on_codes(self, z: Codes, x_hat: Images, generator: torch.Generator) -> Terms:
        """Return the losses of f on codes: reconstruct codes from their images (eq. 2, 3), and stay near the origin (eq. 5)."""
        c = self.config
        terms: Terms = {}
        if c.weight_prior:
            z_prior = shard(self.prior.sample(len(z) * size(), generator))
            with torch.no_grad():
                x_prior = self._g(z_prior)
            terms["L_prior"] = (c.weight_prior, latent_loss(self._f(x_prior), z_prior))
        if c.weight_codes:
            terms["L_codes"] = (c.weight_codes, latent_loss(self._f(x_hat.detach()), z.detach()))
        if c.variant != "vpga" and c.weight_nll:
            terms["L_nll"] = (c.weight_nll, code_nll(z))
        return terms

    def _along_steps(self, z: Codes, log_variance: Codes | None, x_hat: Images, generator: torch.Generator) -> tuple[Terms, Terms]:
        """Return the losses of small steps of codes, for f (only σ gets a gradient) and for g. The f inside h is frozen."""
        c = self.config
        weight = c.weight_nll if c.variant == "lpga" else c.weight_noise
        if not weight:
            return {}, {}
        u = shard(torch.randn(len(z) * size(), z.shape[1], generator=generator, device=z.device))
        if log_variance is None:  # lpga
            delta = RADIUS * z.shape[1] ** 0.5 * normalize(u)
        else:
            delta = ((log_variance / 2).exp() + (RADIUS if c.variant == "lvpga" else 0.0)) * u
        with frozen(self.optimizers["f"].parameters):
            h, h_moved = self._f(x_hat), self._f(self._g(z.detach() + delta))
        if c.variant == "vpga":
            spread = mean(z.detach().square().mean(0))
            return {"L_noise": (weight, noise_loss(h.detach(), h_moved, spread))}, {"L_noise": (weight, noise_loss(h, h_moved, spread))}
        radius = delta.detach().norm(dim=1)
        of_g = {"L_volume": (weight, volume_loss(h, h_moved, radius))}
        return ({} if c.variant == "lpga" else {"L_volume": (weight, volume_loss(h.detach(), h_moved, radius))}), of_g

    def _posterior(self, x: Images) -> tuple[Codes, Codes | None]:
        """Return μ and log σ² of the active dimensions; log σ² is None for lpga."""
        if not self.has_scales:
            return self._f(x), None
        assert isinstance(self.autoencoder, Variational)
        with self.autocast():
            mu, log_variance = self.autoencoder.posterior(x)
        return self._select(mu), self.prior.select(log_variance)

    def _f(self, x: Images) -> Codes:
        with self.autocast():
            return self._select(self.autoencoder.encode(x))

    def _g(self, z: Codes) -> Images:
        with self.autocast():
            return self.autoencoder.decode(self.prior.embed(z))

    def _select(self, z: Latents) -> Codes:
        return self.prior.select(self.prior.restrict(z))
