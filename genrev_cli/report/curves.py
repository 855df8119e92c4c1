"""Layout of curves as small multiples: positions of lines, ticks and labels. The template draws them in the reader's theme."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from genrev_cli.report import words

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 24
"""Size of the drawing and margins around its axes, in units of the SVG's view box."""
BUCKETS = 150
DOTS = 24
LOG_RATIO = 10.0
KINDS = {"eval": "Generated samples", "monitor": "Held-out images", "loss": "Training"}
"""Kind of a line in the log → heading, in the order of the page."""
COLOURS, DASHES = 6, 3
"""Number of colours in the style sheet, and of dash patterns for each colour."""
_NOT_QUANTITIES = ("step", "kind", "seconds", "n")

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Run:
    """One training run. style: number of its kind of line; start: steps of the runs before it; lines: of its log."""

    label: str
    style: int
    start: int
    lines: list[dict[str, Any]]


@dataclass(frozen=True)
class Series:
    """One run's values of one quantity."""

    style: int
    start: int
    points: Points
    label: str = ""


@dataclass(frozen=True)
class Line:
    """One drawn line. path, spread: SVG paths, of the curve and of the lowest and highest values of a long curve.

    dots: the points, if there are only a few. best: position of the best value, if it is marked.
    """

    css: str
    path: str
    spread: str
    dots: list[tuple[float, float]]
    _: KW_ONLY
    best: tuple[float, float] | None


@dataclass(frozen=True)
class Panel:
    """The drawing of one quantity. ticks: (position, text). stops: positions where the next run starts. last: '' in a comparison."""

    name: str
    title: str
    about: str
    last: str
    _: KW_ONLY
    summary: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    stops: list[float]
    lines: list[Line]


def css(style: int) -> str:
    """Return the CSS classes of a kind of line: a colour and a dash pattern, which changes when the colours repeat."""
    return f"c{style % COLOURS} d{style // COLOURS % DASHES}"


def groups(runs: Sequence[Run], *, compared: bool = False) -> list[tuple[str, list[Panel]]]:
    """Return (heading, panels) by kind, with a panel for each quantity. compared: the runs are of different models, not stages of one."""
    found = [(heading, _panels(runs, kind, compared)) for kind, heading in KINDS.items()]
    return [(heading, panels) for heading, panels in found if panels]


def _panels(runs: Sequence[Run], kind: str, compared: bool) -> list[Panel]:
    lines = [[line for line in run.lines if line.get("kind") == kind] for run in runs]
    names = dict.fromkeys(name for part in lines for line in part for name in line if name not in _NOT_QUANTITIES)
    drawn = []
    for name in sorted(names, key=words.rank):
        series = [Series(run.style, run.start, _points(part, name), run.label) for run, part in zip(runs, lines, strict=True)]
        best, begin = words.better(name) if kind == "eval" else "", min(run.start for run in runs)
        drawn.append(panel(name, series, begin=begin, best=best, compared=compared))
    return [one for one in drawn if one]


def _points(lines: list[dict[str, Any]], name: str) -> Points:
    return [(line["step"], line[name]) for line in lines if isinstance(line.get(name), (int, float))]


def panel(name: str, series: Sequence[Series], *, begin: int = 0, best: str = "", compared: bool = False) -> Panel | None:
    """Draw a quantity; return None if no run has a finite value of it.

    begin: first step of the axis. best: 'lower' or 'higher' marks the best value of each run. compared: see `groups`.
    """
    series = [Series(s.style, s.start, [(x, y) for x, y in s.points if math.isfinite(y)], s.label) for s in series]
    series = [s for s in series if s.points]
    if not series:
        return None
    end = max(s.start + x for s in series for x, _ in s.points)
    x_axis, y_axis = (
        Axis(begin, max(end, begin + 1), LEFT, WIDTH - RIGHT, log=False),
        value_axis(name, [y for s in series for _, y in s.points]),
    )
    about = [words.about(name), _best_of(series, best), "logarithmic" if y_axis.log else ""]
    x_ticks = [(x_axis.at(x), compact(x)) for x in linear_ticks(x_axis.low, x_axis.high, 5)]
    return Panel(
        name, words.title(name), " · ".join(filter(None, about)), "" if compared else words.number(series[-1].points[-1][1]),
        summary=f"{words.title(name)}: " + "; ".join(map(_in_words, series)), x_ticks=x_ticks,
        y_ticks=[(y_axis.at(y), tick_label(y)) for y in y_axis.ticks()],
        stops=[] if compared else sorted({round(x_axis.at(s.start), 1) for s in series if s.start > begin}),
        lines=[_line(s, x_axis, y_axis, best) for s in series],
    )  # fmt: skip


def _in_words(series: Series) -> str:
    """Return a description of a curve for screen readers."""
    first, last, values = series.points[0], series.points[-1], [y for _, y in series.points]
    ends = f"from {words.number(first[1])} to {words.number(last[1])} in {last[0]:,} steps, lowest {words.number(min(values))}"
    return f"{series.label} {ends}".strip()


def _best_point(points: Points, best: str) -> tuple[float, float]:
    return (min if best == "lower" else max)(points, key=_value)


def _best_of(series: Sequence[Series], best: str) -> str:
    if not best:
        return ""
    point = _best_point([(s.start + x, y) for s in series for x, y in s.points], best)
    return f"best {words.number(point[1])} at step {point[0]:,} (ringed)"


@dataclass(frozen=True)
class Axis:
    """An axis of the values low … high, drawn from position `begin` to `end`."""

    low: float
    high: float
    begin: float
    end: float
    _: KW_ONLY
    log: bool

    def at(self, value: float) -> float:
        """Return the position of a value."""
        scale = math.log10 if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return round(self.begin + share * (self.end - self.begin), 1)

    def ticks(self) -> list[float]:
        """Return the values at which the axis has a mark."""
        return _log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high, 4)


def value_axis(name: str, values: list[float]) -> Axis:
    """Return the axis of the values.

    It is logarithmic if positive values span a factor of 10 and larger values are not better (such as shares). Otherwise it starts
    at 0 if that takes less than half of the height.
    """
    low, high = min(values), max(values)
    log = low > 0 and high / low >= LOG_RATIO and words.better(name) != "higher"
    if log:
        low, high = low / (high / low) ** 0.06, high * (high / low) ** 0.06
    else:
        if 0 < low < 0.5 * high:
            low = 0.0
        pad = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        low, high = (0.0 if low == 0 else low - pad), high + pad
    return Axis(low, high, HEIGHT - BOTTOM, TOP, log=log)


def linear_ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return about `wanted` multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / wanted))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if (high - low) / step <= wanted + 0.5)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten; if there are fewer than three, also 2 and 5 times them; if there are many, every second or third."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    powers = [10.0**k for k in decades if low <= 10.0**k <= high]
    if len(powers) >= 3:
        return powers[:: -(-len(powers) // 5)]
    return [m * 10.0**k for k in decades for m in (1, 2, 5) if low <= m * 10.0**k <= high]


def compact(steps: float) -> str:
    """Return a number of steps or images as short text: 12k, 1.5M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if steps >= unit:
            return f"{steps / unit:g}{name}"
    return f"{steps:g}"


def tick_label(value: float) -> str:
    """Return the text at a mark of the axis of values."""
    return f"{value:,.6g}".replace("-", "−") if value == 0 or 1e-3 <= abs(value) < 1e5 else words.number(value, 2)


def _line(series: Series, x_axis: Axis, y_axis: Axis, best: str) -> Line:
    """Draw all points. A long curve is cut into BUCKETS pieces, drawn by their medians and by their lowest and highest values."""

    def placed(points: Points) -> Points:
        return [(x_axis.at(series.start + x), y_axis.at(y)) for x, y in points]

    points = series.points
    ring = placed([_best_point(points, best)])[0] if best else None
    if len(points) <= 2 * BUCKETS:
        drawn = placed(points)
        return Line(css(series.style), _path(drawn), "", drawn if len(drawn) <= DOTS else [], best=ring)
    pieces = [points[i * len(points) // BUCKETS : (i + 1) * len(points) // BUCKETS] for i in range(BUCKETS)]
    medians = [(piece[len(piece) // 2][0], statistics.median(y for _, y in piece)) for piece in pieces]
    extremes = [point for piece in pieces for point in sorted({min(piece, key=_value), max(piece, key=_value)})]
    return Line(css(series.style), _path(placed(medians)), _path(placed(extremes)), [], best=ring)


def _value(point: tuple[float, float]) -> float:
    return point[1]


def _path(points: Points) -> str:
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
