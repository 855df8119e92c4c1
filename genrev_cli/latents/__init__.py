"""Distributions of latent codes, and paths between codes."""

from dataclasses import fields
from typing import Any

from genrev_cli.config import build
from genrev_cli.latents.distribution import Distribution
from genrev_cli.latents.gaussians import ClassGaussians, ClassGaussiansConfig, DiagonalGaussian, DiagonalGaussianConfig
from genrev_cli.latents.priors import ActiveGaussian, ActiveGaussianConfig, Prior
from genrev_cli.latents.samplers import Mixture, MixtureConfig
from genrev_cli.latents.transport import TransportMap, TransportMapConfig

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


SAMPLERS: dict[str, tuple[type, type[Distribution]]] = {
    "gmm": (MixtureConfig, Mixture),
    "ot": (TransportMapConfig, TransportMap),
}
"""name → its settings and its class; what fit-ot and fit-gmm make."""


def build_sampler(config: dict[str, Any]) -> Distribution:
    """The sampler that a config describes; its tensors are still to be loaded. Raises UsageError on an unknown name or key."""
    return build(SAMPLERS, config, "[sampler]")


def takes_classes(config: dict[str, Any]) -> bool:
    """Whether a prior of this name has classes."""
    settings, _ = PRIORS.get(config.get("name"), (None, None))
    return settings is not None and any(field.name == "classes" for field in fields(settings))


__all__ = [
    "PRIORS",
    "SAMPLERS",
    "ActiveGaussian",
    "ClassGaussians",
    "DiagonalGaussian",
    "Distribution",
    "Prior",
    "build_prior",
    "build_sampler",
    "takes_classes",
]
