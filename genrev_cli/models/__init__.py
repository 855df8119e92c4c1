"""Tensors in, tensors out: autoencoders, and the networks that train them."""

from typing import Any

from genrev_cli.config import from_table
from genrev_cli.errors import UsageError
from genrev_cli.models.base import Autoencoder
from genrev_cli.models.revnet import RevNet, RevNetConfig

MODELS: dict[str, tuple[type, type]] = {"revnet": (RevNetConfig, RevNet)}
"""name → its config and its class."""


def build_model(config: dict[str, Any]) -> Autoencoder:
    """The autoencoder that a config describes, with weights not yet meaningful.

    Raises UsageError on an unknown name or key.
    """
    name = config.get("name")
    if name not in MODELS:
        raise UsageError(f"[model]: name = {name!r} is unknown; there is {', '.join(MODELS)}")
    config_class, model_class = MODELS[name]
    settings = from_table(config_class, {key: value for key, value in config.items() if key != "name"}, "[model]")
    return model_class(**vars(settings))


__all__ = ["MODELS", "Autoencoder", "build_model"]
