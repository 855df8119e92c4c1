"""Edits of codes: sums of affine maps, linear in their strength, the same in every order."""

from itertools import permutations

import pytest
import torch

from genrev_cli.latents import edits

D = 12


@pytest.fixture
def z():
    return torch.randn(5, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def draws(n, seed=1):
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def active():
    """The dimensions 0, 3, 6 and 9 are active."""
    return (torch.arange(D) % 3 == 0).double()


@pytest.fixture
def several():
    v = draws(1)[0] * active()
    return [
        edits.move(v / v.norm(), 1.7, -2.0),
        edits.dimension(3, 0.5, 1.5, v),
        edits.toward(draws(1, 2)[0], 0.4, active()),
        edits.toward(draws(1, 3)[0] * active(), 0.25, active()),
        edits.arithmetic(draws(2, 4) * active(), draws(3, 5) * active()),
    ]


def test_a_direction_moves_a_code_by_standard_deviations_along_it(z):
    v = torch.nn.functional.normalize(draws(1)[0], dim=0)
    along = (edits.move(v, 2.5, 3.0)(z) - z) @ v / 2.5
    torch.testing.assert_close(along, torch.full((5,), 3.0, dtype=torch.float64))


def test_a_dimension_moves_and_no_other(z):
    moved = edits.dimension(4, 0.5, -1.5, z[0])(z) - z
    torch.testing.assert_close(moved[:, 4], torch.full((5,), -0.75, dtype=torch.float64))
    assert (moved[:, torch.arange(D) != 4] == 0).all()


def test_toward_arrives_with_share_1_and_is_the_straight_path_before(z):
    target = draws(1)[0]
    torch.testing.assert_close(edits.toward(target, 1.0)(z), target.expand(5, D))
    torch.testing.assert_close(edits.toward(target, 0.3)(z), 0.7 * z + 0.3 * target)


def test_arithmetic_adds_the_difference_of_the_means(z):
    like, unlike = draws(2, 4), draws(3, 5)
    torch.testing.assert_close(edits.arithmetic(like, unlike)(z), z + like.mean(0) - unlike.mean(0))
    torch.testing.assert_close(edits.arithmetic(like, like)(z), z)


def test_the_order_of_edits_does_not_matter(z, several):
    wanted = edits.total(several, z[0])(z)
    for order in permutations(several):
        torch.testing.assert_close(edits.total(order, z[0])(z), wanted)


def test_the_way_is_linear_in_the_strength_and_0_is_the_code_itself(z, several):
    change = edits.total(several, z[0])
    assert torch.equal(change(z, 0.0), z)
    for strength in (-1.0, 0.25, 0.5, 2.0):
        torch.testing.assert_close(change(z, strength), z + strength * (change(z) - z))
    assert torch.equal(edits.total([], z[0])(z), z)


def test_inactive_dimensions_are_untouched(z, several):
    moved = edits.total(several, z[0])(z)
    assert torch.equal(moved[:, active() == 0], z[:, active() == 0])
    assert not torch.equal(moved[:, active() == 1], z[:, active() == 1])
