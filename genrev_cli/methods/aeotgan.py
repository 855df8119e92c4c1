"""AE-OT-GAN: a GAN whose generator starts as an autoencoder's decoder and is fed codes of that autoencoder (An et al. 2020, section 3.3).

E: the autoencoder's encoder, frozen;   G: a copy of its decoder, trained;   D: images → scores, the discriminator
x_i an image and y_i = E(x_i) its code;   ỹ ~ p(y) a generated code, where p is the extended transport map or a prior
Without E this is a GAN from noise: all codes are generated, and there are no pairs (x_i, y_i).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import final

import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents import Prior
from genrev_cli.methods.gan_losses import LOSSES
from genrev_cli.methods.reconstruction import Terms, fit_prior, image_loss, latent_loss, logged, total
from genrev_cli.models import Autoencoder
from genrev_cli.models.gan import build_discriminator, span_of
from genrev_cli.settings.aeotgan import AEOTGANConfig
from genrev_cli.shapes import Codes, Images, Labels, Scalar, Scores
from genrev_cli.training.distributed import rank, size
from genrev_cli.training.method import AutoencoderMethod, Passes
from genrev_cli.training.optim import Optimizer, descend

Autocast = Callable[[], AbstractContextManager]

WINS = 0.9
"""Difference of D's mean probabilities of real and generated images from which a user is told."""


@final
class AEOTGAN(AutoencoderMethod):
    """Update D once, then G k times, each with new generated codes:

    L = w_adv·L_G(D(G(y))) + w_content·E |x_i − G(y_i)|² + Σ_l α_l·E |E_l(x_i) − E_l(G(y_i))|²,   y = (y_i, ỹ)   (eq. 1, 2)

    The real images are those of the mini-batch, in order. The fake images, equally many, are G(y_i) for its first images, then G(ỹ).
    G is in training mode, so its batch norm sees both kinds of codes; E is in evaluation mode. E_l is the output of the encoder's layer l,
    E_L the codes. A single number as `weight_feature` is α_L, and all other α are 0. Squares are means over the numbers of a layer.
    """

    config: AEOTGANConfig

    def __init__(
        self, autoencoder: Autoencoder, prior: Prior, config: AEOTGANConfig, autocast: Autocast, *, encoder: Autoencoder | None = None
    ) -> None:
        """autoencoder: its decoder becomes G. encoder: contains E, or is None; then losses that need E raise UsageError."""
        c = config
        if encoder is None and (c.weight_content or any(c.feature_weights)):
            raise UsageError("weight_content and weight_feature need the codes of a checkpoint; without one set both to 0")
        if encoder is not None:
            _require_layers(encoder, c.feature_weights)
        super().__init__(autoencoder, prior, config, autocast)
        self.encoder = encoder.eval().requires_grad_(False) if encoder else None
        self.loss, self.span = LOSSES[c.loss], span_of(autoencoder.config)
        device, G = next(autoencoder.parameters()).device, autoencoder.requires_grad_(True).decoder_modules()
        self.D = build_discriminator(autoencoder.config, self.loss.norm or c.norm or None).to(device)
        self.modules["D"] = self.D
        adam = Optimizer([self.D], lr=c.lr_discriminator, betas=c.betas_discriminator, max_grad_norm=c.max_grad_norm_discriminator)
        self.optimizers = {"G": Optimizer(G, lr=c.lr, betas=c.betas, max_grad_norm=c.max_grad_norm), "D": adam}

    def warnings(self, numbers: Mapping[str, float]) -> dict[str, str]:
        """Tell when a discriminator with probabilities as scores is right nearly always: then samples of the generator get worse."""
        real, fake = (numbers.get(name, 0.5) for name in ("D_real", "D_fake"))
        if self.loss.shown is not torch.sigmoid or real - fake <= WINS:
            return {}
        says = f"the discriminator tells generated images from real ones (D is {fake:.2f} and {real:.2f}), so samples may get worse"
        return {"discriminator": f"{says}; try a lower --lr-discriminator, more --generator-updates or a higher --weight-content"}

    def start(self, passes: Passes) -> None:
        """Without E, choose the active dimensions by the untrained network."""
        if self.encoder is None:
            fit_prior(self.autoencoder, self.prior, passes)

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update D on each mini-batch, then G on the last one."""
        c, batches = self.config, x.chunk(self.config.discriminator_updates)
        scalars: dict[str, Scalar] = {}
        pairs = c.pairs(len(batches[-1])) if self.encoder else 0
        generated = self._generated(len(batches[-1]) - pairs, generator)
        for batch in batches:
            y = self._encoded(batch[:pairs])
            if c.weight_adversarial:
                scalars |= self._update_D(batch, torch.cat([y, generated.pop()]), generator)
        for y_generated in generated:
            scalars |= self._update_G(batch[:pairs], y, torch.cat([y, y_generated]))
        return scalars

    @torch.no_grad()
    def _encoded(self, x: Images) -> Codes:
        if self.encoder is None or not len(x):
            return x.new_empty(0, self.prior.dim)
        with self.autocast():
            return self.prior.select(self.prior.restrict(self.encoder.encode(x)))

    @torch.no_grad()
    def _generated(self, n: int, generator: torch.Generator) -> list[Codes]:
        """n codes ỹ for each update of a step: this rank's rows of n · size, for all updates at once.

        A rank has every size-th row of them all, and as n · size is a multiple of size, so it has of each update.
        """
        updates = self.config.generator_updates + (self.config.discriminator_updates if self.config.weight_adversarial else 0)
        return list(self.prior.sample_rows(updates * n * size(), slice(rank(), None, size()), generator).chunk(updates))

    def _update_D(self, x: Images, y: Codes, generator: torch.Generator) -> dict[str, Scalar]:
        with torch.no_grad(), self.autocast():
            x_fake = self.autoencoder.decode(self.prior.embed(y))
        judged = self.loss.discriminator(self._scores, x, x_fake, self.span, generator)
        (norm,) = descend((self.optimizers["D"], judged.loss))
        D_real, D_fake = (self.loss.shown(scores.detach()).mean() for scores in (judged.real, judged.fake))
        return {"L_D": judged.loss.detach(), "D_real": D_real, "D_fake": D_fake, "grad_norm_D": norm}

    def _update_G(self, x: Images, y_real: Codes, y: Codes) -> dict[str, Scalar]:
        c = self.config
        terms: Terms = {}
        with self.autocast():
            x_fake = self.autoencoder.decode(self.prior.embed(y))
            x_hat = x_fake[: len(x)]
        if c.weight_adversarial:
            terms["L_G"] = (c.weight_adversarial, self.loss.generator(self._scores(x_fake)))
        if c.weight_content:
            terms["L_content"] = (c.weight_content, image_loss(x, x_hat, "l2"))
        if any(c.feature_weights):
            terms |= self._features(x, y_real, x_hat)
        (norm,) = descend((self.optimizers["G"], total(terms)))
        return {**logged(terms), "grad_norm": norm}

    def _features(self, x: Images, y_real: Codes, x_hat: Images) -> Terms:
        """Return the feature loss of each layer with a weight above 0: L_feature of the codes, L_feature_l of layer l = 1, 2, …"""
        assert self.encoder is not None
        *alphas, alpha = self.config.feature_weights
        with self.autocast():
            *layers_hat, z_hat = self.encoder.encode_by_layer(x_hat)
            y_hat = self.prior.select(z_hat)
        terms = {"L_feature": (alpha, latent_loss(y_real, y_hat))} if alpha else {}
        if any(alphas):
            with torch.no_grad(), self.autocast():
                *layers, _ = self.encoder.encode_by_layer(x)
            for number, (weight, real, found) in enumerate(zip(alphas, layers, layers_hat, strict=True), 1):
                if weight:
                    terms[f"L_feature_{number}"] = (weight, latent_loss(real.to(x.dtype), found.to(x.dtype)))
        return terms

    def _scores(self, x: Images) -> Scores:
        with self.autocast():
            return self.D(x)


def _require_layers(encoder: Autoencoder, weights: tuple[float, ...]) -> None:
    """Raise UsageError for more than one weight of features, but not one for each layer of the encoder."""
    count = len(encoder.encoder_layers()) + 1
    if len(weights) not in (1, count):
        raise UsageError(
            f"weight_feature: has {len(weights)} weights, and the encoder of '{encoder.config['name']}' has {count} "
            f"{'layers, with the codes' if count > 1 else 'layer, the codes'}; give one weight for each, or one for the codes alone"
        )
