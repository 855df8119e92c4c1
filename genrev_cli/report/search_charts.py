"""Charts of a search: curves of its trials, the result against each setting, and parallel coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass

from genrev_cli.report import words
from genrev_cli.report.curves import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    Axis,
    Line,
    Panel,
    Series,
    css,
    panel,
    tick_label,
    value_axis,
)
from genrev_cli.report.searched import COMPLETE, FAILED, PRUNED, RUNNING, Parameter, Searched, Trial

BEST = "best"
STYLES = {COMPLETE: 0, BEST: 1, PRUNED: 9, FAILED: 5, RUNNING: 4}
"""State → number of its line: a colour and a dash pattern of the style sheet."""

SPAN, TALL, TOP, SIDE = 1000, 320, 40, 60
"""Width and height of the parallel coordinates, and margins, in units of the SVG's view box."""
_FEWEST = 2


def legend(search: Searched) -> list[tuple[str, str]]:
    """Return (line classes, text) of the kinds of trials that have a curve."""
    there = [_style(search, trial) for trial in search.trials if trial.curve]
    return [(css(number), state) for state, number in STYLES.items() if number in there]


def _style(search: Searched, trial: Trial) -> int:
    return STYLES[BEST if trial is search.best else trial.state]


def trial_curves(search: Searched) -> Panel | None:
    """Draw the metric of all trials against the number of images seen, the best one on top; None without curves."""
    order = sorted(search.trials, key=lambda trial: trial is search.best)
    series = [Series(_style(search, trial), 0, trial.curve, f"trial {trial.number}") for trial in order]
    return panel(search.metric, series, compared=True)


def scatters(search: Searched) -> list[Panel]:
    """Draw the final value of the complete trials against each parameter; [] for fewer than two trials."""
    found = search.complete
    if len(found) < _FEWEST:
        return []
    y_axis = value_axis(search.metric, [trial.value for trial in found if trial.value is not None])
    return [_scatter(search, parameter, found, y_axis) for parameter in search.parameters]


def _scatter(search: Searched, parameter: Parameter, trials: Sequence[Trial], y_axis: Axis) -> Panel:
    x_axis = _axis(parameter, LEFT, WIDTH - RIGHT)
    dots = {trial.number: (x_axis.at(position(parameter, trial)), y_axis.at(trial.value or 0.0)) for trial in trials}
    best = dots[trials[0].number]
    others = [dot for number, dot in dots.items() if number != trials[0].number]
    tried = parameter.shown(trials[0].values[parameter.name])
    return Panel(
        parameter.name, parameter.name, parameter.allowed, "",
        summary=f"{search.metric} of {len(trials)} trials against {parameter.name}; best with {tried}",
        x_ticks=_ticks(parameter, x_axis), y_ticks=[(y_axis.at(y), tick_label(y)) for y in y_axis.ticks()], stops=[],
        lines=[Line(css(STYLES[COMPLETE]), "", "", others, best=None), Line(css(STYLES[BEST]), "", "", [best], best=best)],
    )  # fmt: skip


def _axis(parameter: Parameter, begin: float, end: float) -> Axis:
    """Return the axis of a parameter. Choices stand side by side."""
    if parameter.choices:
        return Axis(-0.5, len(parameter.choices) - 0.5, begin, end, log=False)
    if parameter.log:
        factor = (parameter.high / parameter.low) ** 0.04
        return Axis(parameter.low / factor, parameter.high * factor, begin, end, log=True)
    pad = 0.04 * (parameter.high - parameter.low)
    return Axis(parameter.low - pad, parameter.high + pad, begin, end, log=False)


def _ticks(parameter: Parameter, axis: Axis) -> list[tuple[float, str]]:
    if parameter.choices:
        return [(axis.at(place), text) for place, text in enumerate(parameter.short)]
    return [(axis.at(value), tick_label(value)) for value in axis.ticks() if parameter.low <= value <= parameter.high]


def position(parameter: Parameter, trial: Trial) -> float:
    """Return where a trial stands on the axis of a parameter: its number, or the place of its choice."""
    value = trial.values[parameter.name]
    return parameter.choices.index(value) if parameter.choices else value


@dataclass(frozen=True)
class Upright:
    """One axis of the parallel coordinates. ticks: (y, text)."""

    x: float
    title: str
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates. lines: (line classes, SVG path), the best trial last."""

    axes: list[Upright]
    lines: list[tuple[str, str]]
    summary: str


def parallel(search: Searched) -> Parallel | None:
    """Draw each complete trial as a line through its settings to its value; None for fewer than two trials."""
    trials = search.complete
    if len(trials) < _FEWEST:
        return None
    values = value_axis(search.metric, [trial.value for trial in trials if trial.value is not None])
    last = Axis(values.low, values.high, TALL - BOTTOM, TOP, log=values.log)
    axes = [_axis(parameter, TALL - BOTTOM, TOP) for parameter in search.parameters]
    places = [round(SIDE + number * (SPAN - 2 * SIDE) / len(axes), 1) for number in range(len(axes) + 1)]
    lines = []
    for trial in reversed(trials):
        heights = [axis.at(position(parameter, trial)) for axis, parameter in zip(axes, search.parameters, strict=True)]
        points = zip(places, [*heights, last.at(trial.value or 0.0)], strict=True)
        style = STYLES[BEST if trial is search.best else COMPLETE]
        lines.append((css(style), "M" + " L".join(f"{x:g} {y:g}" for x, y in points)))
    uprights = [
        Upright(x, parameter.name, _ticks(parameter, axis)) for x, parameter, axis in zip(places, search.parameters, axes, strict=False)
    ]
    uprights.append(Upright(places[-1], words.metric(search.metric), [(last.at(y), tick_label(y)) for y in last.ticks()]))
    return Parallel(uprights, lines, f"{len(trials)} complete trials as lines through their settings to {search.metric}")


__all__ = ["BOTTOM", "HEIGHT", "SPAN", "TALL", "TOP", "legend", "parallel", "scatters", "trial_curves"]
