"""What a tour shows: some images, and the sliders that move them. A slider of a tour has a few steps; it is never combined with another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genrev_cli.explore.asked import Asked, Changes
from genrev_cli.explore.session import Session
from genrev_cli.files.images import ImageSet
from genrev_cli.settings.edits import Edits

MOST_DIRECTIONS = MOST_TARGETS = 12
LARGEST = 3.0
"""Standard deviations at both ends of a slider."""


@dataclass(frozen=True, kw_only=True)
class Slider:
    """One kind of change in some steps.

    group: 'rest', 'move', 'toward' or 'dims', as in `Changes`. key: of the direction, class or dimension. name, title: what the page shows,
    and a longer explanation. values: of the steps. start: the step that changes nothing.
    """

    group: str
    key: str
    name: str
    title: str
    values: tuple[float, ...]
    start: int

    def changes(self, step: int) -> Changes:
        """Return what a step changes."""
        value = self.values[step]
        if step == self.start:
            return Changes()
        if self.group == "rest":
            return Changes(rest=value)
        if self.group == "dims":
            return Changes(edits=Edits(dims=((int(self.key), value),)))
        return Changes(edits=Edits(move=((self.key, value),)) if self.group == "move" else Edits(toward=((self.key, value),)))

    def words(self) -> list[str]:
        """Return the values as the page shows them."""
        signed = self.group in ("move", "dims")
        return [f"{value:+.3g}" if signed and value else f"{value:.3g}" for value in self.values]


def strengths(steps: int) -> tuple[float, ...]:
    """Return an odd number of strengths from −3 to 3 standard deviations, with 0 in the middle, rounded to what a command shows."""
    return tuple(float(value) for value in np.linspace(-LARGEST, LARGEST, steps).round(2) + 0.0)


def shares(steps: int) -> tuple[float, ...]:
    """Return shares from 0 to 1, rounded likewise."""
    return tuple(float(value) for value in np.linspace(0, 1, steps).round(2))


def sliders_of(session: Session, steps: int, note: Callable[[str], None]) -> list[Slider]:
    """Return the sliders of a tour: the rest of the latent, directions, classes, and the widest active dimensions.

    note: is told what is left out.
    """
    about, both, shared = session.about(), strengths(steps), shares(steps)
    found = []
    if about["active"] < about["latent"]:
        title = f"The {about['latent'] - about['active']} other dimensions: 1 keeps them, 0 leaves the restricted latent"
        found.append(Slider(group="rest", key="rest", name="Rest of the latent", title=title, values=shared, start=steps - 1))
    middle = steps // 2
    for table in _first(ranked(about["directions"]), MOST_DIRECTIONS, "directions, the most accurate first", note):
        accuracy = "" if table["accuracy"] is None else f", accuracy {100 * table['accuracy']:.0f} %"
        title = f"{table['name']}: {table['method']}{accuracy}"
        found.append(Slider(group="move", key=table["name"], name=table["name"], title=title, values=both, start=middle))
    for target in _first(about["targets"], MOST_TARGETS, "classes", note):
        name = about["classes"][int(target)] if target.isdecimal() and int(target) < len(about["classes"]) else target
        title = f"Share of the way to the mean of {name}"
        found.append(Slider(group="toward", key=target, name=name, title=title, values=shared, start=0))
    for dim in about["dims"]:
        found.append(Slider(group="dims", key=str(dim), name=f"Dim {dim}", title=f"Active dimension {dim}", values=both, start=middle))
    return found


def ranked(tables: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return directions with the most accurate first, and then those without an accuracy, such as components, in their own order."""
    return sorted(tables, key=lambda table: 1.0 if table["accuracy"] is None else -table["accuracy"])


def _first(found: Sequence[Any], most: int, what: str, note: Callable[[str], None]) -> Sequence[Any]:
    if len(found) > most:
        note(f"the tour shows {most} of {len(found)} {what}")
    return found[:most]


def images_of(session: Session, count: int) -> list[Asked]:
    """Return the images of a tour: of the data where there are some, else samples."""
    opened = session.opened
    if opened.data is None:
        return [Asked(kind="prior", seed=opened.seed, number=i) for i in range(count)]
    return [Asked(kind="data", split=opened.split, number=number) for number in chosen(opened.data, opened.split, count)]


def chosen(data: ImageSet, split: str, count: int) -> list[int]:
    """Return numbers of images within a split, spread evenly over it, and over its classes where these are known.

    Each place gets the nearest image of its class that is not chosen yet. A split with fewer images gives all of them.
    """
    labels = data.labels[data.rows(split)]
    count = min(count, len(labels))
    places = np.linspace(0, len(labels) - 1, count).round().astype(int)
    classes = np.unique(labels[labels >= 0])
    if len(classes) < 2:
        return [int(place) for place in places]
    few = np.linspace(0, len(classes) - 1, min(count, len(classes))).round().astype(int)
    wanted = np.resize(classes[few], count)  # again from the first class, if there are more images than classes
    found: list[int] = []
    for place, label in zip(places, wanted, strict=True):
        free = np.setdiff1d(np.flatnonzero(labels == label), found)
        free = free if len(free) else np.setdiff1d(np.arange(len(labels)), found)
        found.append(int(free[np.abs(free - place).argmin()]))
    return found
