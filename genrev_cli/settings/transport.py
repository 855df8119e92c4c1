"""Settings of train-ot."""

from dataclasses import dataclass

from genrev_cli.settings.base import Settings, setting
from genrev_cli.settings.optimizer import adam_betas, adam_eps, learning_rate, max_norm, weight, weight_decay
from genrev_cli.settings.trainer import Trainer, Variant


@dataclass(frozen=True, kw_only=True)
class TransportConfig(Settings):
    """Defaults are those of notebooks/mnist/OptimalTransport.ipynb (robintibor/generative-reversible)."""

    weight_perturbation: float = weight(15.0, "Weight of the perturbation loss.")
    # eq. 6 has ε ~ N(0, 0.01); in the authors' notebook 0.01 is the standard deviation
    noise: float = setting(0.01, "Standard deviation of the noise that perturbs the codes.", at_least=0)
    lr: float = learning_rate(1e-3)
    betas: tuple[float, float] = adam_betas((0.9, 0.999))
    max_grad_norm: float = max_norm(0.0)
    weight_decay: float = weight_decay()
    eps: float = adam_eps()


TRAIN_OT = Trainer(
    "train-ot",
    "Train a reversible network and a Gaussian per class by exact optimal transport, without an adversary.",
    "genrev train-ot --data data/mnist.h5 --out transport.safetensors",
    "transport.safetensors",
    variants={"": Variant("grn-ot", TransportConfig, "genrev_cli.methods.transport:ClassTransport")},
    place=30,
)
