"""What a stage that can be resumed finds of its earlier run, and whether it may go on from there."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from genrev_cli.errors import UsageError
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.header import Header
from genrev_cli.files.lock import locked
from genrev_cli.training import distributed


def run_folder(out: Path) -> Path:
    """Where a training stage keeps its state, log and previews; may be deleted once the checkpoint is there."""
    return out.with_name(out.name + ".run")


def best_file(out: Path) -> Path:
    """Where the checkpoint with the best score is kept beside the last one, when a run is scored."""
    return out.with_name(f"{out.stem}.best{out.suffix}")


def alone(out: Path) -> AbstractContextManager[None]:
    """Within it no other run writes `out`: the first process holds a lock in the run folder. Raises like `locked`."""
    return locked(run_folder(out) / "lock", out) if distributed.rank() == 0 else nullcontext()


def earlier_run(stage: str, identity: dict[str, Any], out: Path, state: Path, unsaid: dict[str, Any] | None = None) -> Header | None:
    """The header of what an earlier run of the same stage left, the state if there is one, else the result; None where nothing is.

    identity: what must be equal for going on. unsaid: what it was in a run that is older than a key and says nothing of it.
    Raises UsageError when it was another stage, or one with other settings, which it names.
    """
    for path in (state, out):
        if path.exists():
            header = read_checkpoint_header(path)
            before = header.config.get("identity", {})
            if before.get("stage") != stage:
                raise UsageError(f"{path}: was made by '{before.get('stage')}'; choose another --out")
            changed = sorted(_differences(before, identity, unsaid or {}))
            if changed:
                raise UsageError(
                    f"{path}: was made with other settings ({', '.join(changed)}); use --restart to discard it, or another --out"
                )
            return header
    return None


def _differences(old: Any, new: Any, unsaid: Any, name: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        unsaid = unsaid if isinstance(unsaid, dict) else {}
        return [
            found
            for key in {*old, *new}
            for found in _differences(old.get(key, unsaid.get(key)), new.get(key), unsaid.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if old == new else [f"{name}: {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:12] + "…"
