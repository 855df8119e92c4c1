"""Curves as small multiples: where lines, ticks and labels go. The template draws them, so that colours follow the reader's theme."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from genrev_cli.report import words

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 24
"""The drawing and the margins around its axes, in units of the SVG's view box."""
BUCKETS = 150
DOTS = 24
LOG_RATIO = 10.0

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """One run's values of one quantity. style: which of the page's line colours; start: steps of the runs that it went on from."""

    style: int
    start: int
    points: Points


@dataclass(frozen=True)
class Line:
    """path, spread: SVG paths, the latter of the extremes of a long curve. dots: the points themselves where they are few."""

    style: int
    path: str
    spread: str
    dots: list[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One quantity, drawn. ticks: (position, text). stops: positions where a later run took over."""

    name: str
    title: str
    about: str
    last: str
    summary: str
    log: bool
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    stops: list[float]
    lines: list[Line]


def panel(name: str, series: Sequence[Series]) -> Panel | None:
    """Draw a quantity; None where no run has a finite value of it."""
    series = [Series(s.style, s.start, [(x, y) for x, y in s.points if math.isfinite(y)]) for s in series]
    series = [s for s in series if s.points]
    if not series:
        return None
    steps = [s.start + x for s in series for x, _ in s.points]
    values = [y for s in series for _, y in s.points]
    x_axis, y_axis = _Axis(0, max(*steps, 1), LEFT, WIDTH - RIGHT, False), _value_axis(values)
    lines = [_line(s, x_axis, y_axis) for s in series]
    first, last = series[0].points[0][1], series[-1].points[-1][1]
    ends = f"from {words.number(first)} to {words.number(last)} over {max(steps):,} steps"
    summary = f"{words.title(name)} {ends}, least {words.number(min(values))}"
    return Panel(
        name, words.title(name), words.about(name), words.number(last), summary, y_axis.log,
        [(x_axis.at(x), _compact(x)) for x in _linear_ticks(0, x_axis.high, 5)], [(y_axis.at(y), _label(y)) for y in y_axis.ticks()],
        sorted({round(x_axis.at(s.start), 1) for s in series if s.start}), lines,
    )  # fmt: skip


@dataclass(frozen=True)
class _Axis:
    """low … high, drawn from `begin` to `end`."""

    low: float
    high: float
    begin: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        scale = math.log10 if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return round(self.begin + share * (self.end - self.begin), 1)

    def ticks(self) -> list[float]:
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high, 4)


def _value_axis(values: list[float]) -> _Axis:
    """Logarithmic where positive values span a factor of 10; otherwise from 0 where that costs less than half of the height."""
    low, high = min(values), max(values)
    log = low > 0 and high / low >= LOG_RATIO
    if log:
        low, high = low / (high / low) ** 0.06, high * (high / low) ** 0.06
    else:
        if 0 < low < 0.5 * high:
            low = 0.0
        pad = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        low, high = (0.0 if low == 0 else low - pad), high + pad
    return _Axis(low, high, HEIGHT - BOTTOM, TOP, log)


def _linear_ticks(low: float, high: float, wanted: int) -> list[float]:
    """About so many multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / wanted))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if (high - low) / step <= wanted + 0.5)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten; where they are fewer than three, 2 and 5 times them too; where they are many, every second or third."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    powers = [10.0**k for k in decades if low <= 10.0**k <= high]
    if len(powers) >= 3:
        return powers[:: -(-len(powers) // 5)]
    return [m * 10.0**k for k in decades for m in (1, 2, 5) if low <= m * 10.0**k <= high]


def _compact(steps: float) -> str:
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if steps >= unit:
            return f"{steps / unit:g}{name}"
    return f"{steps:g}"


def _label(value: float) -> str:
    return f"{value:,.6g}".replace("-", "−") if value == 0 or 1e-3 <= abs(value) < 1e5 else words.number(value, 2)


def _line(series: Series, x_axis: _Axis, y_axis: _Axis) -> Line:
    """All points; of a long curve the median of each of BUCKETS stretches, and its lowest and highest, so that no peak is lost."""

    def placed(points: Points) -> Points:
        return [(x_axis.at(series.start + x), y_axis.at(y)) for x, y in points]

    points = series.points
    if len(points) <= 2 * BUCKETS:
        drawn = placed(points)
        return Line(series.style, _path(drawn), "", drawn if len(drawn) <= DOTS else [])
    stretches = [points[i * len(points) // BUCKETS : (i + 1) * len(points) // BUCKETS] for i in range(BUCKETS)]
    medians = [(stretch[len(stretch) // 2][0], statistics.median(y for _, y in stretch)) for stretch in stretches]
    extremes = [point for stretch in stretches for point in sorted({min(stretch, key=_value), max(stretch, key=_value)})]
    return Line(series.style, _path(placed(medians)), _path(placed(extremes)), [])


def _value(point: tuple[float, float]) -> float:
    return point[1]


def _path(points: Points) -> str:
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
