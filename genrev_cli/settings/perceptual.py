"""Settings of train-pga."""

from dataclasses import KW_ONLY, dataclass

from genrev_cli.settings.base import ADVANCED, Settings, setting
from genrev_cli.settings.optimizer import learning_rate, max_norm, weight
from genrev_cli.settings.trainer import Trainer, Variant

VARIANTS = ("lpga", "vpga", "lvpga")


@dataclass(frozen=True)
class PerceptualConfig(Settings):
    """Defaults are those of the authors' code (zj10/PGA) for LPGA on MNIST. α, β and γ as in Zhang et al. 2020, arXiv:1906.10335v1."""

    variant: str = setting("lpga", "lpga adds a likelihood, vpga a variational loss, lvpga both.", choices=VARIANTS)
    weight_prior: float = weight(6e-2, "Weight α of reconstructing prior codes, E‖f(g(z)) − z‖².")
    weight_codes: float = weight(0.0, "Weight β of reconstructing the codes of images.")
    weight_nll: float = weight(1.5e-2, "Weight γ of the likelihood (lpga; in lvpga of the encoder's part).")
    _: KW_ONLY
    weight_noise: float = weight(0.0, "Weight γ of reconstructing noisy codes (vpga), or of the volume along the posterior (lvpga).")
    weight_kl: float = weight(0.0, "Weight γ of the KL divergence (vpga, lvpga).")
    warm_up: int = setting(3000, "Initial steps that train with the image loss only.", panel=ADVANCED, at_least=0)
    lr: float = learning_rate(0.1)
    momentum: float = setting(0.9, "Momentum of the gradient descent.", panel=ADVANCED, at_least=0, below=1)
    max_grad_norm: float = max_norm(0.0)


TRAIN_PGA = Trainer(
    "train-pga",
    "Train a perceptual generative autoencoder: generated images are compared with real ones in code space.",
    "genrev train-pga --data data/mnist.h5 --variant vpga --out vpga.safetensors",
    "pga.safetensors",
    variants={name: Variant(name, PerceptualConfig, "genrev_cli.methods.perceptual:PerceptualAutoencoder") for name in VARIANTS},
    place=40,
)
