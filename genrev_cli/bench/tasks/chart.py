"""Draw the ratios of whole tasks as bars."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from genrev_cli.bench.harness import Table
from genrev_cli.bench.tasks.race import TARGET

FASTER, SLOWER = "#2a7f62", "#b5493a"


def bars(tables: Sequence[Table]) -> np.ndarray | None:
    """Return a picture (3, height, width) uint8: a bar for each row with a ratio and a target; None if there is none.

    It shows how many times less CPU time the row took than the one in `against`, with the least and the greatest ratio, on a log axis.
    """
    found = [(table.title, row) for table in tables for row in table.rows if row.get("target") and "ratio_cpu" in row]
    if not found:
        return None
    labels = [f"{row['variant']}, against {row['against']}\n{title}" for title, row in found]
    middle, least, most = (np.array([row[name] for _, row in found]) for name in ("ratio_cpu", "ratio_cpu_min", "ratio_cpu_max"))
    figure = Figure(figsize=(10, 1.2 + 0.6 * len(found)), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = [FASTER if ratio >= 1 else SLOWER for ratio in middle]
    axes.barh(labels, middle - 1, left=1, xerr=[middle - least, most - middle], color=colours, height=0.6, capsize=3)
    for row, ratio in enumerate(middle):
        axes.annotate(f"{ratio:.3g}×", (most[row], row), xytext=(6, 0), textcoords="offset points", va="center", backgroundcolor="white")
    axes.axvline(TARGET, linestyle=":", color="gray", zorder=0)
    low, high = min(0.7, least.min() / 1.5), 2 * max(most.max(), TARGET)
    axes.set(xscale="log", xlabel="times less CPU time than the other program", xlim=(low, high), ylim=(-0.7, len(found) - 0.3))
    ticks = [2.0**power for power in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.invert_yaxis()
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3].transpose(2, 0, 1))
