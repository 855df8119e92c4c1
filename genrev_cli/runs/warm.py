"""Warm starts (--init): a training command begins with the network, the prior and the weights of a checkpoint."""

from pathlib import Path
from typing import Any, final

import torch

from genrev_cli.errors import UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.images import ImageSet
from genrev_cli.latents import Prior
from genrev_cli.models import Autoencoder
from genrev_cli.recipes.choice import Choice
from genrev_cli.runs.recipes import recipe_for_checkpoint
from genrev_cli.store.checkpoints import load_checkpoint, require_shape
from genrev_cli.training.method import Method, parts_of


@final
class WarmStart:
    """A checkpoint to start from. overrides: table → key → value that the user asks for.

    Raises FileError for an unusable checkpoint and images of another shape, UsageError for overrides that contradict the checkpoint's
    network or prior.
    """

    def __init__(self, path: Path, images: ImageSet, overrides: dict[str, dict[str, Any]]) -> None:
        self.images, self._checkpoint = images, load_checkpoint(path, torch.device("cpu"))
        self.path = self._checkpoint.path
        self.header = self._checkpoint.header
        require_shape(images, self.header, path)
        self._require_agreement(overrides)

    @property
    def tables(self) -> dict[str, Any]:
        """The tables of network and prior, which replace those of a recipe."""
        return {"model": self._checkpoint.autoencoder.config, "prior": self._checkpoint.prior.config}

    @property
    def classes(self) -> int:
        """The number of Gaussians of a prior with one for each class; 0 for any other prior."""
        classes = self._checkpoint.prior.classes
        return classes if classes > 1 else 0

    @property
    def record(self) -> dict[str, Any]:
        """The entry of the checkpoint among the inputs of a file."""
        return self.header.as_input(self.path)

    def choice(self, command: str, family: str, *, recipe: str, size: str) -> Choice:
        """Return the recipe of a command for its schedule and method: the one that is asked for, else the checkpoint's own.

        Raises UsageError for a size, which is that of a fresh network.
        """
        if size:
            raise UsageError(
                f"--size-of-model {size}: is for a fresh network, and --init {self.path} has its own; leave one of the two out"
            )
        return recipe_for_checkpoint(self.header, self.path, self.images, command, family=family, recipe=recipe)

    def fill(self, autoencoder: Autoencoder, prior: Prior) -> None:
        """Give a network and a prior the checkpoint's weights; those on the meta device have none."""
        for module, own in ((autoencoder, self._checkpoint.autoencoder), (prior, self._checkpoint.prior)):
            if not any(tensor.is_meta for tensor in module.state_dict().values()):
                module.load_state_dict(own.state_dict())

    def restore(self, method: Method) -> None:
        """Give a method the checkpoint's weights again, after `Method.start` has fitted its prior to the data."""
        self.fill(*parts_of(method.model))

    def _require_agreement(self, overrides: dict[str, dict[str, Any]]) -> None:
        for name, table in self.tables.items():
            for key, value in overrides.get(name, {}).items():
                if table.get(key) != value:
                    has = f"{key} = {table[key]}" if key in table else f"no {key}"
                    raise UsageError(f"[{name}] {key} = {value}: contradicts --init {self.path}, which has {has}; leave one of the two out")


def variant_of(init: Path, command: str) -> str:
    """Return the variant of a command by which a checkpoint was trained, '' if it was by another command. Raises FileError."""
    table = read_checkpoint_header(pretrained.found(init)).config.get("recipe_tables", {}).get(command, {})
    return str(table.get("variant", "")) if isinstance(table, dict) else ""
