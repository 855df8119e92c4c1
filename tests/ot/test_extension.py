"""The extended map: convex combinations of codes of one mode, and of no others (An et al. 2020, section 3.2)."""

import math
from dataclasses import fields
from types import SimpleNamespace

import pytest
import torch
from extension_cases import angles_of, cube, extension, line, normal, one_mode, problem, seeded, ten_modes, two_modes, winners
from scipy.interpolate import LinearNDInterpolator

from genrev_cli.errors import UsageError
from genrev_cli.ot.angles import auto_theta
from genrev_cli.ot.extension import RULES, Extension, statistics

every_rule = pytest.mark.parametrize("rule", RULES)


# The map


@every_rule
def test_convex_combination(rule):
    p, x = one_mode(), cube(1000, 5, 3)
    made = extension(p, x, rule=rule)
    assert made.indices.shape == made.weights.shape == made.joined.shape == (1000, 20)
    assert (made.weights >= 0).all()
    assert (made.weights[~made.joined] == 0).all()
    assert (made.weights.sum(1) - 1).abs().max() < 1e-12
    assert (made.codes - (made.weights[:, :, None] * p.codes[made.indices]).sum(1)).abs().max() < 1e-12
    assert torch.equal(made.indices[:, 0], winners(x, p.codes, p.heights))
    if rule != "nearest":
        assert ((made.weights > 0).sum(1) > 1).double().mean() > 0.5


@pytest.mark.parametrize("options", [{"theta": 0.0}, {"theta": math.pi, "k": 1}, {"theta": math.pi, "rule": "nearest"}], ids=str)
def test_nothing_joined_is_the_map_itself(options):
    p, x = one_mode(), cube(1000, 5, 3)
    made = extension(p, x, **options)
    assert torch.equal(made.codes, p.codes[winners(x, p.codes, p.heights)])
    assert (made.joined.sum(1) == 1).all()
    assert made.kept.all()


@pytest.mark.parametrize("k", [20, 50])
def test_on_a_line_it_interpolates_the_centres(k):
    """In one dimension it is the piece-wise linear function through (c_i, y_i), and constant beyond the outer centres."""
    p, x = line(-3, -2.5, -1, 0, 0.1, 2, 5, 5.5, 5.75, 9, 9.5, 10, 14, 14.5, 15, 16, 17, 18, 19, 30, 33), cube(500, 1, 4)
    assert torch.bincount(winners(x, p.codes, p.heights), minlength=21).min() > 10  # the heights make equal cells
    c, y = p.centres[:, 0], p.codes[:, 0]
    left = (torch.searchsorted(c, x[:, 0]) - 1).clamp(0, 19)
    share = ((x[:, 0] - c[left]) / (c[left + 1] - c[left])).clamp(0, 1)
    expected = y[left] + share * (y[left + 1] - y[left])
    made = extension(p, x, theta=math.pi, k=k).codes[:, 0]
    assert (made - expected).abs().max() < 1e-4


def test_in_the_plane_it_is_linear_on_the_delaunay_triangles_of_the_centres():
    centres, codes, x = cube(15, 2, 5), normal(15, 4, 6)[:, :2], 0.5 * cube(400, 2, 7)
    expected = torch.from_numpy(LinearNDInterpolator(centres.numpy(), codes.numpy())(x.numpy()))
    inside = expected.isfinite().all(1)
    assert inside.sum() > 300
    made = Extension(codes, torch.zeros(15).double(), centres, theta=math.pi)(x)
    assert made.joined.all()
    assert (made.codes - expected)[inside].abs().max() < 1e-3
    assert ((made.weights > 1e-9).sum(1) <= 3).all()


@pytest.mark.parametrize("shift", [3, 1e6])
def test_a_shift_of_the_codes_shifts_the_result(shift):
    """Cells and weights stay the same: scores and angles depend neither on the origin of the codes nor on a constant in the heights."""
    p, x = ten_modes(), cube(1000, 8, 3)
    made = extension(p, x)
    shifted = Extension(p.codes + shift, p.heights + shift, p.centres, theta=0.7)(x)
    alike = (made.indices == shifted.indices).all(1)  # two scores may be equal up to rounding
    assert alike.double().mean() > 0.99
    assert torch.equal(made.joined[alike], shifted.joined[alike])
    assert (made.codes + shift - shifted.codes)[alike].abs().max() < 1e-8


@pytest.mark.parametrize("scale", [2.0**-10, 2.0**10])  # these products have no rounding errors
def test_scaled_codes_with_scaled_heights(scale):
    p, x = ten_modes(), cube(1000, 8, 3)
    made = extension(p, x)
    scaled = Extension(scale * p.codes, scale * p.heights, p.centres, theta=0.7)(x)
    assert torch.equal(made.joined, scaled.joined)
    assert (made.codes - scaled.codes / scale).abs().max() < 1e-9


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "two-cell"])  # it depends on the order of the codes
def test_permuted_codes(rule):
    p, x, order = ten_modes(), cube(1000, 8, 3), torch.randperm(400, generator=seeded(8))
    made = extension(p, x, rule=rule)
    permuted = Extension(p.codes[order], p.heights[order], p.centres[order], theta=0.7, rule=rule)(x)
    alike = (order[permuted.indices] == made.indices).all(1)
    assert alike.double().mean() > 0.99
    assert (permuted.codes - made.codes)[alike].abs().max() < 1e-9


@every_rule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sample_does_not_depend_on_its_batch(rule, dtype):
    """Scores of each pair of codes are equal up to rounding, so rounding decides their order."""
    codes = normal(150, 5, 1).repeat_interleave(2, 0) + 1e-7 * normal(300, 5, 2)
    p = SimpleNamespace(codes=codes.to(dtype), heights=torch.zeros(300).to(dtype), centres=cube(300, 5, 4, dtype))
    x = cube(1100, 5, 3, dtype)
    made, order = extension(p, x, rule=rule), torch.randperm(1100, generator=seeded(9))
    for part in (slice(0, 1), slice(1099, 1100), slice(400, 701), order):
        alone = extension(p, x[part], rule=rule)
        assert all(torch.equal(getattr(alone, field.name), getattr(made, field.name)[part]) for field in fields(made))


# Between modes


def test_no_code_between_two_modes():
    """Every code lies in the smallest ball around the mean of a mode that contains the mode. The balls are far apart."""
    p, x = two_modes(), cube(20_000, 3, 3)
    means = torch.stack([p.codes[p.labels == mode].mean(0) for mode in (0, 1)])
    radius = max((p.codes[p.labels == mode] - means[mode]).norm(dim=1).max() for mode in (0, 1))
    assert 3 * radius < (means[0] - means[1]).norm()
    theta = auto_theta(angles_of(p, x))
    for made in (extension(p, x, theta=theta), extension(p, x[:5000])):
        own = means[p.labels[made.indices[:, 0]]]
        assert ((made.codes - own).norm(dim=1) <= radius).all()
        assert 0.9 < ((made.weights > 0).sum(1) > 1).double().mean() < 1
    everywhere = extension(p, x[:2000], theta=math.pi)
    assert (everywhere.codes[:, 0].abs() < 1).any()  # there are neighbours across the gap, and only θ keeps them apart


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "nearest"])
def test_ten_modes_are_never_mixed(rule):
    p, x = ten_modes(), cube(20_000, 8, 3)
    angles, labels = angles_of(p, x), p.labels[extension(p, x, rule="nearest").indices]
    across = labels[:, 1:] != labels[:, :1]
    assert 0.1 < across.double().mean() < 0.5
    auto = auto_theta(angles)
    assert angles[~across].quantile(0.999) < auto < angles[across].min()
    for made in (extension(p, x, rule=rule), extension(p, x[:5000], theta=auto, rule=rule)):
        assert not (made.joined[:, 1:] & across[: len(made.codes)]).any()
        assert made.joined.sum(1).double().mean() > 1.9
    assert (extension(p, x[:2000], theta=1.6, rule=rule).joined[:, 1:] & across[:2000]).any()


@pytest.mark.parametrize(("pairwise", "members"), [(True, [True, True, False]), (False, [True, True, True])])
def test_chains(pairwise, members):
    """With variance 1 the codes −1, 0, 1 are √(3/2)·(−1, 0, 1). The angle is atan √(3/2) between neighbours, and twice that at the ends."""
    p, x = line(-1, 0, 1), torch.tensor([[0.1]], dtype=torch.float64)
    near = math.atan(math.sqrt(1.5))
    assert angles_of(p, x)[0].tolist() == pytest.approx([near, near])
    made = extension(p, x, theta=1.01 * near, pairwise=pairwise)
    assert made.indices[0].tolist() == [1, 2, 0]
    assert made.joined[0].tolist() == members


def test_an_unknown_centre_joins_nothing():
    p, x = line(-1, -0.5, 0, 0.5, 1), torch.tensor([[-0.05], [0.25]], dtype=torch.float64)
    p.centres[2] = math.nan
    made = extension(p, x, theta=math.pi)
    assert made.joined.sum(1).tolist() == [1, 4]
    assert made.codes[0] == 0
    # 0.25 lies between the centres 0.2 and 0.4
    assert made.codes[1].item() == pytest.approx(0.625, abs=1e-5)


# The published form, and rejection


def test_two_cells_by_hand():
    """Of the codes −1, 0, 10 only the first two are near. Each x in their cells gets ¼ of the lower index and ¾ of the higher."""
    p = line(-1, 0, 10)
    x = torch.tensor([[-0.4], [-0.2], [-0.01], [0.16], [0.4]], dtype=torch.float64)
    own_angles = [angles_of(p, x)[i].tolist() for i in (0, 4)]
    assert min(own_angles[0]) < 0.3 < min(own_angles[1])
    made = extension(p, x, theta=0.3, rule="two-cell")
    assert made.indices[:, 0].tolist() == [0, 0, 1, 1, 2]
    assert made.indices[3].tolist() == [1, 2, 0]  # the third score is the partner where the second is too far
    assert made.codes[:, 0].tolist() == [-0.25, -0.25, -0.25, -0.25, 10.0]
    assert made.kept.tolist() == [True, True, True, True, False]
    reverse = Extension(*(t.flip(0) for t in (p.codes, p.heights, p.centres)), theta=0.3, rule="two-cell")(x)
    assert reverse.codes[:, 0].tolist() == [-0.75, -0.75, -0.75, -0.75, 10.0]


@pytest.mark.parametrize("rule", ["barycentric", "inverse-distance"])
def test_drop_rejects_where_nothing_is_joined(rule):
    p, x = one_mode(), cube(2000, 5, 3)
    kept, dropped = (extension(p, x, theta=0.2, rule=rule, drop=drop) for drop in (False, True))
    assert kept.kept.all()
    assert torch.equal(dropped.kept, dropped.joined.sum(1) > 1)
    assert 200 < dropped.kept.sum() < 1800
    assert torch.equal(kept.codes, dropped.codes)


def test_two_cells_are_rejected_as_often_as_dropped():
    p, x = one_mode(), cube(2000, 5, 3)
    assert torch.equal(extension(p, x, theta=0.2, rule="two-cell").kept, extension(p, x, theta=0.2, drop=True).kept)


# Sizes and types


@every_rule
@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_cells_than_k(rule, n):
    codes, x = normal(n, 3, 1), cube(50, 3, 2)
    p = problem(codes)
    angles, made = angles_of(p, x), extension(p, x, theta=math.pi, rule=rule)
    assert made.indices.shape == (50, n)
    assert angles.shape == (50, n - 1)
    assert made.codes.isfinite().all()
    assert statistics(made, angles)["joined"] == {"nearest": 1, "two-cell": min(n, 2)}.get(rule, n)
    assert made.kept.all() or (n == 1 and rule == "two-cell" and not made.kept.any())
    assert 0 <= auto_theta(angles) <= math.pi
    assert extension(p, x[:0], rule=rule).codes.shape == (0, 3)


@every_rule
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_float_type(rule, dtype):
    p, x = one_mode(), cube(300, 5, 3)
    of_type = SimpleNamespace(**{name: value.to(dtype) for name, value in vars(p).items() if value is not None})
    made = extension(of_type, x.to(dtype), rule=rule)
    assert made.codes.dtype == made.weights.dtype == dtype
    error = (made.codes.double() - extension(p, x, rule=rule).codes).norm(dim=1)
    assert error.quantile(0.5) < 20 * torch.finfo(dtype).eps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "linear"}, "rule = 'linear' is unknown"),
        ({"k": 0}, "k must be at least 1"),
        ({"theta": -0.1}, "θ at least 0"),
        ({"theta": math.nan}, "θ at least 0"),
        ({"rule": "nearest", "drop": True}, "choose another rule"),
        ({"x": cube(3, 2, 0)}, "do not fit codes of \\(300, 5\\)"),
        ({"heights": torch.zeros(7)}, "do not fit"),
        ({"centres": torch.zeros(300, 6)}, "do not fit"),
    ],
)
def test_bad_arguments(change, message):
    p = one_mode()
    given = {"x": cube(3, 5, 0), "codes": p.codes, "heights": p.heights, "centres": p.centres, "theta": 0.5} | change
    x = given.pop("x")
    with pytest.raises(UsageError, match=message):
        Extension(**given)(x)
