"""Results of probe beside other metrics of a checkpoint, as compare shows them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.header import Header, require_kind
from genrev_cli.files.pictures import json_digest, read_json
from genrev_cli.store.samplers import encoders_of

KIND = "probe"
_NAMES = {"neighbours": "knn", "linear": "linear"}
"""Metric of a comparison → entry of a row of the result."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A result of probe. encoder: the digest of the checkpoint that made the codes. conditions: must be the same for all models."""

    path: Path
    header: Header
    encoder: str
    conditions: dict[str, Any]
    numbers: dict[str, float]


def open_probes(paths: Sequence[Path]) -> list[Probe]:
    """Read results of probe. Raises FileError if one is damaged, and UsageError if they were measured under different conditions."""
    probes = [_open(path) for path in paths]
    for other in probes[1:]:
        for name, value in probes[0].conditions.items():
            if other.conditions[name] != value:
                raise UsageError(f"--probe {other.path}: {name} is {other.conditions[name]}, and {value} in {paths[0]}; probe both alike")
    return probes


def _open(path: Path) -> Probe:
    header, result = read_json(path)
    require_kind(header, KIND, path, "genrev probe")
    if json_digest(result) != header.sha256:
        raise FileError(f"{path}: damaged or edited: its content does not match the checksum in its header; run 'genrev probe' again")
    codes = header.inputs.get("codes", {}).get("inputs", {})
    conditions: dict[str, Any] = {name: result[name] for name in ("of", "classes", "n", "n_test", "neighbours", "l2")}
    conditions["labels"] = [row["labels"] for row in result["rows"]]
    conditions["data"] = codes.get("data", {}).get("sha256", "")[:12]
    return Probe(
        path=path,
        header=header,
        encoder=codes.get("ckpt", {}).get("sha256", ""),
        conditions=conditions,
        numbers=_numbers(result["rows"]),
    )


def _numbers(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return metric and number of labels → accuracy, and its standard error where there are several draws of the labels."""
    found: dict[str, float] = {}
    for metric, entry in _NAMES.items():
        for row in rows:
            name, spread = f"{metric} {row['labels']}", row[f"{entry}_std"]
            found[name] = row[entry]
            if spread is not None:
                found[f"{name}_standard_error"] = spread / row["runs"] ** 0.5
    return found


def probed(header: Header, path: Path, probes: Sequence[Probe]) -> dict[str, float]:
    """Return the numbers of the probe of a checkpoint; {} if no probes are given. Raises UsageError if none of them is its own."""
    encoders = set(encoders_of(asdict(header)))
    own = next((probe for probe in probes if probe.encoder in encoders), None)
    if probes and own is None:
        raise UsageError(
            f"{path}: none of the results of --probe is of its codes; run 'genrev encode --ckpt {path}', and 'genrev probe' with them"
        )
    return own.numbers if own else {}
