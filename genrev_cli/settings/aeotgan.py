"""Settings of train-gan."""

from dataclasses import dataclass

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, Settings, setting
from genrev_cli.settings.optimizer import adam_betas, learning_rate, max_norm, weight

LOSSES = ("vanilla", "hinge-sn", "wgan-gp", "wgan-div", "wgan-qc")


@dataclass(frozen=True, kw_only=True)
class AEOTGANConfig(Settings):
    """An et al. 2020, eq. 1 and section 4, Training details.

    The paper has two learning rates and k > 1. The text available to us lacks their values and those of the weights, so recipes choose
    them. norm: norm of the discriminator for losses that do not prescribe one; '' is the norm of the network's own paper.
    """

    loss: str = setting("vanilla", "Adversarial loss; hinge-sn is that of SNGAN.", choices=LOSSES)  # vanilla: section 3.3
    norm: str = setting("")
    weight_adversarial: float = weight(1.0, "Weight of the adversarial loss.")  # eq. 1
    weight_content: float = weight(0.0, "Weight β of the loss between images and their decoded codes.")
    weight_feature: float = weight(0.0, "Weight of the loss between codes and those of decoded codes.")
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
        if not (self.weight_adversarial or self.weight_content or self.weight_feature):
            raise UsageError("all loss weights are 0, so there is nothing to train; set one above 0")

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
