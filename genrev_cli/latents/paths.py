"""Paths between two codes."""

import math

import torch
from torch import Tensor

from genrev_cli.shapes import Latents


def lerp(a: Latents, b: Latents, t: Tensor) -> Latents:
    """Return (1 − t)·a + t·b for every t: (D,), (D,), (n,) → (n, D). It is exact at both ends."""
    t = t[:, None]
    return (1 - t) * a + t * b


def slerp(a: Latents, b: Latents, t: Tensor) -> Latents:
    """Return (sin((1−t)ω)·a + sin(tω)·b) / sin ω for every t, ω the angle between a and b: (D,), (D,), (n,) → (n, D).

    a and b are not normalised, so the ends are a and b themselves. For parallel codes, which have no unique arc, it is `lerp`.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=0).clamp(-1, 1)
    omega = torch.acos(cosine)
    if torch.sin(omega) < 1e-4:
        return lerp(a, b, t)
    t = t[:, None]
    return (torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b) / torch.sin(omega)


def eased(t: Tensor) -> Tensor:
    """(1 − cos πt) / 2, (n,) → (n,): from 0 to 1 with velocity 0 at both ends, so that a film rests at its pictures."""
    return (1 - torch.cos(math.pi * t)) / 2


PATHS = {"linear": lerp, "spherical": slerp}
