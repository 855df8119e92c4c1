"""What every stage gives back: the file it made and the numbers worth printing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """out: the file or folder that was made, None where nothing was written.

    numbers: name → JSON value; printed with --json, and shown as a table otherwise.
    """

    out: Path | None
    numbers: dict[str, Any] = field(default_factory=dict)
