"""Positions of curves and ticks, and the text of numbers."""

import re

import pytest

from genrev_cli.report import curves, words


def test_axes_are_linear_or_logarithmic():
    middle = (curves.HEIGHT - curves.BOTTOM + curves.TOP) / 2
    falling = curves.panel("a", [curves.Series(0, 0, [(0, 1e4), (5, 1e2), (10, 1.0)])])
    assert "logarithmic" in falling.about
    assert falling.lines[0].dots[1] == (pytest.approx((curves.LEFT + curves.WIDTH - curves.RIGHT) / 2), pytest.approx(middle))
    signed = curves.panel("a", [curves.Series(0, 0, [(0, -1.0), (5, 0.0), (10, 1.0)])])
    assert "logarithmic" not in signed.about
    assert signed.lines[0].dots[1][1] == pytest.approx(middle)
    assert "logarithmic" not in curves.panel("accuracy", [curves.Series(0, 0, [(0, 0.01), (5, 1.0)])]).about
    assert curves.panel("a", [curves.Series(0, 0, [(0, float("inf"))])]) is None


@pytest.mark.parametrize(("best", "where", "place"), [("lower", 1, "best 1.00 at step 104"), ("higher", 2, "best 9.00 at step 108")])
def test_the_best_value_is_ringed_at_its_position(best: str, where: int, place: str):
    panel = curves.panel("a", [curves.Series(0, 100, [(0, 3.0), (4, 1.0), (8, 9.0)])], begin=100, best=best)
    assert panel.lines[0].best == panel.lines[0].dots[where]
    assert place in panel.about


def test_an_axis_starts_with_the_first_run_and_line_styles_repeat():
    runs = [curves.Run(str(i), i, 1000 + i, [{"step": 10, "kind": "loss", "seconds": 1, "L": 1.0}]) for i in range(20)]
    ((heading, (panel,)),) = curves.groups(runs, compared=True)
    assert (heading, panel.name, panel.last) == ("Training", "L", "")
    assert min(x for line in panel.lines for x, _ in line.dots) >= curves.LEFT
    assert all(1000 <= float(text.removesuffix("k")) * 1000 <= 1030 for _, text in panel.x_ticks)
    kinds = [line.css for line in panel.lines]
    assert len(set(kinds)) == curves.COLOURS * curves.DASHES == 18
    assert kinds[0] == kinds[18]


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [1e-8, 2e-8], [5, 5.0001], [1e-12, 1e12], [-7.0, 1e9], [1.0, 10.0]])
def test_ticks_are_few_and_inside_the_drawing(values: list[float]):
    drawn = curves.panel("a", [curves.Series(0, 0, list(enumerate(values)))])
    assert 2 <= len(drawn.y_ticks) <= 7
    assert len({text for _, text in drawn.y_ticks}) == len(drawn.y_ticks)
    assert all(curves.TOP <= y <= curves.HEIGHT - curves.BOTTOM for y, _ in drawn.y_ticks)


def test_a_thinned_long_curve_keeps_its_peak():
    points = [(i, 1.0) for i in range(100_000)]
    points[54_321] = (54_321, 2.0)
    line = curves.panel("a", [curves.Series(0, 0, points)]).lines[0]
    for path, peaks in ((line.path, 0), (line.spread, 1)):
        levels = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", path)]
        assert curves.BUCKETS <= len(levels) <= 2 * curves.BUCKETS
        assert sum(level < max(levels) for level in levels) == peaks


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (0.7, "0.7"), (9.1e-7, "9.1·10⁻⁷"), (0.0706074, "0.0706"), (1000, "1,000"), (True, "yes"), ([1, 2], "1, 2")],
)
def test_chosen_values_are_kept_and_measured_values_rounded(value, text: str):
    assert words.fact(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.07061, "0.0706"),
        (4.606e-8, "4.61·10⁻⁸"),
        (1e-9, "10⁻⁹"),
        (-1e-9, "−10⁻⁹"),
        (12345.6, "12,346"),
        (0.0, "0"),
        (1442, "1,442"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_rounded_to_significant_digits(value: float, text: str):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("label", "text"), [("FID", "FID"), ("FD-pixel", "FD-pixel (not an FID)"), ("FID (bf16)", "FID (bf16)"), ("KID", "KID")]
)
def test_other_frechet_distances_are_marked_as_not_an_fid(label: str, text: str):
    assert words.metric(label) == text
