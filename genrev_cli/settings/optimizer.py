"""Settings that several methods share."""

from typing import Any

from genrev_cli.settings.base import ADVANCED, METHOD, TRAINING, setting


def weight(default: float, help: str) -> Any:
    """Return the setting of a loss's weight."""
    return setting(default, help, panel=METHOD, at_least=0)


def one_sided() -> bool:
    """Return the setting that spares what the clipping of pictures corrects."""
    words = "No image loss where a black pixel is decoded below 0 or a white one above 1: pictures are clipped."
    return setting(False, words, flag="--one-sided/--two-sided")


def learning_rate(default: float, of: str = "") -> Any:
    """Return the setting of a learning rate. of: the network, if it has its own rate."""
    return setting(default, f"Learning rate of the {of}." if of else "Learning rate.", panel=TRAINING, at_least=0)


def adam_betas(default: tuple[float, float]) -> Any:
    """Return the setting of Adam's decay rates β1 and β2; only recipes have it."""
    return setting(default, at_least=0, below=1)


def max_norm(default: float, of: str = "") -> Any:
    """Return the setting of the norm to which gradients are clipped."""
    whose = f"the {of}'s gradient" if of else "the gradient"
    return setting(default, f"Norm that {whose} is clipped to; 0 does not clip.", panel=ADVANCED, at_least=0)


def weight_decay() -> Any:
    """Return the setting of weight decay."""
    return setting(0.0, "Multiple of each weight that is added to its gradient.", panel=ADVANCED, at_least=0)


def adam_eps() -> Any:
    """Return the setting of ε in Adam's denominator."""
    return setting(1e-8, "Number added to Adam's denominator.", flag="--adam-eps", panel=ADVANCED, at_least=0)
