"""Keep two chains of commands from filling one folder. No torch: a chain starts its commands later."""

from contextlib import AbstractContextManager
from pathlib import Path

from genrev_cli.files.lock import locked


def chain_lock(folder: Path) -> AbstractContextManager[None]:
    """Keep other chains from writing to `folder` within the block. Raises UsageError and FileError like `locked`."""
    return locked(folder / "demo.lock", folder, other="another folder")
