"""Settings of train-flow."""

from dataclasses import dataclass

from genrev_cli.settings.base import Settings
from genrev_cli.settings.optimizer import adam_betas, adam_eps, learning_rate, max_norm, weight_decay
from genrev_cli.settings.trainer import Trainer, Variant


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig(Settings):
    """Adam on the network, and on the means and scales of the prior."""

    lr: float = learning_rate(1e-3)
    betas: tuple[float, float] = adam_betas((0.9, 0.999))
    max_grad_norm: float = max_norm(50.0)
    weight_decay: float = weight_decay()
    eps: float = adam_eps()


TRAIN_FLOW = Trainer(
    "train-flow",
    "Train an invertible network by maximum likelihood, measured in bits per dimension.",
    "genrev train-flow --data data/mnist.h5 --out flow.safetensors",
    "flow.safetensors",
    variants={"": Variant("flow", LikelihoodConfig, "genrev_cli.methods.likelihood:MaximumLikelihood")},
    place=60,
)
