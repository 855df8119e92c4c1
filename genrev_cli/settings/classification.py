"""Settings of fit-features."""

from dataclasses import dataclass

from genrev_cli.settings.base import Settings
from genrev_cli.settings.optimizer import adam_betas, learning_rate, max_norm


@dataclass(frozen=True)
class ClassificationConfig(Settings):
    """Settings of Adam, which minimises the cross-entropy."""

    lr: float = learning_rate(1e-3)
    betas: tuple[float, float] = adam_betas((0.9, 0.999))
    max_grad_norm: float = max_norm(5.0)
