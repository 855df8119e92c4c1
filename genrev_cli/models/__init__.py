"""Tensors in, tensors out: autoencoders, and the networks that train them."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

from genrev_cli.config import build
from genrev_cli.errors import UsageError
from genrev_cli.models.base import MEMORY, Autoencoder, Bijection
from genrev_cli.models.convolutional import Convolutional, ConvolutionalConfig
from genrev_cli.models.dense import Dense, DenseConfig
from genrev_cli.models.gan import FAMILIES, mirrored
from genrev_cli.models.inn import INN, INNConfig
from genrev_cli.models.revnet import RevNet, RevNetConfig
from genrev_cli.models.variational import ResidualConfig, StridedConfig, Variational, residual, strided

MODELS: dict[str, tuple[type, Callable[..., Autoencoder]]] = {
    "revnet": (RevNetConfig, RevNet),
    "inn": (INNConfig, INN),
    "dense": (DenseConfig, Dense),
    "convolutional": (ConvolutionalConfig, Convolutional),
    "strided": (StridedConfig, strided),
    "residual": (ResidualConfig, residual),
    **{name: (family.settings, partial(mirrored, name)) for name, family in FAMILIES.items()},
}
"""name → its settings and what is called with them."""


def build_model(config: dict[str, Any]) -> Autoencoder:
    """The autoencoder that a config describes, with fresh weights.

    Raises UsageError on an unknown name or key, and for sizes that no tensor can have.
    """
    try:
        return build(MODELS, config, "[model]")
    except (RuntimeError, OverflowError) as error:
        raise UsageError(f"[model]: cannot be built ({str(error).splitlines()[0]})") from error


def sized(table: dict[str, Any], dim: int) -> dict[str, Any]:
    """A model's table with `latent_dim` = dim (0: not known) where it has such a key and is silent.

    A bijection has none: its image says how large the latent is.
    """
    settings, _ = MODELS.get(table.get("name"), (None, None))
    free = settings is not None and any(field.name == "latent_dim" for field in fields(settings))
    return {"latent_dim": dim, **table} if free and dim else table


__all__ = ["MEMORY", "MODELS", "Autoencoder", "Bijection", "RevNet", "Variational", "build_model", "sized"]
