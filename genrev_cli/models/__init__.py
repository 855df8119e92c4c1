"""Autoencoders, and the networks that judge their images and codes. Everything here maps tensors to tensors."""

from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from genrev_cli.config import build
from genrev_cli.errors import UsageError
from genrev_cli.models.base import MEMORY, Autoencoder, Bijection
from genrev_cli.models.revnet import RevNet
from genrev_cli.models.variational import Variational
from genrev_cli.plugins import HINT, register

Networks = dict[str, tuple[type, Callable[..., Autoencoder]]]


def _built_in() -> Networks:
    """Collect the NETWORKS of every file of this folder."""
    found: Networks = {}
    for module in iter_modules(__path__, f"{__name__}."):
        found |= getattr(import_module(module.name), "NETWORKS", {})
    return found


MODELS = _built_in()
"""Name of a model → the dataclass of its settings, and the function or class that builds it from them."""


def register_network(name: str, settings: type, make: Callable[..., Autoencoder]) -> None:
    """Add the network of a plugin: recipes name it in [model]. settings: the dataclass of that table's other keys, with `image_shape`.

    make: called with them, returns the network. Raises UsageError for a name that is taken.
    """
    register("network", name, MODELS, (settings, make))


def build_model(config: dict[str, Any], where: str = "[model]") -> Autoencoder:
    """Build the autoencoder that a config describes, with fresh weights. where: names the config in errors.

    Raises UsageError for an unknown name or key, and for sizes too large for a tensor.
    """
    try:
        return build(MODELS, config, where, f", {HINT}")
    except (RuntimeError, OverflowError) as error:
        raise UsageError(f"{where}: cannot be built ({str(error).splitlines()[0]})") from error


def sized(table: dict[str, Any], dim: int) -> dict[str, Any]:
    """Return a model's table with `latent_dim` = dim, if the model takes this key and the table does not set it.

    dim 0 means that the dimension is unknown: the table is returned as it is. So are tables of bijections, whose latent has the size
    of the image.
    """
    entry = MODELS.get(table.get("name", ""))
    free = entry is not None and any(field.name == "latent_dim" for field in fields(entry[0]))
    return table | {"latent_dim": dim} if free and dim and "latent_dim" not in table else table


__all__ = ["MEMORY", "MODELS", "Autoencoder", "Bijection", "RevNet", "Variational", "build_model", "register_network", "sized"]
