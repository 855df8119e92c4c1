"""Random numbers by their place in a stream."""

import torch

from genrev_cli.latents.streams import uniforms

PINNED = [
    [0.011546754286331562, 0.24154919656271812, 0.11142585551493822, 0.5644146216071337, 0.5023796042735054],
    [0.3398899652081051, 0.6799977167121283, 0.6671067580422152, 0.3040584912088091, 0.2033521412315228],
]


def test_numbers_do_not_depend_on_each_other():
    every = uniforms(7, range(3000), 6)
    numbers = [2999, 0, 5, 5, 64, 66, 130, 1500]
    assert torch.equal(uniforms(7, numbers, 6), every[numbers])
    assert torch.equal(torch.cat([uniforms(7, [number], 6) for number in numbers]), every[numbers])
    assert uniforms(7, [], 6).shape == (0, 6)


def test_pinned_values():
    """A seed must draw the same numbers in every release."""
    assert uniforms(0, [0, 10**12], 5).tolist() == PINNED


def test_they_are_uniform_and_unrelated():
    u = uniforms(1, range(20_000), 5)
    assert u.dtype == torch.float64
    assert u.min() >= 0
    assert u.max() < 1
    assert (u.mean(0) - 0.5).abs().max() < 0.01
    assert (torch.cat([u, uniforms(2, range(20_000), 5)], dim=1).T.corrcoef() - torch.eye(10)).abs().max() < 0.04
    assert (torch.stack([u[:-1, 0], u[1:, 0]]).corrcoef()[0, 1]).abs() < 0.03
