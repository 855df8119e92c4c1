"""Edits of codes. Every edit is an affine map of each dimension, and several edits are added.

z (B, D) are latents. An edit moves z by Δ(z) = a − p ⊙ z with a, p (D,); z' = z + s·Δ(z) with a strength s. All edits of a photo are
computed from its own code, so their order does not matter, and the way from s = 0 to s = 1 is a straight line. s = 0 gives z to the bit.
"""

from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor

from genrev_cli.shapes import Latents


@final
class Change:
    """The displacement Δ(z) = a − p ⊙ z. offset: a, (D,). pull: p, (D,), the share of the way towards something; 0 for a plain move."""

    def __init__(self, offset: Tensor, pull: Tensor) -> None:
        self.offset, self.pull = offset, pull

    def __add__(self, other: "Change") -> "Change":
        return Change(self.offset + other.offset, self.pull + other.pull)

    def displacement(self, z: Latents) -> Latents:
        """Δ(z) = a − p ⊙ z, (B, D) → (B, D)."""
        return self.offset - self.pull * z

    def __call__(self, z: Latents, strength: float = 1.0) -> Latents:
        """z' = z + s·Δ(z), (B, D) → (B, D)."""
        return z + strength * self.displacement(z)


def none(like: Tensor) -> Change:
    """Return the edit that changes nothing. like: (D,), for its type and device."""
    return Change(torch.zeros_like(like), torch.zeros_like(like))


def total(changes: Iterable[Change], like: Tensor) -> Change:
    """Return all edits together; their order matters only to rounding. like: see `none`."""
    return sum(changes, start=none(like))


def move(v: Tensor, scale: float, strength: float) -> Change:
    """Δ = strength · scale · v: along a unit vector v (D,), whose codes have the standard deviation `scale`."""
    offset = strength * scale * v
    return Change(offset, torch.zeros_like(offset))


def dimension(index: int, std: float, strength: float, like: Tensor) -> Change:
    """Δ = strength · std · e_index: one dimension moves, all others stay. index: its place in the latent. like: see `none`."""
    offset = torch.zeros_like(like)
    offset[index] = strength * std
    return Change(offset, torch.zeros_like(like))


def toward(target: Tensor, share: float, where: Tensor | None = None) -> Change:
    """Δ(z) = share · (target − z) on the dimensions `where`, (D,) of 0 and 1, None being all: (D,) → 1 arrives at the target."""
    where = torch.ones_like(target) if where is None else where
    return Change(share * where * target, share * where)


def arithmetic(like: Latents, unlike: Latents) -> Change:
    """Δ = mean code(like) − mean code(unlike), (n, D), (m, D): what the first have and the second lack."""
    offset = like.mean(0) - unlike.mean(0)
    return Change(offset, torch.zeros_like(offset))
