"""The result of a stage: the file that it wrote and the numbers to print."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """out: the file or folder that was written, or None.

    numbers: name → JSON value; printed with --json, and shown in words otherwise.
    pictures: a folder of pictures beside `out`, such as the previews of a training, or None.
    """

    out: Path | None
    numbers: dict[str, Any] = field(default_factory=dict)
    pictures: Path | None = None
