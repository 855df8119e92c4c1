"""Check that a network returns images bit by bit."""

from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import Table
from genrev_cli.errors import FileError, UsageError
from genrev_cli.models import Autoencoder, Bijection, RevNet, build_model
from genrev_cli.models.invertible import to_grid
from genrev_cli.shapes import Images, Pixels, to_pixels


def exact(autoencoder: Autoencoder, bits: int) -> RevNet:
    """Return the network with the same weights, computing on a grid of 2^−bits.

    Raises UsageError if its couplings are not additive or bits is out of range.
    """
    if not isinstance(autoencoder, RevNet):
        raise UsageError(f"--exact-bits: needs additive couplings, and '{autoencoder.config['name']}' has none; take a revnet")
    with torch.device("meta"):
        model = build_model(Table({**autoencoder.config, "exact_bits": bits}, {"exact_bits": "--exact-bits"}))
    assert isinstance(model, RevNet)
    model.load_state_dict(autoencoder.state_dict(), assign=True)
    return model.eval().requires_grad_(False)


def filled(pixels: Pixels, batch: int) -> Pixels:
    """Repeat the last image, (n, C, H, W) → (batch, C, H, W): a kernel's last bits depend on the batch size."""
    return torch.cat([pixels, pixels[-1:].expand(batch - len(pixels), *pixels.shape[1:])])


def require_in_range(autoencoder: Autoencoder) -> None:
    """Raise UsageError if a stream of a network on a grid has left the range in which sums are exact, since this was last asked."""
    assert isinstance(autoencoder, RevNet)
    largest = autoencoder.take_largest()
    if largest is not None and largest.item() >= autoencoder.grid_range:
        bits, limit = autoencoder.exact_bits, autoencoder.grid_range
        raise UsageError(
            f"--exact-bits {bits}: a stream reaches {largest.item():.3g}, but sums are exact below {limit:g} only; choose fewer bits"
        )


class Exactness:
    """Count, batch by batch, the images and pixels that a full round trip changes. Raises UsageError for a network without exact mode."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.bits = getattr(autoencoder, "exact_bits", 0)
        if not self.bits:
            raise UsageError(
                "--verify-exact: this network inverts up to rounding only; if its couplings are additive, pass --exact-bits 16"
            )
        assert isinstance(autoencoder, Bijection)
        self.autoencoder, self.images, self.pixels, self.error = autoencoder, 0, 0, 0.0

    def add(self, pixels: Pixels, x: Images, x_hat: Images) -> None:
        """Compare a batch. pixels: 8-bit originals. x: the same in [0, 1]. x_hat: the round trip, to equal x rounded to the grid."""
        self.images += int((to_pixels(x_hat) != pixels).flatten(1).any(1).sum())
        self.pixels += int((to_pixels(x_hat) != pixels).sum())
        self.error = max(self.error, (x_hat - to_grid(x, self.bits)).abs().max().item())

    def require(self, path: Path) -> None:
        """Raise FileError if any image or pixel changed."""
        if self.error or self.pixels:
            raise FileError(
                f"{path}: not exact with {self.bits} bits: {self.images} images differ, in {self.pixels} pixels, "
                f"by up to {self.error:.2g}; pass a smaller --exact-bits, which has a wider range"
            )

    def numbers(self) -> dict[str, Any]:
        """Return the counts for the result; largest_stream must stay below exact_range."""
        largest = self.autoencoder.take_largest()
        return {
            "exact_bits": self.bits,
            "images_differing": self.images,
            "exact_error": self.error,
            "largest_stream": 0.0 if largest is None else largest.item(),
            "exact_range": self.autoencoder.grid_range,
        }
