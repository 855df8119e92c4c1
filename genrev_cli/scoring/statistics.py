"""A mean and a covariance from a file, in the place of the features that they were made of."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.statistics import read_statistics, write_statistics
from genrev_cli.metrics.features import Extractor
from genrev_cli.metrics.frechet import Statistics
from genrev_cli.scoring.features import FeatureSet
from genrev_cli.training.distributed import rank, wait

SAID = {"extractor": "features", "layer": "layer", "dims": "dimensions", "weights_sha256": "weights"}
"""What messages call the parts of an extractor's identity, where not by their own names."""


@dataclass(frozen=True, eq=False)
class StatisticsFile:
    """Stands where a `FeatureSet` does, for all that needs no single features.

    header: None where another tool wrote it; its config holds the metric and the features' identity.
    """

    path: Path
    header: Header | None
    moments: Statistics

    @property
    def n(self) -> int | None:
        """How many images; None where the file doesn't say."""
        return self.moments.n

    @property
    def dims(self) -> int:
        return self.moments.dims

    def statistics(self) -> Statistics:
        """As they stand in the file."""
        return self.moments

    def record(self) -> dict[str, Any]:
        """How a score records it."""
        return self.header.as_input(self.path) if self.header else {"path": str(self.path.resolve()), "kind": "statistics", "sha256": ""}

    def require(self, identity: dict[str, Any], label: str, note: Callable[[str], None]) -> None:
        """Raises FileError unless these are of the features that `identity` tells; of a foreign file only the dimensions are known."""
        if self.header is None:
            if self.dims != identity["dims"]:
                raise FileError(f"{self.path}: statistics of {self.dims} dimensions, where {label} has {identity['dims']}; give others")
            note(f"{self.path}: statistics of unknown provenance; make sure that they are of the same features and images as meant here")
            return
        own = self.header.config["identity"]
        other = [
            f"{SAID.get(key, key)} {short(own.get(key))}, not {short(identity[key])}" for key in identity if own.get(key) != identity[key]
        ]
        if other:
            raise FileError(
                f"{self.path}: was made with other features than are asked for ({'; '.join(other)}); "
                "make it again with these ('genrev fid-ref' or 'genrev fid --save-stats'), or ask for those"
            )


def short(value: Any) -> str:
    """A part of an identity in a message: of a sha256 its first digits."""
    text = str(value)
    return text[:8] if len(text) == 64 else text or "none"


def open_statistics(path: Path) -> StatisticsFile:
    """Read an .npz of statistics, ours or another tool's.

    Raises FileError when it is missing, damaged, or holds no covariance.
    """
    header, n, mu, sigma = read_statistics(path)
    if header and not {"metric", "identity"} <= header.config.keys():
        raise FileError(f"{path}: its header doesn't say which features it is of; make it again with 'genrev fid-ref'")
    found = Statistics(n, mu, sigma=sigma)
    try:
        found.factor  # noqa: B018 (kept for the distance; a matrix that is no covariance shows here, where the file's name is known)
    except FileError as error:
        raise FileError(f"{path}: {error}") from error
    return StatisticsFile(path, header, found)


def write_features_statistics(
    path: Path, features: FeatureSet, extractor: Extractor, inputs: dict[str, Any], config: dict[str, Any], device: str
) -> None:
    """Write mean and covariance of features, readable by pytorch-fid too, with what they are of. config: more for the header."""
    start, found = time.perf_counter(), features.statistics()
    config = {"metric": extractor.label, "kernel_metric": extractor.kernel_label, "identity": extractor.identity, **config}
    header = Header("statistics", config, "", 0, inputs, provenance(seconds=time.perf_counter() - start, device=device))
    if rank() == 0:
        write_statistics(path, found.mu, found.covariance, features.n, header)
    wait()  # all read it next
