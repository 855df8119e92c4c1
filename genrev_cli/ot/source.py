"""The source measure of semi-discrete optimal transport, in numbered batches: uniform on the cube [−½, ½]^d, or N(0, I)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from genrev_cli.seeds import derive


def _own(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Ranks:
    """The processes that share one computation. total: sums a tensor over all processes and returns the same sum to each."""

    rank: int = 0
    size: int = 1
    total: Callable[[Tensor], Tensor] = _own


class Source(ABC):
    """Samples of a measure. Batch k depends only on (seed, purpose, k), so resuming needs no stored state.

    Rank r draws the whole batch and keeps rows r, r + size, …, so sums over ranks do not depend on the number of ranks.
    """

    def __init__(self, dim: int, device: torch.device, seed: int, purpose: str, *, ranks: Ranks | None = None) -> None:
        self.dim, self.device, self.seed, self.purpose, self.ranks = dim, device, seed, purpose, ranks or Ranks()

    def batch(self, k: int, n: int) -> Tensor:
        """Return batch number k: (n, d) float32."""
        return self._drawn(n, torch.Generator(self.device).manual_seed(derive(self.seed, self.purpose, k)))

    def share(self, k: int, n: int) -> Tensor:
        """Return this rank's rows of batch k."""
        return self.batch(k, n)[self.ranks.rank :: self.ranks.size]

    @abstractmethod
    def _drawn(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n samples, (n, d) float32."""


@final
class Cube(Source):
    """Samples of U[−½, ½]^d."""

    def _drawn(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, self.dim, generator=generator, device=self.device).sub_(0.5)


@final
class Gaussian(Source):
    """Samples of N(0, I)."""

    def _drawn(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.dim, generator=generator, device=self.device)


SOURCES: dict[str, type[Source]] = {"cube": Cube, "gaussian": Gaussian}
"""Name of a source → its class."""
