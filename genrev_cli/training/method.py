"""The base classes of methods: modules, their optimizers and one pure training step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genrev_cli.errors import UsageError
from genrev_cli.latents import ActiveGaussian, Prior
from genrev_cli.models import Autoencoder, Bijection
from genrev_cli.settings.schedule import Schedule
from genrev_cli.shapes import Images, Labels, Scalar
from genrev_cli.training.guard import LARGEST, ROUNDTRIP
from genrev_cli.training.optim import Optimizer

Autocast = Callable[[], AbstractContextManager]
"""Returns the context in which networks run in the precision of --precision."""

Passes = Callable[[], Iterator[tuple[Images, Labels]]]
"""Passes over all training images and their labels, in batches, (B, C, H, W), (B,)."""


class Method(ABC):
    """A way to train a model. It knows nothing about files, devices and the loop.

    modules: what is trained, and saved in the state of a run. optimizers: each has its own parameters.
    batches_per_step: number of successive mini-batches that one step takes. autocast: see `Autocast`.
    second_order: its losses contain derivatives of the autoencoder, which a step differentiates again.
    """

    batches_per_step: ClassVar[int] = 1
    second_order: bool = False
    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    autocast: Autocast

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """Return the modules that the checkpoint saves; averaged weights are averages of these."""

    def start(self, passes: Passes) -> None:  # noqa: B027 (optional on purpose)
        """Set up, once before step 0, what depends on the data."""

    def begin(self, step: int) -> None:  # noqa: B027 (optional on purpose)
        """Be told the number of each step before it, the first is 1; for terms that start at a later step."""

    @abstractmethod
    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """Make one update: a pure function of the modules, the batch and the generator.

        x: (batches_per_step · B, C, H, W), this process's share. generator: the same on every process; draw for the whole batch, and keep
        the `shard` of this process. Returns the scalars to log, detached, without waiting for the device.
        """

    def watched(self) -> dict[str, Scalar]:
        """Return numbers on how exact the last step was, see `guard`. The log gets their largest value, not their mean."""
        return {}

    def warnings(self, numbers: Mapping[str, float]) -> dict[str, str]:
        """Return what the user should know of the numbers of a log line: kind → a sentence. Each kind is shown once."""
        return {}


class AutoencoderMethod(Method):
    """A way to train an autoencoder; a prior defines where codes lie in its latent."""

    config: Any

    def __init__(self, autoencoder: Autoencoder, prior: Prior, config: Any, autocast: Autocast) -> None:
        """Keep the networks and the method's settings. A subclass sets `optimizers`, and adds its other networks to `modules`."""
        self.autoencoder, self.prior, self.config, self.autocast = autoencoder, prior, config, autocast
        self.modules = {"autoencoder": autoencoder, "prior": prior}

    @property
    def model(self) -> nn.ModuleDict:
        """The autoencoder and the prior, under these names; see `parts_of`."""
        return nn.ModuleDict({"autoencoder": self.autoencoder, "prior": self.prior})

    @classmethod
    def require(cls, schedule: Schedule, settings: Mapping[str, Any]) -> None:
        """Raise UsageError for a schedule that does not fit the method and its settings."""

    @staticmethod
    def summary(prior: Prior) -> dict[str, Any]:
        """Return facts on the trained prior for the result of the run."""
        return {}

    def watched(self) -> dict[str, Scalar]:
        """Return, for a bijection, the error of inputs that its backward pass recomputed, and with --exact-bits its largest number."""
        if not isinstance(self.autoencoder, Bijection):
            return {}
        found = {ROUNDTRIP: self.autoencoder.take_roundtrip(), LARGEST: self.autoencoder.take_largest()}
        return {name: number for name, number in found.items() if number is not None}

    def measure(self, autoencoder: Autoencoder, prior: Prior, x: Images, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the method's own measurements on held-out images x: name → (B,), one number per image.

        autoencoder, prior: those of the method, or their averages.
        """
        return {}

    def describe(self, prior: Prior) -> dict[str, float]:
        """Return the method's own numbers on the prior, which is that of the method, or its average."""
        return {}


def parts_of(model: nn.Module) -> tuple[Autoencoder, Prior]:
    """Return the autoencoder and the prior of an `AutoencoderMethod.model` or of its average."""
    assert isinstance(model, nn.ModuleDict)
    autoencoder, prior = model["autoencoder"], model["prior"]
    assert isinstance(autoencoder, Autoencoder)
    assert isinstance(prior, Prior)
    return autoencoder, prior


def load_method(method: str | type) -> type[AutoencoderMethod]:
    """Return the method of a trainer's variant: the class itself, or the one that 'module:Class' names."""
    if isinstance(method, type):
        return method
    module, _, name = method.partition(":")
    return getattr(import_module(module), name)


def require_two_codes(schedule: Schedule, asked: str) -> None:
    """Raise UsageError for mini-batches of one image. asked: the option of the MMD, which compares sets of codes."""
    if schedule.batch < 2:
        raise UsageError(f"a batch of {schedule.batch}: {asked} compares sets of codes with the prior's; choose a batch of at least 2")


def require_normal(method: str, prior: Prior) -> None:
    """Raise UsageError for a prior other than N(0, I) on its active dimensions, of which the method's losses are computed."""
    if not isinstance(prior, ActiveGaussian):
        raise UsageError(f"{method} needs N(0, I) as prior, not '{prior.config['name']}'; set [prior] name = \"active-gaussian\"")
