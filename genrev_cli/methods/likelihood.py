"""Maximum likelihood by the change of variables formula (Dinh et al. 2017, eq. 2), for any bijection.

R: x̃ → z;   p(z) = N(μ, diag σ²);   log p(x̃) = log p(z) + log |det ∂z/∂x̃|
x̃ = (255·x + u) / 256,  u ~ U[0, 1): each 8-bit pixel becomes uniform on its cell of [0, 1)   (Theis et al. 2016, section 3.1)

Some networks need larger images than there are, and have a margin around them. A constant margin has no density: the likelihood would grow
without limit as σ → 0 there. So the margin is noise v ~ U[0, 1), which the network models together with the image:

log p(x̃) = log ∫ p(x̃, v) dv ≥ E log p(x̃, v)    by Jensen's inequality, because the density of v is 1

This is the bound of augmented flows (Huang, Dinh & Courville 2020). Bits per dimension stay an upper bound, and count only the image's
dimensions, C·H·W. The papers of our networks have no margins; this is ours.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents import DiagonalGaussian, Prior
from genrev_cli.methods.gan_losses import LOSSES
from genrev_cli.models import Autoencoder, Bijection
from genrev_cli.models.gan import build_discriminator, span_of
from genrev_cli.settings.likelihood import LikelihoodConfig
from genrev_cli.shapes import Images, Labels, Latents, Scalar, Scores
from genrev_cli.training.distributed import shard, size
from genrev_cli.training.method import AutoencoderMethod, Passes
from genrev_cli.training.optim import Optimizer, descend


def dequantise(x: Images, u: Tensor) -> Images:
    """Return x̃ = (255·x + u) / 256: a pixel k/255 moves into [k/256, (k+1)/256). u: like x, in [0, 1)."""
    return (255 * x + u) / 256


def log_likelihood(bijection: Bijection, prior: DiagonalGaussian, x: Images, border: Images | None = None) -> Scores:
    """log p(x) = log p(z) + log |det ∂z/∂x| in nats: (B, C, H, W) → (B,).

    border: see `Bijection.encode_log_det`; with it this is log p(x, v) for the margin v.
    """
    z, log_det = bijection.encode_log_det(x) if border is None else bijection.encode_log_det(x, border)
    return prior.log_prob(z) + log_det


def noise(bijection: Bijection, n: int, generator: torch.Generator) -> Tensor:
    """Draw u ~ U[0, 1) for every pixel of n images and of their margins: (n, C, H', W')."""
    return torch.rand(n, *bijection.padded_shape, generator=generator, device=generator.device)


def bits_of_images(bijection: Bijection, prior: DiagonalGaussian, x: Images, u: Tensor) -> Scores:
    """Return the bits per dimension of 8-bit images x with the noise u: (B, C, H, W), (B, C, H', W') → (B,)."""
    margin = bijection.margin
    log_p = log_likelihood(bijection, prior, dequantise(x, margin.crop(u)), u if margin else None)
    return bits_per_dim(log_p, math.prod(bijection.image_shape))


def bits_per_dim(log_likelihood: Scores, dims: int) -> Scores:
    """Return −log p(x̃) / (D ln 2) + 8, D = C·H·W. Its mean over u is an upper bound of −log₂ P(x)/D for 8-bit images (Theis et al. 2016).

    With log p(x̃, v) in place of log p(x̃) its mean over u and v is an upper bound too.
    """
    return 8 - log_likelihood / (dims * math.log(2))


def require_density(model: Autoencoder, prior: Prior) -> None:
    """Raise UsageError for a model or a prior that has no density."""
    if not isinstance(model, Bijection):
        raise UsageError(f"a likelihood needs an invertible network, and '{model.config['name']}' is not; use a recipe with revnet or inn")
    if not isinstance(prior, DiagonalGaussian):
        raise UsageError(
            f"a likelihood needs a prior over all {model.latent_dim} dimensions; "
            f"'{prior.config['name']}' has other ones; set [prior] name = \"diagonal-gaussian\""
        )
    dims = math.prod(model.padded_shape)
    if model.latent_dim != dims:
        raise UsageError(
            f"'{model.config['name']}' turns images of {dims} values into latents of {model.latent_dim}, so it has no density; "
            "set its margin, or use a recipe with revnet or inn"
        )


@final
class MaximumLikelihood(AutoencoderMethod):
    """Minimise L = −E log p(x̃) in bits per dimension, by Adam on the network and the prior together.

    With weight_adversarial w > 0 it is the hybrid objective of Flow-GANs (Grover, Dhar & Ermon 2018), L + w·L_G(D(R⁻¹(z))), z ~ p(z). The
    discriminator D gets x̃ as real images, because R⁻¹(z) has noise like theirs. Both are updated from the same point.

    Raises UsageError like `require_density`, and like `build_discriminator`.
    """

    config: LikelihoodConfig

    autoencoder: Bijection
    prior: DiagonalGaussian

    def __init__(
        self, autoencoder: Bijection, prior: DiagonalGaussian, config: LikelihoodConfig, autocast: Callable[[], AbstractContextManager]
    ) -> None:
        require_density(autoencoder, prior)
        super().__init__(autoencoder, prior, config, autocast)
        c = config
        R = Optimizer([autoencoder, prior], lr=c.lr, betas=c.betas, max_grad_norm=c.max_grad_norm, weight_decay=c.weight_decay, eps=c.eps)
        self.optimizers = {"R": R}
        if c.weight_adversarial:
            self.loss, self.span = LOSSES[c.loss], span_of(autoencoder.config)
            D = build_discriminator(autoencoder.config, self.loss.norm or c.norm or None)
            self.D = self.modules["D"] = D.to(next(autoencoder.parameters()).device)
            self.optimizers["D"] = Optimizer(
                [D], lr=c.lr_discriminator, betas=c.betas_discriminator, max_grad_norm=c.max_grad_norm_discriminator
            )

    def start(self, passes: Passes) -> None:
        """Set μ and σ to those of the untrained network's latents, for pixels at the middle of their cells, and noise in the margin."""
        with torch.no_grad():
            self.prior.fit(lambda: self._latents(passes))

    def _latents(self, passes: Passes) -> Iterator[tuple[Latents, Labels]]:
        R, generator = self.autoencoder, None
        for x, labels in passes():
            generator = generator or torch.Generator(x.device).manual_seed(0)
            x_middle = dequantise(x, torch.full_like(x, 0.5))
            z, _ = R.encode_log_det(x_middle, noise(R, len(x), generator)) if R.margin else R.encode_log_det(x_middle)
            yield z, labels

    def measure(self, autoencoder: Autoencoder, prior: Prior, x: Images, generator: torch.Generator) -> dict[str, Scores]:
        """Return the bits per dimension of each image, with one u each."""
        assert isinstance(autoencoder, Bijection)
        assert isinstance(prior, DiagonalGaussian)
        return {"bits_per_dim": bits_of_images(autoencoder, prior, x, noise(autoencoder, len(x), generator))}

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update R, μ and σ once, and D if there is one."""
        u = shard(noise(self.autoencoder, len(x) * size(), generator))
        with self.autocast():
            L = bits_of_images(self.autoencoder, self.prior, x, u).mean()
        if "D" in self.optimizers:
            return self._adversarial(L, dequantise(x, self.autoencoder.margin.crop(u)), generator)
        (norm,) = descend((self.optimizers["R"], L))
        return {"bits_per_dim": L.detach(), "grad_norm": norm}

    def _adversarial(self, L: Scalar, x: Images, generator: torch.Generator) -> dict[str, Scalar]:
        """Update R, μ, σ and D once. L: the bits per dimension of the images x̃."""
        z = shard(self.prior.sample(len(x) * size(), generator))
        with self.autocast():
            x_fake = self.autoencoder.decode(z)
        judged = self.loss.discriminator(self._scores, x, x_fake.detach(), self.span, generator)
        L_G = self.loss.generator(self._scores(x_fake))
        pairs = (self.optimizers["R"], L + self.config.weight_adversarial * L_G), (self.optimizers["D"], judged.loss)
        norm, norm_D = descend(*pairs)
        D_real, D_fake = (self.loss.shown(scores.detach()).mean() for scores in (judged.real, judged.fake))
        return {
            "bits_per_dim": L.detach(), "L_G": L_G.detach(), "L_D": judged.loss.detach(), "D_real": D_real, "D_fake": D_fake,
            "grad_norm": norm, "grad_norm_D": norm_D,
        }  # fmt: skip

    def _scores(self, x: Images) -> Scores:
        with self.autocast():
            return self.D(x)
