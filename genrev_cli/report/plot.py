"""Plots as pictures, for documents that cannot contain a page."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MARKERS = "os^Dvp*X"


@dataclass(frozen=True)
class Axes:
    """One set of axes. lines: label → points (x, y), in drawing order."""

    title: str
    x: str
    y: str
    lines: dict[str, Sequence[tuple[float, float]]]
    _: KW_ONLY
    log_x: bool = False
    log_y: bool = False


def plot(panels: Sequence[Axes]) -> np.ndarray:
    """Return a picture of several axes side by side, each with a legend: (3, height, width) uint8."""
    figure = Figure(figsize=(5.2 * len(panels), 4.2), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        for i, (label, points) in enumerate(panel.lines.items()):
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, marker=MARKERS[i % len(MARKERS)], markersize=5, linewidth=1.5, label=label)
        axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
        axes.grid(alpha=0.3)
        if panel.log_x:
            axes.set_xscale("log", base=2)
            ticks = sorted({x for points in panel.lines.values() for x, _ in points})
            axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
            axes.minorticks_off()
        if panel.log_y:
            axes.set_yscale("log")
        elif panel.lines:
            axes.set_ylim(bottom=0)
        axes.legend()
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3].transpose(2, 0, 1))
