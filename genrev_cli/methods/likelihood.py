"""Maximum likelihood by the change of variables formula (Dinh et al. 2017, eq. 2), for any bijection.

R: x̃ → z;   p(z) = N(μ, diag σ²);   log p(x̃) = log p(z) + log |det ∂z/∂x̃|
x̃ = (255·x + u) / 256,  u ~ U[0, 1): each 8-bit pixel becomes uniform on its cell of [0, 1)   (Theis et al. 2016, section 3.1)
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents import DiagonalGaussian, Prior
from genrev_cli.methods.reconstruction import fit_prior
from genrev_cli.models import Autoencoder, Bijection
from genrev_cli.settings.likelihood import LikelihoodConfig
from genrev_cli.shapes import Images, Labels, Scalar, Scores
from genrev_cli.training.distributed import shard, size
from genrev_cli.training.method import AutoencoderMethod, Passes
from genrev_cli.training.optim import Optimizer, descend


def dequantise(x: Images, u: Tensor) -> Images:
    """Return x̃ = (255·x + u) / 256: a pixel k/255 moves into [k/256, (k+1)/256). u: like x, in [0, 1)."""
    return (255 * x + u) / 256


def log_likelihood(bijection: Bijection, prior: DiagonalGaussian, x: Images) -> Scores:
    """log p(x) = log p(z) + log |det ∂z/∂x| in nats: (B, C, H, W) → (B,)."""
    z, log_det = bijection.encode_log_det(x)
    return prior.log_prob(z) + log_det


def bits_per_dim(log_likelihood: Scores, dims: int) -> Scores:
    """Return −log p(x̃) / (D ln 2) + 8. Its mean over u is an upper bound of −log₂ P(x)/D for 8-bit images (Theis et al. 2016)."""
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
    dims = math.prod(model.image_shape)
    if model.latent_dim != dims:
        raise UsageError(
            f"'{model.config['name']}' pads images of {dims} values to {model.latent_dim}, and constant padding has no density; "
            "prepare the images with a --size that needs no padding, or use fewer scales"
        )


@final
class MaximumLikelihood(AutoencoderMethod):
    """Minimise L = −E log p(x̃) in bits per dimension, by Adam on the network and the prior together.

    Raises UsageError like `require_density`.
    """

    config: LikelihoodConfig

    autoencoder: Bijection
    prior: DiagonalGaussian

    def __init__(
        self, autoencoder: Bijection, prior: DiagonalGaussian, config: LikelihoodConfig, autocast: Callable[[], AbstractContextManager]
    ) -> None:
        require_density(autoencoder, prior)
        super().__init__(autoencoder, prior, config, autocast)
        self.optimizers = {"R": Optimizer([autoencoder, prior], **vars(config))}

    def start(self, passes: Passes) -> None:
        """Set μ and σ to those of the untrained network's latents, for pixels at the middle of their cells."""
        fit_prior(self.autoencoder, self.prior, lambda: ((dequantise(x, torch.full_like(x, 0.5)), labels) for x, labels in passes()))

    def measure(self, autoencoder: Autoencoder, prior: Prior, x: Images, generator: torch.Generator) -> dict[str, Scores]:
        """Return the bits per dimension of each image, with one u each."""
        assert isinstance(autoencoder, Bijection)
        assert isinstance(prior, DiagonalGaussian)
        u = torch.rand(x.shape, generator=generator, device=x.device)
        return {"bits_per_dim": bits_per_dim(log_likelihood(autoencoder, prior, dequantise(x, u)), autoencoder.latent_dim)}

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Update R, μ and σ once."""
        u = shard(torch.rand(len(x) * size(), *x.shape[1:], generator=generator, device=x.device))
        with self.autocast():
            log_p = log_likelihood(self.autoencoder, self.prior, dequantise(x, u))
        L = bits_per_dim(log_p, self.autoencoder.latent_dim).mean()
        (norm,) = descend((self.optimizers["R"], L))
        return {"bits_per_dim": L.detach(), "grad_norm": norm}
