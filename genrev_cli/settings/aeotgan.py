"""Settings of train-gan."""

from dataclasses import dataclass

from genrev_cli.errors import UsageError
from genrev_cli.settings.base import ADVANCED, Settings, setting
from genrev_cli.settings.optimizer import adam_betas, learning_rate, max_norm, weight

LOSSES = ("vanilla", "hinge-sn", "wgan-gp", "wgan-div", "wgan-qc")


@dataclass(frozen=True)
class AEOTGANConfig(Settings):
    """An et al. 2020, section 3. The paper has two learning rates and k > 1, but its text lost their values and those of the weights:

    they are the recipes' to choose. norm: of the discriminator where the loss leaves it open, '' for that of the network's own paper.
    """

    loss: str = setting("vanilla", "Adversarial loss; hinge-sn is that of SNGAN.", choices=LOSSES)  # vanilla: paper
    norm: str = setting("")
    weight_adversarial: float = weight(1.0, "Weight of the adversarial loss.")  # paper
    weight_content: float = weight(0.0, "Weight β of the loss between images and their decoded codes.")
    weight_feature: float = weight(0.0, "Weight of the loss between codes and those of decoded codes.")
    generated_per_real: int = setting(3, "Generated codes for each code of an image.", panel=ADVANCED, at_least=1)  # paper
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
            raise UsageError("weights of losses: all are 0, so there is nothing to train")

    @property
    def parts(self) -> int:
        """How many codes there are for each code of an image, itself among them."""
        return 1 + self.generated_per_real

    def pairs(self, batch: int) -> int:
        """Return how many images of a mini-batch bring their code. Raises UsageError when that is no whole number."""
        if batch % self.parts:
            raise UsageError(
                f"a batch of {batch}: for each real code {self.generated_per_real} are generated; choose a multiple of {self.parts}"
            )
        return batch // self.parts
