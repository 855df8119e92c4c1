"""The page of a comparison: the table, pictures from the same seeds and of the same images, all curves, and the differing settings."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from genrev_cli.report import rivals
from genrev_cli.report.chain import data_name
from genrev_cli.report.comparison import Comparison, Row, notes, table
from genrev_cli.report.curves import Run, css, groups
from genrev_cli.report.material import Material
from genrev_cli.report.page import fill
from genrev_cli.report.pictures import data_uri
from genrev_cli.report.scores import Cell, Column, Table, explained
from genrev_cli.report.sections import Curves, chain, start_of
from genrev_cli.report.summary import data_facts


@dataclass(frozen=True)
class Tile:
    """A picture of one model. css: classes of its line in the curves; width, height: in pixels."""

    label: str
    css: str
    note: str
    alt: str
    _: KW_ONLY
    src: str
    width: int
    height: int


def render_comparison(comparison: Comparison, title: str = "", exports: Sequence[str] = ()) -> str:
    """Return the page, with an empty slot for its header.

    title: '' gives the number of models and the data set. exports: names of the files beside the page that have the same table.
    """
    rows = comparison.ranked
    material = Material([member.record for row in comparison.rows for member in row.members])
    steps, machines = chain(material)
    return fill(
        "compare.html",
        command="compare",
        title=title or headline(comparison, material),
        conditions=list(comparison.conditions.items()),
        data=data_facts(material.data) if material.data else [],
        table=table(comparison),
        notes=notes(comparison),
        explained=explained(comparison.metrics),
        samples=[
            _tile(row, i, row.samples, f"samples of {row.label}", remark=f"codes from: {row.drawn_from}") for i, row in enumerate(rows)
        ],
        originals=_picture("Originals", "", "", comparison.originals, alt="the originals"),
        restored=[_tile(row, i, row.restored, f"reconstructions by {row.label}") for i, row in enumerate(rows)],
        full=[_tile(row, i, row.full, f"round trips by {row.label}") for i, row in enumerate(rows)],
        split=comparison.split,
        seed=comparison.seed,
        curves=_curves(rows),
        differing=_differing(rows),
        steps=steps,
        machines=machines,
        made_from="the headers, logs and weights of",
        exports=exports,
        files=[(record.path.name, record.header.kind) for record in material.given],
    )


def headline(comparison: Comparison, material: Material) -> str:
    """Return the default title."""
    count, source = len(comparison.rows), data_name(material.data)
    return f"{count} model{'s' * (count > 1)}" + (f" on {source}" if source else "")


def _tile(row: Row, place: int, pixels: np.ndarray, alt: str, *, remark: str = "") -> Tile:
    """Return the picture of a row, which is that of its first member."""
    file = row.members[0].record.path.name if len(row.members) > 1 else ""
    return _picture(row.label, css(place), " · ".join(filter(None, (file, remark))), pixels, alt=alt)


def _picture(label: str, classes: str, note: str, pixels: np.ndarray, *, alt: str) -> Tile:
    height, width = pixels.shape[1:]
    return Tile(label, classes, note, alt, src=data_uri(pixels), width=width, height=height)


def _curves(rows: list[Row]) -> Curves:
    """Return the curves of all members; members of a row have the same kind of line."""
    runs = [
        Run(row.label, place, start_of(member.record), member.log) for place, row in enumerate(rows) for member in row.members if member.log
    ]
    logged = dict.fromkeys((css(run.style), run.label) for run in runs)
    return Curves(list(logged), groups(runs, compared=True))


def _differing(rows: list[Row]) -> Table | None:
    """Return a table of the settings in which the models differ; None if there are none."""
    found = rivals.differing([row.group for row in rows])
    if not found:
        return None
    cells = [(name, "", [Cell(text) for text in texts]) for name, texts in found]
    return Table([Column("Setting"), *(Column(row.label) for row in rows)], cells)
