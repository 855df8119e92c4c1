"""Fill the page of a tour: one HTML file with its style, its script and all pictures in it, which asks for nothing else."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from genrev_cli.errors import DivergedError
from genrev_cli.explore.asked import Asked
from genrev_cli.explore.commands import command_of
from genrev_cli.explore.session import Session
from genrev_cli.explore.sprites import sprite
from genrev_cli.explore.tour import Slider
from genrev_cli.files import pretrained
from genrev_cli.files.page import SLOT
from genrev_cli.progress import Progress
from genrev_cli.shapes import Pixels

LIMIT = 8_000_000
"""Bytes of a page that is easy to send."""
FRAMES = 16
"""Pictures on the path between two images."""
PICTURE = "PICTURE.png"
"""Stands for an image's file in the commands; the page replaces it."""
GROUPS = {"rest": "", "move": "Directions", "toward": "Toward a class", "dims": "Active dimensions"}


@dataclass(frozen=True)
class Page:
    """html: with an empty `SLOT` for its header. pictures: number of those made beforehand. paths: whether it has paths between images."""

    html: str
    pictures: int
    paths: bool


def make_page(session: Session, asked: Sequence[Asked], sliders: Sequence[Slider], *, path: str, progress: Progress) -> Page:
    """Return the page of a tour. path: between images, a name of `between`.

    Paths are left out, with a note, if they make the page too large. Raises DivergedError if a picture is not finite.
    """
    numbers = [session.draw(one) for one in asked]
    pairs = list(zip(asked, [*asked[1:], asked[0]], strict=True)) if len(asked) > 1 else []
    sprites = {f"photo-{i}": sprite(session.photos.get(number).pixels, exact=True) for i, number in enumerate(numbers)}
    with progress.task("explore", len(numbers) * len(sliders) + len(pairs), "sprites") as bar:
        for i, number in enumerate(numbers):
            for j, slider in enumerate(sliders):
                sprites[f"edit-{i}-{j}"] = sprite(_frames(session, number, slider), exact=False)
                bar.advance()
        ways = {}
        for i, (first, last) in enumerate(pairs):
            ways[f"path-{i}"] = sprite(session.path(first, last, path=path, rest=1.0, frames=FRAMES), exact=False)
            bar.advance()
    if ways and (size := _size(sprites | ways)) > LIMIT:
        progress.note(f"the tour has no paths between its images, because with them it would have {size / 1e6:.1f} MB")
        ways = {}
    pictures = len(numbers) * (3 + sum(len(slider.values) for slider in sliders)) + FRAMES * len(ways)
    return Page(_filled(session, numbers, sliders, sprites=sprites | ways, path=path), pictures, bool(ways))


def _size(sprites: dict[str, str]) -> int:
    return sum(map(len, sprites.values()))


def _frames(session: Session, number: int, slider: Slider) -> Pixels:
    try:
        return session.variants(number, [slider.changes(step) for step in range(len(slider.values))])
    except DivergedError as error:
        name = session.photos.get(number).name
        raise DivergedError(f"{name}: slider '{slider.name}' gives values that are not finite, so no tour can be made") from error


def commands_of(session: Session, slider: Slider) -> list[str]:
    """Return the command that makes the picture of each step from the file `PICTURE`; '' where there is none. They have no folders."""
    directions = session.directions
    if directions:
        directions = replace(directions, path=_bare(directions.path))
    ckpt = _bare(session.model.path)
    return [command_of(PICTURE, slider.changes(step), ckpt=ckpt, directions=directions) for step in range(len(slider.values))]


def _bare(path: Path) -> Path:
    """Return a path without its folders; a file of this package keeps them, because commands have its short name."""
    return path if pretrained.short(path) != str(path) else Path(path.name)


def _filled(session: Session, numbers: Sequence[int], sliders: Sequence[Slider], *, sprites: dict[str, str], path: str) -> str:
    about, photos = session.about(), [session.summary(number) for number in numbers]
    table = {"about": about, "photos": photos, "sliders": [_told(session, one) for one in sliders], "frames": FRAMES, "picture": PICTURE}
    script = _read("words.js").replace("export ", "") + _read("tour.js")
    environment = Environment(
        loader=PackageLoader("genrev_cli.explore", "page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("tour.html").render(
        about=about, photos=photos, sprites=sprites, frames=FRAMES, paths="path-0" in sprites,
        groups=[(title, [(i, one) for i, one in enumerate(sliders) if one.group == group]) for group, title in GROUPS.items()],
        scaled=any(one.group in ("move", "dims") for one in sliders),
        lossy=any(uri.startswith("data:image/webp") for uri in sprites.values()),
        path={"linear": "a straight line", "flow": "the flow"}.get(path, "the transport map"),
        table=json.dumps(table, ensure_ascii=False).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        style=_read("style.css") + _read("tour.css"), script=script, allowed=_digest(script),
        icon="data:image/svg+xml," + quote(_read("icon.svg")), slot=SLOT,
    )  # fmt: skip


def _told(session: Session, slider: Slider) -> dict[str, Any]:
    """Return what the page's script has to know of a slider."""
    shown = {"group": slider.group, "name": slider.name, "words": slider.words(), "start": slider.start}
    return {**shown, "commands": commands_of(session, slider)}


def _digest(script: str) -> str:
    """Return the name by which the page's security policy allows its script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _read(name: str) -> str:
    return files("genrev_cli.explore").joinpath("page", name).read_bytes().decode().replace("\r\n", "\n")
