"""The table of directions that fit-directions and info show."""

from collections.abc import Sequence
from typing import Any

NOTE = (
    "accuracy: balanced, on codes that were held out; chance is 0.5. gap: between the means of both sides, in standard deviations. "
    "scale: one standard deviation. share: of the variance of all codes."
)


def table_of(about: Sequence[dict[str, Any]], title: str) -> dict[str, Any]:
    """Return a table as results have it. about: the entries of the directions in the header of their file."""
    rows = [
        {"direction": one["name"], "method": one["method"], "accuracy": one.get("accuracy"), "gap": one.get("gap"),
         "scale": one.get("scale"), "share": one.get("share"), "from": one.get("source", "")}
        for one in about
    ]  # fmt: skip
    return {"title": title, "rows": rows, "notes": [NOTE]}
