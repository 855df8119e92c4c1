"""What a method is: modules, their optimizers and one pure step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import ClassVar

import torch
from torch import nn

from genrev_cli.latents import Prior
from genrev_cli.models import Autoencoder
from genrev_cli.shapes import Images, Labels, Scalar
from genrev_cli.training.optim import Optimizer


class Method(ABC):
    """One paper's way of training an autoencoder. It knows no file, no device and no loop.

    modules: what is trained and saved, `autoencoder` and `prior` among them. optimizers: each with its own parameters.
    batches_per_step: how many successive mini-batches one step takes.
    autocast: makes the context in which networks run in the precision asked for.
    """

    batches_per_step: ClassVar[int] = 1
    modules: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    autoencoder: Autoencoder
    prior: Prior
    autocast: Callable[[], AbstractContextManager]

    def start(self, images: Callable[[], Iterator[Images]]) -> None:  # noqa: B027 (optional on purpose)
        """What depends on the data and happens once, before step 0; `images()` passes over the training images."""

    @abstractmethod
    def step(self, x: Images, labels: Labels, generator: torch.Generator) -> dict[str, Scalar]:
        """One update; a pure function of the modules, the batch and the generator.

        x: (batches_per_step · B, C, H, W), this process's share. generator: the same on every process; draw for all, keep your `shard`.
        Returns the scalars worth logging, detached, without waiting for the device.
        """


def autocast_in(device: torch.device, precision: str) -> Callable[[], AbstractContextManager]:
    """The autocast context of `--precision`: fp32 as it is, bf16 with convolutions and linear maps in bfloat16."""
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
