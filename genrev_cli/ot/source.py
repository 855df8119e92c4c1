"""The source measure of semi-discrete optimal transport: uniform on the cube [−½, ½]^d, in numbered batches."""

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


@final
class Cube:
    """Samples of U[−½, ½]^d. Batch k depends only on (seed, purpose, k), so resuming needs no stored state.

    Rank r draws the whole batch and keeps rows r, r + size, …, so sums over ranks do not depend on the number of ranks.
    """

    def __init__(self, dim: int, device: torch.device, seed: int, purpose: str, *, ranks: Ranks | None = None) -> None:
        self.dim, self.device, self.seed, self.purpose, self.ranks = dim, device, seed, purpose, ranks or Ranks()

    def batch(self, k: int, n: int) -> Tensor:
        """Return batch number k: (n, d) float32."""
        generator = torch.Generator(self.device).manual_seed(derive(self.seed, self.purpose, k))
        return torch.rand(n, self.dim, generator=generator, device=self.device).sub_(0.5)

    def share(self, k: int, n: int) -> Tensor:
        """Return this rank's rows of batch k."""
        return self.batch(k, n)[self.ranks.rank :: self.ranks.size]
