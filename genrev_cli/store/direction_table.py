"""The table of directions that fit-directions and info show."""

from collections.abc import Sequence
from typing import Any

NOTE = (
    "has it: codes with the property. accuracy: balanced, on codes that were held out; chance is 0.5. "
    "gap: between the means of both sides, in standard deviations. scale: one standard deviation. share: of the variance of all codes."
)


def table_of(about: Sequence[dict[str, Any]], title: str) -> dict[str, Any]:
    """Return a table as results have it. about: the entries of the directions in the header of their file."""
    shown = {"direction": "name", "method": "method", "from": "source", "has it": "has"}
    shown |= {name: name for name in ("accuracy", "gap", "scale", "share")}
    rows = [{title: one.get(name) for title, name in shown.items()} for one in about]
    return {"title": title, "rows": rows, "notes": [NOTE]}
