"""Whether a network gives images back to the bit."""

from pathlib import Path
from typing import Any

import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.models import Autoencoder, RevNet, build_model
from genrev_cli.models.invertible import to_grid
from genrev_cli.shapes import Images, Pixels, to_pixels


def exact(autoencoder: Autoencoder, bits: int) -> RevNet:
    """The network with the same weights on a grid of 2^−bits.

    Raises UsageError for one whose couplings are not additive, or bits out of range.
    """
    if not isinstance(autoencoder, RevNet):
        raise UsageError(f"--exact-bits: needs additive couplings, and '{autoencoder.config['name']}' has none; take a revnet")
    with torch.device("meta"):
        model = build_model({**autoencoder.config, "exact_bits": bits})
    model.load_state_dict(autoencoder.state_dict(), assign=True)
    return model.eval().requires_grad_(False)


def filled(pixels: Pixels, batch: int) -> Pixels:
    """(n, C, H, W) → (batch, C, H, W), the last one repeated: kernels differ by the size of a batch, in their last bits."""
    return torch.cat([pixels, pixels[-1:].expand(batch - len(pixels), *pixels.shape[1:])])


class Exactness:
    """Counts, batch by batch, what a full round trip does not give back. Raises UsageError for a network without exact mode."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.bits = getattr(autoencoder, "exact_bits", 0)
        if not self.bits:
            raise UsageError(
                "--verify-exact: this network inverts up to rounding only; give --exact-bits 16 for one with additive couplings"
            )
        self.autoencoder, self.images, self.pixels, self.error = autoencoder, 0, 0, 0.0

    def add(self, pixels: Pixels, x: Images, x_hat: Images) -> None:
        """pixels: 8-bit originals. x: the same in [0, 1]. x_hat: what came back; it should be x rounded to the grid, to the bit."""
        self.images += int((to_pixels(x_hat) != pixels).flatten(1).any(1).sum())
        self.pixels += int((to_pixels(x_hat) != pixels).sum())
        self.error = max(self.error, (x_hat - to_grid(x, self.bits)).abs().max().item())

    def require(self, path: Path) -> None:
        """Raise FileError unless everything came back."""
        if self.error or self.pixels:
            raise FileError(
                f"{path}: is not exact with {self.bits} bits: {self.images} images differ, in {self.pixels} pixels, "
                f"by up to {self.error:.2g}; fewer --exact-bits have a wider range"
            )

    def numbers(self) -> dict[str, Any]:
        """What was verified; largest_stream has to stay below the range."""
        largest = self.autoencoder.take_largest()
        return {
            "exact_bits": self.bits,
            "images_differing": self.images,
            "exact_error": self.error,
            "largest_stream": 0.0 if largest is None else largest.item(),
            "exact_range": self.autoencoder.grid_range,
        }
