"""Tensors in, tensors out: autoencoders, and the networks that train them."""

from typing import Any

from genrev_cli.config import build
from genrev_cli.models.base import Autoencoder
from genrev_cli.models.revnet import RevNet, RevNetConfig

MODELS: dict[str, tuple[type, type[Autoencoder]]] = {"revnet": (RevNetConfig, RevNet)}
"""name → its settings and its class."""


def build_model(config: dict[str, Any]) -> Autoencoder:
    """The autoencoder that a config describes, with fresh weights.

    Raises UsageError on an unknown name or key.
    """
    return build(MODELS, config, "[model]")


__all__ = ["MODELS", "Autoencoder", "build_model"]
