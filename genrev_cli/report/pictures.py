"""The pictures of the page, in order, with their captions."""

import base64
import io
import itertools
from dataclasses import KW_ONLY, dataclass

import numpy as np

from genrev_cli.files.header import Header
from genrev_cli.files.pictures import to_pil
from genrev_cli.report import words
from genrev_cli.report.chain import Record, checkpoint_of
from genrev_cli.report.material import Material, Picture

COLUMN, PAGE = 552, 1136
"""Widths of half the page and of the whole page in CSS pixels, as in the style sheet."""
GROUPS = ("samples", "reconstructions", "interpolations", "traversals", "edits")
"""The order of pictures, by the first word of their header's `shows`."""


@dataclass(frozen=True)
class Figure:
    """A picture with its caption. src: a data URI. width, height: in CSS pixels. wide: True if it has the width of the page."""

    src: str
    width: int
    height: int
    wide: bool
    _: KW_ONLY
    sharp: bool
    title: str
    rows: str
    facts: list[str]
    origin: str

    @property
    def alt(self) -> str:
        return f"{self.title}. {self.rows} {self.origin}".strip()


def figures(material: Material) -> list[tuple[str, list[Figure]]]:
    """Return the pictures by what they show, (group, figures); in a group, they are in the order in which their models were trained."""
    order = {record.key: i for i, record in enumerate(material.records)}

    def place(picture: Picture) -> tuple[int, str, int, int]:
        group, checkpoint = _group(picture), checkpoint_of(picture.record)
        rank = GROUPS.index(group) if group in GROUPS else len(GROUPS)
        return rank, group, order[checkpoint.key] if checkpoint else -1, -("restricted" in picture.shows)

    found = itertools.groupby(sorted(material.pictures, key=place), key=_group)
    return [(group.capitalize() if group in GROUPS else "Others", [_figure(picture) for picture in pictures]) for group, pictures in found]


def _group(picture: Picture) -> str:
    return next((group for group in GROUPS if picture.shows.startswith(group)), "others")


def _figure(picture: Picture) -> Figure:
    header = picture.record.header
    height, width = picture.pixels.shape[1:]
    checkpoint = checkpoint_of(picture.record)
    wide = width > COLUMN or width >= 2.5 * height
    room, shape = PAGE if wide else COLUMN, checkpoint.header.config.get("model", {}).get("image_shape") if checkpoint else None
    sharp = min(shape[1:]) < 32 if shape else False
    scale = max(1.0, int(4 * room / width) / 4) if sharp else 1.0  # multiples of 1/4 keep magnified pixels of equal size
    title, _, _ = picture.shows.partition(":")
    return Figure(
        data_uri(picture.pixels), round(width * scale), round(height * scale), wide, sharp=sharp,
        title=title[:1].upper() + title[1:], rows=_rows(picture),
        facts=_figure_facts(header), origin=_origin(picture.record, checkpoint),
    )  # fmt: skip


def data_uri(pixels: np.ndarray) -> str:
    """Return pixels (C, H, W) uint8 as a data URI, without their header, which the page already has."""
    buffer = io.BytesIO()
    to_pil(pixels).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _rows(picture: Picture) -> str:
    """Return a sentence that explains the rows of a picture; the text after a colon in `shows` names them."""
    config, numbers = picture.record.header.config, picture.record.header.config.get("numbers", {})
    _, _, named = picture.shows.partition(":")
    group = _group(picture)
    if named.strip():
        return f"Rows from top to bottom: {named.strip()}."
    if group == "samples" and "n" in config:
        return f"The first of {config['n']:,} images drawn from the {words.SOURCES.get(config.get('sampler', ''), 'prior')}."
    if group == "interpolations" and "steps" in numbers:
        return f"Each row goes from one real image to another: the originals are at both ends, {numbers['steps']} decoded images between."
    if group == "edits" and config.get("steps"):
        return f"Each row is a photo: the original, then {config['steps']} steps from none to all of the edits."
    if group == "traversals" and "dims" in config:
        dims = ", ".join(map(str, config["dims"]))
        return f"Each row changes one active dimension (from top to bottom {dims}) around the {config.get('around', 'prior mean')}."
    return ""


def _figure_facts(header: Header) -> list[str]:
    """Return the numbers of a picture, and the settings with which it was made."""
    numbers = dict(header.config.get("numbers", {}))
    facts = [f"{words.title(name)} {words.fact(value)}" for name, value in numbers.items()]
    drawn = {"seed": header.made_by.get("seed"), "temperature": header.config.get("temperature"), "split": header.config.get("split")}
    return facts + [f"{name} {words.fact(value)}" for name, value in drawn.items() if value is not None and name not in numbers]


def _origin(record: Record, checkpoint: Record | None) -> str:
    model = (
        f"{checkpoint.path.name} after {checkpoint.header.config.get('stage', 'training')}, step {checkpoint.header.step:,}"
        if checkpoint
        else ""
    )
    return " · ".join(filter(None, (model, record.path.name)))
