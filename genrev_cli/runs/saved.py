"""The saved state of a run: the tensors from which it goes on, what it is a run of, and where it was computed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint, tensors_digest, write_checkpoint
from genrev_cli.files.header import Header
from genrev_cli.training import distributed

QUICKLY_READ = 200_000_000
"""Largest data file in bytes whose content is compared with its header when a run is resumed; that takes less than a second."""

_WORDS = {"torch": "torch {}", "genrev": "genrev {}", "device": "{}", "isa": "{}", "threads": "{} threads", "processes": "{} processes"}
"""What changes the last bits of results → its words."""


def surroundings(device: torch.device, made_by: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes the last bits of results. made_by: the provenance of this process.

    torch, genrev: versions. device: 'cpu', or the name of the GPU. isa: instructions that torch uses on the CPU.
    threads, processes: their numbers.
    """
    versions = made_by.get("versions", {})
    found = {"torch": versions.get("torch", ""), "genrev": versions.get("genrev-cli", ""), "processes": distributed.size()}
    if device.type == "cpu":
        return found | {"device": "cpu", "isa": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}
    return found | {"device": torch.cuda.get_device_name(device)}


def write_state(
    path: Path, tensors: dict[str, Tensor], *, identity: dict[str, Any], step: int, inputs: dict[str, Any], made_by: dict[str, Any],
    device: torch.device,
) -> None:  # fmt: skip
    """Write the state of a run after `step`. Raises FileError when that fails."""
    config = {"identity": identity, "surroundings": surroundings(device, made_by)}
    write_checkpoint(path, tensors, Header("state", config, tensors_digest(tensors), step, inputs=inputs, made_by=made_by))


def read_state(
    path: Path, inputs: Mapping[str, Any], made_by: Mapping[str, Any], *, device: torch.device, note: Callable[[str], None]
) -> tuple[Header, dict[str, Tensor]]:
    """Return what `write_state` wrote, and note what has changed since.

    inputs: role → record of the input as it is now. Raises FileError when the file is damaged, or no state.
    """
    header, tensors = read_checkpoint(path)
    if header.kind != "state":
        raise FileError(f"{path}: not a state to resume from (kind '{header.kind}'); run with --restart")
    if changed := _changed(_before(header), surroundings(device, made_by)):
        note(changed)
    for record in inputs.values():
        if edited := _edited(Path(record["path"]), record["sha256"]):
            note(edited)
    return header, tensors


def seconds_of(header: Header) -> float:
    """Return the seconds that a run has taken up to its state."""
    return float(header.made_by.get("seconds", 0.0))


def _before(header: Header) -> dict[str, Any]:
    """Return the surroundings in which a state was saved. Earlier versions stored only a part of them, among the provenance."""
    versions = header.made_by.get("versions", {})
    older = {"torch": versions.get("torch"), "genrev": versions.get("genrev-cli"), "processes": header.made_by.get("processes")}
    return {key: value for key, value in {**older, **header.config.get("surroundings", {})}.items() if value is not None}


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return a sentence on what differs and may change the last bits, '' if nothing does. What one side does not know does not count."""
    keys = [key for key in _WORDS if before.get(key) and now.get(key) and before[key] != now[key]]
    was, goes_on = (", ".join(_WORDS[key].format(side[key]) for key in keys) for side in (before, now))
    return f"the state was saved with {was}; the run goes on with {goes_on}: later bits may differ" if keys else ""


def _edited(path: Path, sha256: str) -> str:
    """Return a sentence if the arrays of a small HDF5 file do not match the digest in its header, else ''."""
    if path.suffix != ".h5" or not path.is_file() or path.stat().st_size > QUICKLY_READ or hdf5.read_digest(path) == sha256:
        return ""
    return f"{path}: its content was changed after it was made; the run goes on with what it has now"
