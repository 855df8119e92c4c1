"""A GAN whose generator starts from an autoencoder's decoder and whose latents are that one's codes (An et al. 2020, D6).

E: the autoencoder's encoder, frozen;   G: a copy of its decoder, trained;   D: images → scores, the discriminator
x_i an image and y_i = E(x_i) its code;   ỹ ~ p(y) a generated code: p is the extended optimal transport map, or a prior
Without E it is a GAN from noise: there are no pairs (x_i, y_i) then, and all codes are generated.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents import Prior
from genrev_cli.methods.gan_losses import LOSSES
from genrev_cli.methods.reconstruction import fit_prior, image_loss, latent_loss, require_weights
from genrev_cli.models import Autoencoder
from genrev_cli.models.gan import build_discriminator, span_of
from genrev_cli.shapes import Codes, Images, Labels, Scalar
from genrev_cli.training.distributed import rank, size
from genrev_cli.training.method import AutoencoderMethod, Passes
from genrev_cli.training.optim import Optimizer, descend

Autocast = Callable[[], AbstractContextManager]


@dataclass(frozen=True)
class AEOTGANConfig:
    """loss: one of LOSSES. norm: of D where the loss leaves it open, '' for that of D's own paper. generated_per_real: ỹ for each y_i.

    generator_updates: k. discriminator_updates: of D for each k of G, each on a mini-batch of its own, as the rivals have it.
    The paper has two learning rates and k > 1, but its text lost their values and those of the weights: they are the recipes' to choose.
    """

    loss: str = "vanilla"  # paper
    norm: str = ""
    weight_adversarial: float = 1.0  # paper
    weight_content: float = 0.0  # β
    weight_feature: float = 0.0
    generated_per_real: int = 3  # paper
    generator_updates: int = 1
    discriminator_updates: int = 1
    lr: float = 2e-4
    lr_discriminator: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    betas_discriminator: tuple[float, float] = (0.5, 0.999)
    max_grad_norm: float = 0.0
    max_grad_norm_discriminator: float = 0.0

    def __post_init__(self) -> None:
        require_weights(*(weights := (self.weight_adversarial, self.weight_content, self.weight_feature)))
        if not any(weights):
            raise UsageError("weights of losses: all are 0, so there is nothing to train")
        if self.loss not in LOSSES:
            raise UsageError(f"loss {self.loss}: there is {', '.join(LOSSES)}")
        for key in ("generated_per_real", "generator_updates", "discriminator_updates"):
            if getattr(self, key) < 1:
                raise UsageError(f"{key} {getattr(self, key)}: at least 1 is needed")

    @property
    def parts(self) -> int:
        """Of how many images one brings its code."""
        return 1 + self.generated_per_real

    def pairs(self, batch: int) -> int:
        """How many of a mini-batch's images bring their code. Raises UsageError when they are no whole number."""
        if batch % self.parts:
            raise UsageError(
                f"a batch of {batch}: for each real code {self.generated_per_real} are generated; choose a multiple of {self.parts}"
            )
        return batch // self.parts


@final
class AEOTGAN(AutoencoderMethod):
    """One update of D, then k of G, each with new generated codes:

    L = w_adv·L_G(D(G(y))) + w_content·E |x_i − G(y_i)|² + w_feature·E |y_i − E(G(y_i))|²,   y = (y_i, ỹ)   (eq. 1, 2)

    The fake images of a mini-batch are G(y_i) of its first images, then G(ỹ), as many as there are real ones, which are all of its images
    in their order. Batch norm in G is in training mode and sees both kinds of codes; E is in evaluation mode.
    """

    def __init__(
        self, autoencoder: Autoencoder, prior: Prior, config: AEOTGANConfig, autocast: Autocast, encoder: Autoencoder | None = None
    ) -> None:
        """autoencoder: its decoder becomes G. encoder: has E, or None; then a loss that needs pairs raises UsageError."""
        c = config
        if encoder is None and (c.weight_content or c.weight_feature):
            raise UsageError("weight_content and weight_feature: without a checkpoint no image has a code to compare with; set both to 0")
        self.autoencoder, self.prior, self.config, self.autocast = autoencoder, prior, config, autocast
        self.encoder = encoder.eval().requires_grad_(False) if encoder else None
        self.loss, self.span = LOSSES[c.loss], span_of(autoencoder.config)
        device, G = next(autoencoder.parameters()).device, autoencoder.requires_grad_(True).decoder_modules()
        self.D = build_discriminator(autoencoder.config, self.loss.norm or c.norm or None).to(device)
        self.modules = {"autoencoder": autoencoder, "prior": prior, "D": self.D}
        adam = Optimizer([self.D], lr=c.lr_discriminator, betas=c.betas_discriminator, max_grad_norm=c.max_grad_norm_discriminator)
        self.optimizers = {"G": Optimizer(G, lr=c.lr, betas=c.betas, max_grad_norm=c.max_grad_norm), "D": adam}

    def start(self, passes: Passes) -> None:
        """From noise: the active dimensions are chosen by the untrained network."""
        if self.encoder is None:
            fit_prior(self.autoencoder, self.prior, passes)

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """The updates of D, each on its mini-batch, then those of G on the last of these."""
        c, scalars, batches = self.config, {}, x.chunk(self.config.discriminator_updates)
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
        with self.autocast():
            return self.prior.select(self.prior.restrict(self.encoder.encode(x))) if len(x) else x.new_empty(0, self.prior.dim)

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
        c, terms = self.config, {}
        with self.autocast():
            x_fake = self.autoencoder.decode(self.prior.embed(y))
            x_hat = x_fake[: len(x)]
            y_hat = self.prior.select(self.encoder.encode(x_hat)) if c.weight_feature else None
        if c.weight_adversarial:
            terms["L_G"] = (c.weight_adversarial, self.loss.generator(self._scores(x_fake)))
        if c.weight_content:
            terms["L_content"] = (c.weight_content, image_loss(x, x_hat, "l2"))
        if c.weight_feature:
            terms["L_feature"] = (c.weight_feature, latent_loss(y_real, y_hat))
        (norm,) = descend((self.optimizers["G"], sum(weight * loss for weight, loss in terms.values())))
        return {**{name: loss.detach() for name, (_, loss) in terms.items()}, "grad_norm": norm}

    def _scores(self, x: Images) -> Tensor:
        with self.autocast():
            return self.D(x)
