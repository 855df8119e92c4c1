"""Settings of train-gan."""

from dataclasses import dataclass
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, Settings, setting
from genrev_cli.settings.optimizer import adam_betas, learning_rate, max_norm, weight

LOSSES = ("vanilla", "hinge-sn", "wgan-gp", "wgan-div", "wgan-qc")


def _adam(lr: float, betas: tuple[float, float], discriminator_updates: int) -> dict[str, Any]:
    rates = {"lr": lr, "lr_discriminator": lr, "betas": betas, "betas_discriminator": betas}
    return {**rates, "discriminator_updates": discriminator_updates, "generator_updates": 1}


AUTHORS = {
    "vanilla": _adam(2e-4, (0.5, 0.999), 1),  # Radford et al. 2016, section 4; β2 is Adam's default
    "hinge-sn": _adam(2e-4, (0.0, 0.9), 5),  # configs/sn_cifar10_unconditional.yml in pfnet-research/sngan_projection
    "wgan-gp": _adam(1e-4, (0.0, 0.9), 5),  # gan_64x64.py in igul222/improved_wgan_training; β1 is 0.5 in its gan_cifar.py and gan_mnist.py
    "wgan-div": _adam(2e-4, (0.0, 0.9), 4),  # wgan_div.py in musikisomorphie/wgan-div
    "wgan-qc": _adam(1e-4, (0.5, 0.999), 1),  # wgan_qc_resnet2.py in harryliew/WGAN-QC
}
"""Loss → the rates, betas and updates per step with which its authors train a GAN from noise. All use Adam."""


def settings_of_loss(table: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that --loss brings with it: key → value.

    They replace those of a recipe's table where it is for another loss, since its rates and updates were chosen for that one. Settings
    that are asked for stay. table: [train-gan] of a recipe. asked: key → value of the options. {} for the recipe's own loss.
    """
    loss = asked.get("loss")
    if loss is None or loss == table.get("loss", LOSSES[0]):
        return {}
    return {key: value for key, value in AUTHORS.get(loss, {}).items() if key not in asked}


@dataclass(frozen=True, kw_only=True)
class AEOTGANConfig(Settings):
    """An et al. 2020, eq. 1 and section 4, Training details.

    The paper has two learning rates and k > 1. The text available to us lacks their values and those of the weights, so recipes choose
    them. norm: norm of the discriminator for losses that do not prescribe one; '' is the norm of the network's own paper.
    """

    loss: str = setting(  # vanilla: section 3.3
        "vanilla", "Adversarial loss; hinge-sn is that of SNGAN. From noise it brings its authors' rates and updates.", choices=LOSSES
    )
    norm: str = setting("")
    weight_adversarial: float = weight(1.0, "Weight of the adversarial loss.")  # eq. 1
    weight_content: float = weight(0.0, "Weight β of the loss between images and their decoded codes.")
    weight_feature: float | tuple[float, ...] = weight(
        0.0, "Weight α of the loss between codes and those of decoded codes; a list weights each layer of the encoder, the codes last."
    )
    generated_per_real: int = setting(
        3, "Generated codes for each code of an image.", panel=ADVANCED, at_least=1
    )  # section 4, Training details (i)
    generator_updates: int = setting(1, "Updates k of the generator in a step.", at_least=1)
    discriminator_updates: int = setting(1, "Updates of the discriminator in a step, each on its own mini-batch.", at_least=1)
    lr: float = learning_rate(2e-4)
    lr_discriminator: float = learning_rate(2e-4, "discriminator")
    betas: tuple[float, float] = adam_betas((0.5, 0.999))
    betas_discriminator: tuple[float, float] = adam_betas((0.5, 0.999))
    max_grad_norm: float = max_norm(0.0)
    max_grad_norm_discriminator: float = max_norm(0.0, "discriminator")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.weight_adversarial or self.weight_content or any(self.feature_weights)):
            raise UsageError("all loss weights are 0, so there is nothing to train; set one above 0")

    @property
    def feature_weights(self) -> tuple[float, ...]:
        """α_l of the encoder's layers, the codes last; a single number is that of the codes alone."""
        return self.weight_feature if isinstance(self.weight_feature, tuple) else (self.weight_feature,)

    @property
    def parts(self) -> int:
        """Number of codes in a batch for each code of an image, with that code itself."""
        return 1 + self.generated_per_real

    def pairs(self, batch: int) -> int:
        """Return the number of codes of images in a batch. Raises UsageError when it is not a whole number."""
        if batch % self.parts:
            raise UsageError(
                f"a batch of {batch} cannot hold {self.generated_per_real} generated codes per real one; choose a multiple of {self.parts}"
            )
        return batch // self.parts
