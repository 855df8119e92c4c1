"""A reversible network trained by optimal transport, without an adversary (Schirrmeister et al. 2018, section 3.2).

R: x → z;   μ_k, σ_k: Gaussian of class k over all dimensions, trained with R;   s = μ_k + σ_k ⊙ u, u ~ N(0, I): a sample of it
OT(·, ·): exact transport cost between two sets of points, with Euclidean distances;   ε ~ N(0, noise²)
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, final

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents import ClassGaussians, Prior
from genrev_cli.methods.reconstruction import fit_prior
from genrev_cli.models import Autoencoder, Bijection
from genrev_cli.ot.discrete import classwise_transport_loss
from genrev_cli.settings.transport import TransportConfig
from genrev_cli.shapes import Images, Labels, Scalar
from genrev_cli.training.distributed import gathered, shard, size
from genrev_cli.training.method import AutoencoderMethod, Passes
from genrev_cli.training.optim import Optimizer, descend


def perturbation_loss(x: Images, x_perturbed: Images) -> Scalar:
    """L_perturb = E c(x, R⁻¹(R(x) + ε)),  c = mean squared + mean absolute error   (eq. 6)"""
    difference = x - x_perturbed
    return difference.square().mean() + difference.abs().mean()


def require_transport(model: Autoencoder, prior: Prior) -> None:
    """Raise UsageError for a network that is not invertible, or a prior other than one Gaussian per class."""
    if not isinstance(model, Bijection):
        raise UsageError(f"train-ot needs an invertible network, and '{model.config['name']}' is not; use a recipe with revnet or inn")
    if not isinstance(prior, ClassGaussians):
        raise UsageError(f"train-ot needs a Gaussian per class, not '{prior.config['name']}'; set [prior] name = \"class-gaussians\"")


@final
class ClassTransport(AutoencoderMethod):
    """Minimise L = Σ_k n_k/n · OT(R(x) of class k, s of class k) + w·L_perturb by Adam on R, μ and σ; then clamp σ ≥ 0.

    There is one sample s for each code, of the same class. Raises UsageError like `require_transport`.
    """

    config: TransportConfig

    autoencoder: Bijection
    prior: ClassGaussians

    def __init__(
        self, autoencoder: Bijection, prior: ClassGaussians, config: TransportConfig, autocast: Callable[[], AbstractContextManager]
    ) -> None:
        require_transport(autoencoder, prior)
        super().__init__(autoencoder, prior, config, autocast)
        c = config
        self.optimizers = {
            "R": Optimizer(
                [autoencoder, prior], lr=c.lr, betas=c.betas, max_grad_norm=c.max_grad_norm, weight_decay=c.weight_decay, eps=c.eps
            )
        }

    def start(self, passes: Passes) -> None:
        """Set μ_k and σ_k to those of the untrained network's codes of class k. Raises UsageError if all σ are 0."""
        fit_prior(self.autoencoder, self.prior, passes)
        if not self.prior.std.any():
            raise UsageError("train-ot: all training images of a class are equal, so its Gaussian has no extent; give images that differ")

    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """One update of R, μ and σ."""
        c, classes = self.config, self.prior.classes_of(labels)
        with self.autocast():
            z = self.autoencoder.encode(x)
            x_perturbed = self.autoencoder.decode(z + c.noise * self._normal(z, generator))
        s = self.prior.draw(classes, self._normal(z, generator))
        L_ot = classwise_transport_loss(gathered(z), gathered(s), gathered(classes))
        L_perturb = perturbation_loss(x, x_perturbed)
        (norm,) = descend((self.optimizers["R"], L_ot + c.weight_perturbation * L_perturb))
        self.prior.clamp()
        return {"L_ot": L_ot.detach(), "L_perturb": L_perturb.detach(), "grad_norm": norm}

    def _normal(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return shard(torch.randn(len(like) * size(), like.shape[1], generator=generator, device=like.device))

    @staticmethod
    def summary(prior: Prior) -> dict[str, Any]:
        """Return how many dimensions each class uses."""
        assert isinstance(prior, ClassGaussians)
        return {"dims_of_class": prior.used().sum(1).tolist()}

    def describe(self, prior: Prior) -> dict[str, float]:
        """Return how many dimensions the classes use (`ClassGaussians.used`); a shared dimension is used by two or more classes."""
        assert isinstance(prior, ClassGaussians)
        used = prior.used()
        return {
            "dims_per_class": used.sum(1).double().mean().item(),
            "dims_used": used.any(0).sum().item(),
            "dims_shared": (used.sum(0) >= 2).sum().item(),
        }
