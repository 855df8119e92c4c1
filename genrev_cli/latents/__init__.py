"""Distributions of latent codes, and paths between codes."""

from typing import Any

from genrev_cli.config import build
from genrev_cli.latents.priors import ActiveGaussian, ActiveGaussianConfig, DiagonalGaussian, DiagonalGaussianConfig, Prior

PRIORS: dict[str, tuple[type, type[Prior]]] = {
    "active-gaussian": (ActiveGaussianConfig, ActiveGaussian),
    "diagonal-gaussian": (DiagonalGaussianConfig, DiagonalGaussian),
}
"""name → its settings and its class."""


def build_prior(config: dict[str, Any]) -> Prior:
    """The prior that a config describes; its tensors are still to be loaded.

    Raises UsageError on an unknown name or key.
    """
    return build(PRIORS, config, "[prior]")


__all__ = ["PRIORS", "ActiveGaussian", "DiagonalGaussian", "Prior", "build_prior"]
