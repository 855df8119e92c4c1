"""Find what an earlier run left, and check that a stage may resume from it."""

from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.header import Header
from genrev_cli.files.lock import locked
from genrev_cli.training import distributed


def run_folder(out: Path) -> Path:
    """Return the folder for state, log and previews of a run; it may be deleted once the checkpoint is written."""
    return out.with_name(out.name + ".run")


def best_file(out: Path) -> Path:
    """Return the path of the checkpoint with the best score, which a scored run keeps beside its last one."""
    return out.with_name(f"{out.stem}.best{out.suffix}")


def run_lock(out: Path) -> AbstractContextManager[None]:
    """Keep other runs from writing `out` within the block: rank 0 holds a lock in the run folder. Raises like `locked`."""
    return locked(run_folder(out) / "lock", out) if distributed.rank() == 0 else nullcontext()


def earlier_run(stage: str, identity: dict[str, Any], out: Path, state: Path, *, defaults: dict[str, Any] | None = None) -> Header | None:
    """Return the header of an earlier run of the same stage, from its state if there is one, else from its result; None if neither exists.

    identity: must be equal to that of the earlier run. defaults: default of each key, assumed for runs that predate it.
    Raises UsageError when the earlier run was of another stage or had other settings, and names them.
    """
    for path in (state, out):
        if path.exists():
            header = read_checkpoint_header(path)
            before = header.config.get("identity", {})
            if before.get("stage") != stage:
                raise UsageError(f"{path}: was made by '{before.get('stage')}'; choose another --out")
            changed = sorted(differences(before, identity, defaults or {}))
            if changed:
                raise UsageError(
                    f"{path}: was made with other settings ({', '.join(changed)}); use --restart to discard it, or another --out"
                )
            return header
    return None


def begun_with(out: Path) -> dict[str, Any]:
    """Return the settings of the method with which a run to `out` has begun, as its header has them; {} if there is no such run."""
    for path in (run_folder(out) / "state.safetensors", out):
        if path.exists():
            with suppress(FileError):  # whoever opens the file says what is wrong with it
                return dict(read_checkpoint_header(path).config.get("identity", {}).get("method", {}))
    return {}


def differences(old: Any, new: Any, defaults: Any, name: str = "") -> list[str]:
    """Return 'key.key: old → new' for each value that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        defaults = defaults if isinstance(defaults, dict) else {}
        return [
            found
            for key in {*old, *new}
            for found in differences(
                old.get(key, defaults.get(key)), new.get(key), defaults.get(key, defaults.get(f"{key}[]")), f"{name}.{key}".strip(".")
            )
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and any(isinstance(one, dict) for one in new):
        pairs = enumerate(zip(old, new, strict=True))
        return [found for i, (a, b) in pairs for found in differences(a, b, defaults, f"{name}[{i}]")]
    return [] if old == new else [f"{name}: {_short(old)} → {_short(new)}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:12] + "…"
