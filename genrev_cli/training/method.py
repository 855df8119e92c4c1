"""What a method is: modules, their optimizers and one pure step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genrev_cli.errors import UsageError
from genrev_cli.latents import Prior
from genrev_cli.models import Autoencoder, Bijection
from genrev_cli.settings.schedule import Schedule
from genrev_cli.shapes import Images, Labels, Scalar
from genrev_cli.training.guard import LARGEST, ROUNDTRIP
from genrev_cli.training.optim import Optimizer

Autocast = Callable[[], AbstractContextManager]
"""Makes the context in which networks run in the precision asked for."""

Passes = Callable[[], Iterator[tuple[Images, Labels]]]
"""Passes over all training images and their labels, in batches, (B, C, H, W), (B,)."""


class Method(ABC):
    """One way of training a model. It knows no file, no device and no loop.

    modules: what is trained and saved to go on from. optimizers: each with its own parameters.
    model: what of them the checkpoint is of, and whose weights are averaged where an average is asked for.
    batches_per_step: how many successive mini-batches one step takes.
    autocast: makes the context in which networks run in the precision asked for.
    """

    batches_per_step: ClassVar[int] = 1
    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    model: nn.Module
    autocast: Callable[[], AbstractContextManager]

    def start(self, passes: Passes) -> None:  # noqa: B027 (optional on purpose)
        """What depends on the data and happens once, before step 0."""

    def begin(self, step: int) -> None:  # noqa: B027 (optional on purpose)
        """Told before each step which one it is, the first being 1: for what counts from some step on."""

    @abstractmethod
    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """One update; a pure function of the modules, the batch and the generator.

        x: (batches_per_step · B, C, H, W), this process's share. generator: the same on every process; draw for all, keep your `shard`.
        Returns the scalars worth logging, detached, without waiting for the device.
        """

    def watched(self) -> dict[str, Scalar]:
        """How exact the last step was, see `guard`: numbers of which the largest matters and not the mean."""
        return {}


class AutoencoderMethod(Method):
    """One paper's way of training an autoencoder, of whose latent a prior says where the codes are."""

    config: Any

    def __init__(self, autoencoder: Autoencoder, prior: Prior, config: Any, autocast: Autocast) -> None:
        """config: the method's settings. A subclass adds its optimizers, and its other networks to `modules`."""
        self.autoencoder, self.prior, self.config, self.autocast = autoencoder, prior, config, autocast
        self.modules = {"autoencoder": autoencoder, "prior": prior}

    @property
    def model(self) -> nn.ModuleDict:
        """Both, under these names."""
        return nn.ModuleDict({"autoencoder": self.autoencoder, "prior": self.prior})

    @classmethod
    def require(cls, schedule: Schedule, settings: Mapping[str, Any]) -> None:
        """Raise UsageError for a schedule that the method cannot be trained by with its settings."""

    @staticmethod
    def summary(prior: Prior) -> dict[str, Any]:
        """What else a run's result says of the prior that was trained."""
        return {}

    def watched(self) -> dict[str, Scalar]:
        """Of a bijection: the error of inputs that its backward pass recomputed, and in exact mode the largest number of its streams."""
        if not isinstance(self.autoencoder, Bijection):
            return {}
        found = {ROUNDTRIP: self.autoencoder.take_roundtrip(), LARGEST: self.autoencoder.take_largest()}
        return {name: number for name, number in found.items() if number is not None}

    def measure(self, autoencoder: Autoencoder, prior: Prior, x: Images, generator: torch.Generator) -> dict[str, Tensor]:
        """What else is worth knowing of held-out images, beside what every autoencoder is asked: one number per image, (B,) each.

        autoencoder, prior: the method's own, or their averages.
        """
        return {}

    def describe(self, prior: Prior) -> dict[str, float]:
        """What else is worth knowing of the prior that is trained, the method's own or its average."""
        return {}


def load_method(method: str | type) -> type[AutoencoderMethod]:
    """Return the method of a trainer's variant: the class itself, or what 'module:Class' imports."""
    if isinstance(method, type):
        return method
    module, _, name = method.partition(":")
    return getattr(import_module(module), name)


def require_two_codes(schedule: Schedule, asked: str) -> None:
    """Raise UsageError for mini-batches of one image where `asked`, an MMD, compares sets of codes."""
    if schedule.batch < 2:
        raise UsageError(f"a batch of {schedule.batch}: {asked} compares sets of codes with the prior's; choose a batch of at least 2")
