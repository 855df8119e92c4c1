"""How much an edit changed: pictures, and codes along directions."""

import numpy as np
import torch
from torch import Tensor


def absolute(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the mean absolute difference of pixels in [0, 1] of each image: (N, C, H, W) uint8 twice → (N,)."""
    return np.abs(after.astype(np.float64) - before).reshape(len(before), -1).mean(1) / 255


def share_changed(before: np.ndarray, after: np.ndarray, levels: int) -> np.ndarray:
    """Return the share of the pixels of each image that differ by more than `levels` of 255 in any channel: (N, C, H, W) uint8 → (N,)."""
    moved = np.abs(after.astype(np.int16) - before).max(1) > levels
    return moved.reshape(len(before), -1).mean(1)


def positions(codes: Tensor, mean: Tensor, vectors: Tensor, scale: Tensor) -> Tensor:
    """v_k · (y − m) / scale_k: codes (N, d) along K directions (K, d), in standard deviations from the mean (d,): (N, K).

    A direction of scale 0, along which all codes are equal, gives 0.
    """
    along = (codes - mean) @ vectors.T
    return torch.where(scale > 0, along / torch.where(scale > 0, scale, 1), 0)
