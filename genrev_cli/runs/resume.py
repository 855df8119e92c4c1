"""Find what an earlier run left, and check that a stage may resume from it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.header import Header
from genrev_cli.files.lock import locked, require_no_links
from genrev_cli.files.parts import drop_unlocked, sync
from genrev_cli.training import distributed

STATE = "state.safetensors"
"""Name of the state in a run folder."""


def run_folder(out: Path) -> Path:
    """Return the folder for state, log and previews of a run; it may be deleted once the checkpoint is written."""
    return out.with_name(out.name + ".run")


def best_file(out: Path) -> Path:
    """Return the path of the checkpoint with the best score, which a scored run keeps beside its last one."""
    return out.with_name(f"{out.stem}.best{out.suffix}")


@contextmanager
def run_lock(out: Path) -> Iterator[None]:
    """Keep other runs from writing `out` within the block: rank 0 holds a lock in the run folder, and removes what killed runs left there.

    Raises like `locked`, and FileError if there is a link in the run folder.
    """
    if distributed.rank():
        yield
        return
    require_no_links(run_folder(out), besides=("wandb",))  # Weights & Biases makes links in its own folder
    with locked(run_folder(out) / "lock", out):
        for folder in (run_folder(out), run_folder(out) / "previews"):
            drop_unlocked(folder)
        yield


def owns_best(out: Path, identity: dict[str, Any], *, defaults: dict[str, Any]) -> bool:
    """Return True if the best checkpoint beside `out` was made by a run with this identity, or by the earlier run to `out`, or is missing.

    Only such a file may be removed or replaced. defaults: as in `earlier_run`. Raises FileError for an earlier run that cannot be read.
    """
    path = best_file(out)
    if not path.exists():
        return True
    try:
        best = read_checkpoint_header(path).config
    except FileError:
        return False
    before = [read_checkpoint_header(file).config.get("identity") for file in (run_folder(out) / STATE, out) if file.exists()]
    return "score" in best and any(not differences(best.get("identity", {}), one, defaults) for one in (identity, *before) if one)


def discard_best(out: Path) -> None:
    """Remove the best checkpoint beside `out`, so that it does not come back after a power cut."""
    if best_file(out).exists():
        best_file(out).unlink()
        with suppress(OSError):  # some file systems cannot flush a folder
            sync(out.parent)


def earlier_run(stage: str, identity: dict[str, Any], out: Path, state: Path, *, defaults: dict[str, Any] | None = None) -> Header | None:
    """Return the header of an earlier run of the same stage, from its state if there is one, else from its result; None if neither exists.

    identity: must be equal to that of the earlier run. defaults: default of each key, assumed for runs that predate it.
    Raises UsageError when the earlier run was of another stage or had other settings, and names them.
    """
    for path in (state, out):
        if path.exists():
            header = read_checkpoint_header(path)
            before = _completed(header.config.get("identity", {}), identity)
            if before.get("stage") != stage:
                raise UsageError(f"{path}: was made by '{before.get('stage')}'; choose another --out")
            changed = sorted(differences(before, identity, defaults or {}))
            if changed:
                raise UsageError(
                    f"{path}: was made with other settings ({', '.join(changed)}); use --restart to discard it, or another --out"
                )
            return header
    return None


def _completed(before: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """Return the identity of an earlier run as if it had been stored now.

    The first version stored the recipe's name, whose settings are compared one by one, and not the prior's latent_dim, which the model has.
    """
    found = {key: value for key, value in before.items() if key != "recipe"}
    if isinstance(found.get("prior"), dict) and "latent_dim" in identity.get("prior", {}):
        found["prior"] = {"latent_dim": identity["prior"]["latent_dim"], **found["prior"]}
    return found


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
