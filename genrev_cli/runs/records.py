"""Read what report pages show of a trained model besides its header: its log and its size."""

from math import prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

from genrev_cli.errors import FileError
from genrev_cli.report.chain import Record
from genrev_cli.runs.resume import best_file, run_folder
from genrev_cli.training.log import read_log


def log_of(model: Record) -> list[dict[str, Any]]:
    """Return the lines of the log of a model's run up to the model's step; [] without a log.

    Raises FileError when the file is not a log.
    """
    path = run_folder(trained_as(model)) / "log.jsonl"
    lines = read_log(path)
    if any(not isinstance(line, dict) or "step" not in line for line in lines):
        raise FileError(f"{path}: not a log of genrev: a line has no step; remove it to leave the curves out")
    return [line for line in lines if line["step"] <= model.header.step]


def trained_as(model: Record) -> Path:
    """Return the checkpoint at the end of a model's run: for a best checkpoint the last one of its run, else the model itself."""
    last = model.path.with_name(model.path.name.replace(".best.", "."))
    return last if best_file(last) == model.path else model.path


def parameters_of(model: Record) -> int:
    """Return the number of weights and buffers of the network, from the shapes in the file; no tensor is read."""
    with safe_open(str(model.path), framework="np") as file:
        names = [name for name in file.keys() if name.startswith(("autoencoder.", "classifier."))]  # noqa: SIM118 (not a dict)
        return sum(prod(file.get_slice(name).get_shape()) for name in names)
