"""What pages tell of a trained model beside its header: its log and its size."""

from math import prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

from genrev_cli.errors import FileError
from genrev_cli.report.chain import Record
from genrev_cli.runs.resume import best_file, run_folder
from genrev_cli.training.log import read_log


def log_of(model: Record) -> list[dict[str, Any]]:
    """The lines of a model's log up to its own step, [] where there is none; a best checkpoint's log is that of the run it is from.

    Raises FileError when something else lies there.
    """
    path = run_folder(trained_as(model)) / "log.jsonl"
    lines = read_log(path)
    if any(not isinstance(line, dict) or "step" not in line for line in lines):
        raise FileError(f"{path}: not a log of genrev's: a line has no step; remove it to leave the curves out")
    return [line for line in lines if line["step"] <= model.header.step]


def trained_as(model: Record) -> Path:
    """The checkpoint whose run a model is of: the last one of it for the best one, else itself."""
    last = model.path.with_name(model.path.name.replace(".best.", "."))
    return last if best_file(last) == model.path else model.path


def parameters_of(model: Record) -> int:
    """How many numbers the network has, from the shapes alone: a large model is not read."""
    with safe_open(str(model.path), framework="np") as file:
        names = [name for name in file.keys() if name.startswith(("autoencoder.", "classifier."))]  # noqa: SIM118 (not a dict)
        return sum(prod(file.get_slice(name).get_shape()) for name in names)
