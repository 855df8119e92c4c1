"""The base class of distributions of codes; priors and samplers are subclasses."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.seeds import derive
from genrev_cli.shapes import Codes


class Distribution(nn.Module, ABC):
    """A distribution of codes y. Its tensors are its state dict.

    dim: d. config: the JSON table that builds it again. classes: number of its classes; 0 if it has none.
    """

    dim: int
    config: dict[str, Any]
    classes: int = 0

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Draw codes (n, d) on the generator's device. With a temperature below 1, codes lie nearer to the mean of their component.

        Raises UsageError if the distribution has no temperature.
        """

    def sample_rows(self, n: int, rows: slice, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """Return `sample(n, …)[rows]`, for a process that needs only its rows. The generator ends in the same state as after `sample`."""
        return self.sample(n, generator, temperature)[rows]

    def sample_numbered(self, seed: int, numbers: Sequence[int], temperature: float = 1.0) -> Codes:
        """Draw the codes of samples `numbers`, (n, d): each is a pure function of (seed, number). Call it on `for_numbers()`.

        Raises UsageError if the distribution has no temperature.
        """
        generators = (torch.Generator().manual_seed(derive(seed, "sample", number)) for number in numbers)
        return torch.cat([self.sample(1, generator, temperature) for generator in generators])

    def for_numbers(self) -> "Distribution":
        """Return the distribution on the CPU, where `sample_numbered` returns the same on every machine."""
        return copy.deepcopy(self).cpu()

    @abstractmethod
    def moments(self) -> tuple[Codes, Codes]:
        """Return mean and standard deviation of each dimension, (d,) each; over all classes if there are several."""

    @property
    def reach(self) -> float:
        """How many standard deviations from its mean a dimension may be; ∞ without a limit."""
        return math.inf

    def given(self, label: int) -> "Distribution":
        """Return the distribution of one class. Raises UsageError for a class that does not exist."""
        self.require_class(label)
        return self

    def require_class(self, label: int) -> None:
        """Raise UsageError for a class that does not exist."""
        if not self.classes:
            raise UsageError(f"class {label}: '{self.config['name']}' has no classes")
        if not 0 <= label < self.classes:
            raise UsageError(f"class {label} does not exist; choose 0–{self.classes - 1}")
