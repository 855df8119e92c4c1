import math

import pytest
import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics.reconstruction import L1, psnr, ssim


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ssim_by_hand(x, y, size):
    """Compute eq. 13 of Wang et al. 2004 for one channel, window by window."""
    offset = torch.arange(size, dtype=torch.float64) - size // 2
    w = torch.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    w = w / w.sum()
    values = []
    for i in range(x.shape[0] - size + 1):
        for j in range(x.shape[1] - size + 1):
            a, b = x[i : i + size, j : j + size], y[i : i + size, j : j + size]
            mean_a, mean_b = (w * a).sum(), (w * b).sum()
            var_a, var_b = (w * (a - mean_a) ** 2).sum(), (w * (b - mean_b) ** 2).sum()
            covariance = (w * (a - mean_a) * (b - mean_b)).sum()
            top = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
            values.append(top / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)))
    return torch.stack(values).mean().item()


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_l1_of_a_set(batch):
    x, y, error = images(7, 3, 5, 4), images(7, 3, 5, 4, seed=1), L1()
    for a, b in zip(x.split(batch), y.split(batch), strict=True):
        error.add(a, b)
    assert error.mean == pytest.approx((x - y).abs().mean().item(), rel=1e-14)
    assert error.max == (x - y).abs().max().item()


def test_l1_of_float32_is_summed_in_float64():
    x, error = torch.full((100, 3, 64, 64), 0.5), L1()
    y = x + 2**-24 * torch.tensor([0.0, 1.0]).repeat(32)  # half of the pixels differ by one rounding step
    for _ in range(20):
        error.add(x, y)
    exact = (y.double() - x.double()).abs()
    assert error.mean == pytest.approx(exact.mean().item(), rel=1e-13)
    assert error.max == exact.max().item()


def test_l1_of_nothing():
    with pytest.raises(UsageError, match="no images"):
        _ = L1().mean


@pytest.mark.parametrize(("shift", "decibel"), [(0.1, 20), (0.01, 40), (1.0, 0)])
def test_psnr_of_a_constant_error(shift, decibel):
    x = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    assert psnr(x, x + shift).tolist() == pytest.approx([decibel] * 2, abs=1e-12)


def test_psnr_is_per_image_and_infinite_for_equal_images():
    x, y = images(3, 1, 8, 8), images(3, 1, 8, 8)
    y[1] = 1 - y[1]
    values = psnr(x, y)
    assert values[[0, 2]].isinf().all()
    assert values[1].item() == pytest.approx(-10 * math.log10((x[1] - y[1]).square().mean()), rel=1e-12)


@pytest.mark.parametrize(("height", "width", "size"), [(16, 13, 11), (11, 11, 11), (8, 8, 7), (20, 6, 5), (1, 9, 1)])
def test_ssim_by_hand(height, width, size):
    x, y = images(2, 3, height, width), images(2, 3, height, width, seed=1)
    expected = [sum(ssim_by_hand(x[i, c], y[i, c], size) for c in range(3)) / 3 for i in range(2)]
    assert ssim(x, y).tolist() == pytest.approx(expected, rel=1e-10)


def test_ssim_properties():
    x, y = images(2, 3, 24, 24), images(2, 3, 24, 24, seed=1)
    assert ssim(x, x).tolist() == pytest.approx([1, 1], abs=1e-12)
    torch.testing.assert_close(ssim(x, y), ssim(y, x))
    assert (ssim(x, 1 - x) < 0).all()
    assert (ssim(x, 0.9 * x + 0.1 * y) > ssim(x, 0.5 * x + 0.5 * y)).all()


def test_ssim_of_constant_images():
    """Without variance only the luminance term remains: (2ab + C₁)/(a² + b² + C₁)."""
    a, b = torch.full((1, 1, 12, 12), 0.2), torch.full((1, 1, 12, 12), 0.7)
    assert ssim(a, b).item() == pytest.approx((2 * 0.14 + 1e-4) / (0.04 + 0.49 + 1e-4), rel=1e-6)


@pytest.mark.parametrize("metric", [psnr, ssim, lambda x, y: L1().add(x, y)], ids=["psnr", "ssim", "l1"])
def test_bad_images(metric):
    x = images(2, 1, 8, 8)
    with pytest.raises(UsageError, match="the same shape"):
        metric(x, x[:1])
    with pytest.raises(UsageError, match="float images"):
        metric(x, (255 * x).byte())
    with pytest.raises(DivergedError, match="NaN"):
        metric(x, x * math.nan)
