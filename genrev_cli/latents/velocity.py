"""The network of a flow: v(x, t), a residual MLP that knows the time by sinusoids, and a class by an embedding."""

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from genrev_cli.shapes import Codes, Labels

_FREQUENCIES, _HIGHEST = 16, 16.0
"""Number of frequencies of the time, and the highest, in cycles between t = 0 and 1; the lowest is ¼. Both are ours."""


def sinusoids(t: Tensor) -> Tensor:
    """[cos 2πft, sin 2πft] for frequencies f in geometric progression: (B,) → (B, 32)."""
    f = torch.logspace(math.log2(0.25), math.log2(_HIGHEST), _FREQUENCIES, base=2, dtype=t.dtype, device=t.device)
    angles = 2 * math.pi * t[:, None] * f
    return torch.cat([angles.cos(), angles.sin()], 1)


class _Block(nn.Module):
    """h + W₂ silu(W₁ norm(h) + W₃ c), c the embedding of time and class."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.first, self.condition, self.second = (
            nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width),
        )  # fmt: skip

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        return h + self.second(silu(self.first(self.norm(h)) + self.condition(c)))


def _renamed(module: nn.Module, tensors: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Give the tensors of the first flows their present names."""
    old = f"{prefix}time."
    for name in [name for name in tensors if name.startswith(old)]:
        tensors[f"{prefix}embed_time.{name.removeprefix(old)}"] = tensors.pop(name)


@final
class Velocity(nn.Module):
    """v(x, t) for codes of `dim` dimensions: `blocks` residual blocks of `width` units. It starts as v = 0. classes: 0 for none."""

    def __init__(self, dim: int, *, width: int, blocks: int, classes: int = 0) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(dim, width), nn.Linear(width, dim)
        self.embed_time = nn.Sequential(nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.register_load_state_dict_pre_hook(_renamed)
        self.label = nn.Embedding(classes, width) if classes else None
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Codes, t: Tensor, labels: Labels | None = None) -> Codes:
        """Return v: (B, d), (B,), (B,) → (B, d). labels: needed by a network with classes, and by no other."""
        c = self.embed_time(sinusoids(t))
        if self.label is not None:
            assert labels is not None, "a network with classes needs the class of every code"
            c = c + self.label(labels)
        h, c = self.enter(x), silu(c)
        for block in self.blocks:
            h = block(h, c)
        return self.leave(h)
