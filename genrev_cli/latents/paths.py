"""Paths between two codes."""

import torch
from torch import Tensor

from genrev_cli.shapes import Latents


def lerp(a: Latents, b: Latents, t: Tensor) -> Latents:
    """(1 − t)·a + t·b for every t: (D,), (D,), (n,) → (n, D). Exact at both ends."""
    t = t[:, None]
    return (1 - t) * a + t * b


def slerp(a: Latents, b: Latents, t: Tensor) -> Latents:
    """The great arc between a and b, (sin((1−t)ω)·a + sin(tω)·b) / sin ω, ω the angle between them: (D,), (D,), (n,) → (n, D).

    Norms are not changed first, so the ends are a and b themselves. Parallel codes have no arc of their own: there it is the line.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=0).clamp(-1, 1)
    omega = torch.acos(cosine)
    if torch.sin(omega) < 1e-4:
        return lerp(a, b, t)
    t = t[:, None]
    return (torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b) / torch.sin(omega)


PATHS = {"linear": lerp, "spherical": slerp}
