"""Settings of train-vae: variational and Wasserstein autoencoders."""

from dataclasses import KW_ONLY, dataclass

from genrev_cli.settings.base import ADVANCED, Settings, setting
from genrev_cli.settings.optimizer import adam_betas, learning_rate, max_norm, weight
from genrev_cli.settings.trainer import Trainer, Variant

VARIANTS = ("vae", "wae-mmd", "wae-gan")
MOST_LAYERS = 100


def _variant(default: str) -> str:
    return setting(default, "A variational autoencoder, or a Wasserstein autoencoder with an MMD or a discriminator.", choices=VARIANTS)


@dataclass(frozen=True, kw_only=True)
class VAEConfig(Settings):
    """A VAE whose decoder has one standard deviation for all pixels (Rybkin, Daniilidis & Levine 2021)."""

    variant: str = _variant("vae")
    decoder_std: float = setting(
        0.0, "Standard deviation of pixels in [−1, 1] given a code; 0 uses the best value of each mini-batch (vae).", at_least=0
    )
    lr: float = learning_rate(1e-3)
    betas: tuple[float, float] = adam_betas((0.9, 0.999))
    max_grad_norm: float = max_norm(0.0)


@dataclass(frozen=True)
class WAEConfig(Settings):
    """Defaults are those of Tolstikhin et al. 2018 for CelebA (appendix F)."""

    variant: str = _variant("wae-mmd")
    weight_penalty: float = weight(100.0, "Weight λ of the penalty on codes (wae).")
    weight_x: float = weight(0.05, "Weight of the squared error of an image, summed over its values (wae).")
    lr: float = learning_rate(1e-3)
    _: KW_ONLY
    lr_discriminator: float = learning_rate(1e-3, "discriminator")
    betas: tuple[float, float] = adam_betas((0.5, 0.999))
    max_grad_norm: float = max_norm(0.0)
    hidden: int = setting(1024, "Units in each layer of the discriminator (wae-gan).", panel=ADVANCED, at_least=1)
    layers: int = setting(4, "Layers of the discriminator (wae-gan).", panel=ADVANCED, at_least=1, at_most=MOST_LAYERS)


TRAIN_VAE = Trainer(
    "train-vae",
    "Train a variational autoencoder, or a Wasserstein autoencoder with an MMD or a discriminator of codes.",
    "genrev train-vae --data data/mnist.h5 --variant wae-mmd --out wae.safetensors",
    "vae.safetensors",
    variants={
        "vae": Variant("vae", VAEConfig, "genrev_cli.methods.variational:VAE"),
        "wae-mmd": Variant("wae-mmd", WAEConfig, "genrev_cli.methods.variational:WAE"),
        "wae-gan": Variant("wae-gan", WAEConfig, "genrev_cli.methods.variational:WAE"),
    },
    tables=(),
    place=50,
)
