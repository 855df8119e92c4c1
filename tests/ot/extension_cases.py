"""Codes with their heights and mass centres, which the tests of the extended map share."""

import functools
from types import SimpleNamespace

import torch

from genrev_cli.ot.angles import neighbour_angles
from genrev_cli.ot.extension import Extension


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed, dtype=torch.float64):
    return torch.randn(n, d, generator=seeded(seed), dtype=dtype)


def cube(n, d, seed, dtype=torch.float64):
    return torch.rand(n, d, generator=seeded(seed), dtype=dtype) - 0.5


def winners(x, codes, heights):
    return (x @ codes.T + heights).argmax(1)


def solved(codes, steps=200, batch=200):
    """Return heights of averaged stochastic gradient descent, and mass centres of 40 samples per cell. Masses have errors of 20 %."""
    n, d = codes.shape
    y, heights, average = codes - codes.mean(0), codes.new_zeros(n), codes.new_zeros(n)
    two = (cube(256, d, 9) @ y.T).topk(min(n, 2)).values
    rate = 1.5 * (two[:, 0] - two[:, -1]).mean()
    for step in range(steps):
        hits = torch.bincount(winners(cube(batch, d, step), y, heights), minlength=n)
        heights = heights - rate * (1 + step * batch / (2 * n)) ** (-2 / 3) * (hits - batch / n)
        average = average + 3 / (step + 3) * (heights - average)
    x = cube(40 * n, d, 10_000)
    cells = winners(x, y, average)
    sums = torch.zeros(n, d, dtype=codes.dtype).index_add_(0, cells, x)
    return average, sums / torch.bincount(cells, minlength=n)[:, None]  # NaN where no sample fell


def problem(codes, labels=None):
    heights, centres = solved(codes)
    return SimpleNamespace(codes=codes, labels=labels, heights=heights, centres=centres)


@functools.cache
def one_mode():
    return problem(normal(300, 5, 0))


@functools.cache
def ten_modes():
    """Return codes of ten modes, ±4 e_1, …, ±4 e_5 in 8 dimensions, with standard deviation ¼."""
    labels = torch.arange(400) % 10
    means = torch.zeros(10, 8, dtype=torch.float64)
    means[torch.arange(10), torch.arange(10) // 2] = torch.tensor([4.0, -4.0] * 5, dtype=torch.float64)
    return problem(means[labels] + normal(400, 8, 1) / 4, labels)


@functools.cache
def two_modes():
    labels = torch.arange(200) % 2
    codes = 0.5 * normal(200, 3, 2)
    codes[:, 0] += 8 * labels - 4
    return problem(codes, labels)


def extension(p, x, **options):
    return Extension(p.codes, p.heights, p.centres, **{"theta": 0.7} | options)(x)


def angles_of(p, x, **options):
    return neighbour_angles(x, p.codes, p.heights, **options)


def line(*codes):
    """Return ascending codes in one dimension, with the exact heights and centres of n equal cells of [−½, ½]."""
    y = torch.tensor(codes, dtype=torch.float64)
    n = len(y)
    heights = torch.cat([y.new_zeros(1), -(y.diff() * (torch.arange(1, n) / n - 0.5)).cumsum(0)])
    centres = (torch.arange(n, dtype=y.dtype) + 0.5) / n - 0.5
    return SimpleNamespace(codes=y[:, None], heights=heights, centres=centres[:, None])


def simplices(n, k, d):
    """Return x (n, d), centres (n, k, d), some equal or on a line, and J (n, k) with one to k members."""
    x, centres = 1.5 * cube(n, d, k), torch.stack([cube(k, d, 100 + row) for row in range(n)])
    centres[: n // 10, k // 2] = centres[: n // 10, 0]
    centres[n // 10 : n // 5] = torch.linspace(-0.5, 0.5, k, dtype=torch.float64)[:, None]
    joined = torch.rand(n, k, generator=seeded(d)) < torch.linspace(0, 1.2, n)[torch.randperm(n, generator=seeded(k))][:, None]
    joined[:, 0] = True
    return x, centres, joined
