"""What can be drawn from: a distribution of codes, of which a prior also knows where the codes lie in the latent."""

import copy
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

    dim: d. config: the JSON table that makes it again. classes: how many it tells apart, 0 where it knows none.
    """

    dim: int
    config: dict[str, Any]
    classes: int = 0

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """(n, d), drawn on the generator's device; a temperature below 1 draws nearer to the mean of the component that a code is from.

        Raises UsageError where a temperature has no meaning.
        """

    def sample_rows(self, n: int, rows: slice, generator: torch.Generator, temperature: float = 1.0) -> Codes:
        """`sample(n, …)[rows]`, and the generator is afterwards where that leaves it: for a process that needs its own rows of n."""
        return self.sample(n, generator, temperature)[rows]

    def sample_numbered(self, seed: int, numbers: Sequence[int], temperature: float = 1.0) -> Codes:
        """Codes of samples `numbers`, (n, d): each a pure function of (seed, number), whatever others are asked for.

        To be asked of `for_numbers()`. Raises UsageError where a temperature has no meaning.
        """
        generators = (torch.Generator().manual_seed(derive(seed, "sample", number)) for number in numbers)
        return torch.cat([self.sample(1, generator, temperature) for generator in generators])

    def for_numbers(self) -> "Distribution":
        """Return the same distribution where `sample_numbered` gives the same on every machine: a copy on the CPU."""
        return copy.deepcopy(self).cpu()

    @abstractmethod
    def moments(self) -> tuple[Codes, Codes]:
        """Mean and standard deviation of each dimension, (d,) each; of several classes, averaged over them."""

    def given(self, label: int) -> "Distribution":
        """The distribution of one class. Raises UsageError where there is none."""
        self.require_class(label)
        return self

    def require_class(self, label: int) -> None:
        """Raise UsageError for a class that is none."""
        if not self.classes:
            raise UsageError(f"class {label}: '{self.config['name']}' knows no classes")
        if not 0 <= label < self.classes:
            raise UsageError(f"class {label}: there are the classes 0 to {self.classes - 1}")
