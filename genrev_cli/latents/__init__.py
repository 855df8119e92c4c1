"""Distributions of latent codes, and paths between codes."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from genrev_cli.config import build
from genrev_cli.latents.distribution import Distribution
from genrev_cli.latents.flow import Flow, FlowConfig
from genrev_cli.latents.gaussians import ClassGaussians, ClassGaussiansConfig, DiagonalGaussian, DiagonalGaussianConfig
from genrev_cli.latents.priors import ActiveGaussian, ActiveGaussianConfig, ActiveUniform, ActiveUniformConfig, Prior
from genrev_cli.latents.samplers import Mixture, MixtureConfig
from genrev_cli.latents.transport import TransportMap, TransportMapConfig

PRIORS: dict[str, tuple[type, Callable[..., Prior]]] = {
    "active-gaussian": (ActiveGaussianConfig, ActiveGaussian),
    "active-uniform": (ActiveUniformConfig, ActiveUniform),
    "diagonal-gaussian": (DiagonalGaussianConfig, DiagonalGaussian),
    "class-gaussians": (ClassGaussiansConfig, ClassGaussians),
}
"""Name of a prior → its settings and its class."""


def build_prior(config: dict[str, Any], where: str = "[prior]") -> Prior:
    """Build the prior that a config describes. The caller loads its tensors. where: names the config in errors.

    Raises UsageError for an unknown name or key.
    """
    return build(PRIORS, config, where)


SAMPLERS: dict[str, tuple[type, Callable[..., Distribution]]] = {
    "flow": (FlowConfig, Flow),
    "gmm": (MixtureConfig, Mixture),
    "ot": (TransportMapConfig, TransportMap),
}
"""Name of a sampler (from fit-flow, fit-gmm or fit-ot) → its settings and its class."""


def build_sampler(config: dict[str, Any]) -> Distribution:
    """Build the sampler that a config describes. The caller loads its tensors. Raises UsageError for an unknown name or key."""
    return build(SAMPLERS, config, "[sampler]")


def takes_classes(config: dict[str, Any]) -> bool:
    """Return True if the config names a prior with classes."""
    entry = PRIORS.get(config.get("name", ""))
    return entry is not None and any(field.name == "classes" for field in fields(entry[0]))


__all__ = [
    "PRIORS",
    "SAMPLERS",
    "ActiveGaussian",
    "ActiveUniform",
    "ClassGaussians",
    "DiagonalGaussian",
    "Distribution",
    "Prior",
    "build_prior",
    "build_sampler",
    "takes_classes",
]
