"""Settings of train-adversarial: an adversary on the codes, or a distance instead."""

from dataclasses import KW_ONLY, dataclass

from genrev_cli.settings.base import ADVANCED, Settings, setting
from genrev_cli.settings.optimizer import adam_betas, learning_rate, max_norm, one_sided, weight

ADVERSARY = "adversary"
MATCHERS = ("mmd", "sliced", "ot")
"""The distances that can replace the adversary."""


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(Settings):
    """Schirrmeister et al. 2018, section 3.1, and notebooks/celeba/Continue_Adversarial.ipynb (robintibor/generative-reversible)."""

    weight_x: float = weight(10.0, "Weight of the image loss.")
    weight_z: float = weight(10.0, "Weight of the latent loss.")
    one_sided: bool = one_sided()
    lr: float = learning_rate(1e-4)
    lr_adversary: float = learning_rate(4e-4, "adversary")  # the paper's; the authors' notebook effectively uses 1e-3
    betas: tuple[float, float] = adam_betas((0.0, 0.9))
    max_grad_norm: float = max_norm(5.0)
    max_grad_norm_adversary: float = max_norm(1000.0, "adversary")
    prior_samples: int = setting(750, "Prior samples per update of the adversary.", panel=ADVANCED, at_least=1)
    hidden: tuple[int, int] = setting((400, 800), at_least=1)  # the paper's; the notebook has (200, 400)


@dataclass(frozen=True)
class MatchingConfig(Settings):
    """The losses and the optimizer of `AdversarialConfig`, with a distance instead of the adversary."""

    matcher: str = setting(help="What brings the codes to the prior: an adversary, or a distance.", choices=(ADVERSARY, *MATCHERS))
    weight_match: float = weight(1.0, "Weight of the distance.")
    weight_x: float = weight(10.0, "Weight of the image loss.")
    weight_z: float = weight(10.0, "Weight of the latent loss.")
    _: KW_ONLY
    one_sided: bool = one_sided()
    lr: float = learning_rate(1e-4)
    betas: tuple[float, float] = adam_betas((0.0, 0.9))
    max_grad_norm: float = max_norm(5.0)
