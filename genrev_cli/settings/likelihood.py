"""Settings of train-flow."""

from dataclasses import dataclass

from genrev_cli.settings.aeotgan import LOSSES
from genrev_cli.settings.base import Settings, setting
from genrev_cli.settings.optimizer import adam_betas, adam_eps, learning_rate, max_norm, weight, weight_decay
from genrev_cli.settings.trainer import Trainer, Variant


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig(Settings):
    """Adam on the network, and on the means and scales of the prior.

    With weight_adversarial it is a Flow-GAN (Grover, Dhar & Ermon 2018). norm: of its discriminator, where the loss prescribes none; '' is
    that of the discriminator's paper. The settings that end in _discriminator are those of its own Adam.
    """

    lr: float = learning_rate(1e-3)
    betas: tuple[float, float] = adam_betas((0.9, 0.999))
    max_grad_norm: float = max_norm(50.0)
    weight_decay: float = weight_decay()
    eps: float = adam_eps()
    weight_adversarial: float = weight(0.0, "Weight of an adversarial loss on samples beside the likelihood: a Flow-GAN; 0: none.")
    loss: str = setting("vanilla", "Adversarial loss; hinge-sn is that of SNGAN.", choices=LOSSES)
    norm: str = setting("")
    lr_discriminator: float = learning_rate(2e-4, "discriminator")
    betas_discriminator: tuple[float, float] = adam_betas((0.5, 0.999))
    max_grad_norm_discriminator: float = max_norm(0.0, "discriminator")


TRAIN_FLOW = Trainer(
    "train-flow",
    "Train an invertible network by maximum likelihood, measured in bits per dimension.",
    "genrev train-flow --data data/mnist.h5 --out flow.safetensors",
    "flow.safetensors",
    variants={"": Variant("flow", LikelihoodConfig, "genrev_cli.methods.likelihood:MaximumLikelihood")},
    place=60,
)
