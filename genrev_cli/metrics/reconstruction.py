"""Errors of reconstructions: L1, PSNR and SSIM of images in [0, 1], computed in float64."""

import torch
import torch.nn.functional as F

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.shapes import Images, Scores

WINDOW = 11
SIGMA = 1.5


def _pair(x: Images, y: Images) -> tuple[Images, Images]:
    if x.shape != y.shape or x.ndim != 4:
        raise UsageError(f"reconstruction: two sets of the same shape (B, C, H, W) are needed, not {tuple(x.shape)} and {tuple(y.shape)}")
    if not (x.is_floating_point() and y.is_floating_point()):
        raise UsageError(f"reconstruction: float images in [0, 1] are needed, not {x.dtype} and {y.dtype}")
    x, y = x.detach().double(), y.detach().double()
    if not (x.isfinite().all() and y.isfinite().all()):
        raise DivergedError("reconstruction: an image has NaN or infinite values")
    return x, y


class L1:
    """Mean and maximum of |x − y| over all pixels of a data set that arrives in batches."""

    def __init__(self) -> None:
        self.count, self.total, self.max = 0, 0.0, 0.0

    def add(self, x: Images, y: Images) -> None:
        """Add originals and reconstructions, (B, C, H, W) each.

        Raises UsageError if shapes or types do not fit, DivergedError if a value is not finite.
        """
        x, y = _pair(x, y)
        if x.numel():
            error = (x - y).abs()
            self.count += error.numel()
            self.total += error.sum().item()
            self.max = max(self.max, error.max().item())

    @property
    def mean(self) -> float:
        """The mean so far. Raises UsageError if nothing was added."""
        if not self.count:
            raise UsageError("reconstruction: no images were added, so there is no mean")
        return self.total / self.count


def l1(x: Images, y: Images) -> Scores:
    """mean |x − y| of every image: (B,) float64. Raises like `L1.add`."""
    x, y = _pair(x, y)
    return (x - y).abs().mean((1, 2, 3))


def psnr(x: Images, y: Images) -> Scores:
    """10 log₁₀(1 / mean square error) in dB of every image: (B,) float64, infinite if both are equal. Raises like `L1.add`."""
    x, y = _pair(x, y)
    return -10 * (x - y).square().mean((1, 2, 3)).log10()


def ssim(x: Images, y: Images) -> Scores:
    """Structural similarity of every image (Wang et al. 2004, eq. 13), mean over channels and positions: (B,) float64, 1 if both are equal.

    The window is an 11 × 11 Gaussian with σ = 1.5, at all positions inside the image; K₁ = 0.01, K₂ = 0.03. If a side is below 11, the
    window has the largest odd size that fits (7 for 8 × 8 digits); such values compare only among themselves. Raises like `L1.add`.
    """
    x, y = _pair(x, y)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x.square(), _blur(y * y) - mean_y.square()
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return (luminance * structure).mean((1, 2, 3))


def _blur(x: Images) -> Images:
    """Return the weighted mean under the window, without padding. The window is a product, so each axis is done separately."""
    size = min(WINDOW, *x.shape[2:])
    size -= 1 - size % 2
    offset = torch.arange(size, dtype=x.dtype, device=x.device) - size // 2
    weights = torch.exp(-0.5 * (offset / SIGMA).square())
    weights = (weights / weights.sum()).repeat(x.shape[1], 1, 1, 1)  # (C, 1, 1, size)
    return F.conv2d(F.conv2d(x, weights, groups=x.shape[1]), weights.mT, groups=x.shape[1])
