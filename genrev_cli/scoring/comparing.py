"""Measure what Python users give: `genrev_cli.fid` is the command's code with arrays, models and keywords."""

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import UsageError
from genrev_cli.progress import SILENT
from genrev_cli.scoring.measure import measure
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import FidOptions
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.store.model import Model

_GIVEN = ("ref", "ckpt", "features", "sampler")


def compared(samples: Any, reference: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of `measure`. samples, reference, settings: see `genrev_cli.fid`.

    Raises UsageError for an unknown setting or an input of another type, and what `measure` raises.
    """
    features = {field.name: settings[field.name] for field in fields(FeatureOptions) if field.name in settings}
    rest = {name: value for name, value in settings.items() if name not in features and name != "sampler"}
    known = {field.name for field in fields(FidOptions)} - set(_GIVEN)
    if unknown := rest.keys() - known:
        raise UsageError(f"fid: unknown setting '{min(unknown)}'; choose {', '.join(sorted(known | {'features', 'sampler'}))}")
    if isinstance(rest.get("metrics"), str):
        rest["metrics"] = tuple(rest["metrics"].split(","))
    with tempfile.TemporaryDirectory() as folder:
        path, ckpt, sampler = _samples(samples, Path(folder))
        sampler = SamplerFile(Path(settings["sampler"])) if "sampler" in settings else sampler
        ref = str(_path(reference, Path(folder, "reference.npy")))
        options = FidOptions(ref=ref, ckpt=ckpt, sampler=sampler, features=FeatureOptions(**features), **rest)
        return measure(path, options, SILENT).numbers


def _samples(given: Any, folder: Path) -> tuple[Path | None, Path | None, SamplerFile | None]:
    """Return the path of images, or that of a checkpoint and of its sampler."""
    if isinstance(given, Model):
        return None, given.path, given.sampler
    path = _path(given, folder / "samples.npy")
    return (None, path, None) if path.suffix == ".safetensors" else (path, None, None)


def _path(given: Any, target: Path) -> Path:
    """Return a given path, or that of a given array, which is written to `target`."""
    if isinstance(given, str | Path):
        return Path(given)
    if not isinstance(given, np.ndarray):
        raise UsageError(f"fid: images are given as {type(given).__name__}; give a path, a NumPy array, or a model")
    np.save(target, given)
    return target
