"""Distributions of latent codes, and paths between codes."""

from dataclasses import fields
from typing import Any

from genrev_cli.config import build
from genrev_cli.latents.gaussians import ClassGaussians, ClassGaussiansConfig, DiagonalGaussian, DiagonalGaussianConfig
from genrev_cli.latents.priors import ActiveGaussian, ActiveGaussianConfig, Prior

PRIORS: dict[str, tuple[type, type[Prior]]] = {
    "active-gaussian": (ActiveGaussianConfig, ActiveGaussian),
    "diagonal-gaussian": (DiagonalGaussianConfig, DiagonalGaussian),
    "class-gaussians": (ClassGaussiansConfig, ClassGaussians),
}
"""name → its settings and its class."""


def build_prior(config: dict[str, Any]) -> Prior:
    """The prior that a config describes; its tensors are still to be loaded.

    Raises UsageError on an unknown name or key.
    """
    return build(PRIORS, config, "[prior]")


def takes_classes(config: dict[str, Any]) -> bool:
    """Whether a prior of this name has classes."""
    settings, _ = PRIORS.get(config.get("name"), (None, None))
    return settings is not None and any(field.name == "classes" for field in fields(settings))


__all__ = ["PRIORS", "ActiveGaussian", "ClassGaussians", "DiagonalGaussian", "Prior", "build_prior", "takes_classes"]
