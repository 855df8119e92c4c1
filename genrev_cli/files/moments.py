"""Mean and standard deviation of the pixels of images."""

import numpy as np


class Moments:
    """Mean and standard deviation per channel of pixels in [0, 1], from exact integer sums over blocks."""

    def __init__(self, channels: int) -> None:
        self._pixels, self._sum, self._squares = 0, np.zeros(channels, np.int64), np.zeros(channels, np.int64)

    def add(self, pixels: np.ndarray) -> None:
        """Add (k, C, H, W) uint8."""
        self._pixels += pixels.size // pixels.shape[1]
        self._sum += pixels.sum(axis=(0, 2, 3), dtype=np.int64)
        self._squares += np.square(pixels, dtype=np.int32).sum(axis=(0, 2, 3), dtype=np.int64)

    def mean_std(self) -> tuple[list[float], list[float]]:
        """Return μ = Σx / n and σ = √(Σx² / n − μ²), both divided by 255."""
        mean = self._sum / self._pixels
        variance = self._squares / self._pixels - mean**2
        return (mean / 255).tolist(), (np.sqrt(np.maximum(variance, 0)) / 255).tolist()
