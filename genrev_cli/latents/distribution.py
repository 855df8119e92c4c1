"""What can be drawn from: a distribution of codes, of which a prior also knows where the codes lie in the latent."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from genrev_cli.errors import UsageError
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

    def sample_each(self, generators: Sequence[torch.Generator], temperature: float = 1.0) -> Codes:
        """One code of each generator, (n, d): what `sample` gives of each of them alone."""
        return torch.cat([self.sample(1, generator, temperature) for generator in generators])

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
