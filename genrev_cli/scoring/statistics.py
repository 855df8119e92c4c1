"""Mean and covariance of features, read from and written to files."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.statistics import read_statistics, write_statistics
from genrev_cli.metrics.features import Extractor
from genrev_cli.metrics.frechet import Statistics
from genrev_cli.scoring.features import FeatureSet
from genrev_cli.training.distributed import rank, wait

SAID = {"extractor": "features", "layer": "layer", "dims": "dimensions", "weights_sha256": "weights"}
"""Words for the keys of an extractor's identity in messages."""


@dataclass(frozen=True, eq=False)
class StatisticsFile:
    """Statistics in place of a `FeatureSet`, for metrics that need no features of single images.

    header: its config holds the metric and the features' identity; None if another tool wrote the file.
    """

    path: Path
    header: Header | None
    moments: Statistics

    @property
    def n(self) -> int | None:
        """Number of images; None if the file does not say."""
        return self.moments.n

    @property
    def dims(self) -> int:
        """Dimensions of the features."""
        return self.moments.dims

    def rows(self) -> np.ndarray:
        """Raise FileError: a file of statistics has no features of single images."""
        raise FileError(f"{self.path}: holds statistics, but this metric needs the features of every image; give the images")

    def statistics(self) -> Statistics:
        """Return mean and covariance."""
        return self.moments

    def record(self) -> dict[str, Any]:
        """Return the entry for this file among the inputs of a score."""
        return self.header.as_input(self.path) if self.header else {"path": str(self.path.resolve()), "kind": "statistics", "sha256": ""}

    def require(self, identity: dict[str, Any], label: str, note: Callable[[str], None]) -> None:
        """Raise FileError if the features are not those of `identity`. A file without header is checked for its dimensions only."""
        if self.header is None:
            if self.dims != identity["dims"]:
                raise FileError(
                    f"{self.path}: has statistics of {self.dims} dimensions, but {label} needs {identity['dims']}; give another file"
                )
            note(f"{self.path}: statistics of unknown origin; make sure that they have the same features and images")
            return
        own = self.header.config["identity"]
        other = [
            f"{SAID.get(key, key)} {short(own.get(key))}, not {short(identity[key])}" for key in identity if own.get(key) != identity[key]
        ]
        if other:
            raise FileError(
                f"{self.path}: was made with other features than the options ask for ({'; '.join(other)}); "
                "make it again with these options ('genrev fid-ref' or 'genrev fid --save-stats'), or change the options"
            )


def short(value: Any) -> str:
    """Return a value of an identity for a message; a sha256 is cut to 8 digits."""
    text = str(value)
    return text[:8] if len(text) == 64 else text or "none"


def open_statistics(path: Path) -> StatisticsFile:
    """Read statistics from an .npz of genrev or another tool.

    Raises FileError if it is missing, damaged, or has no valid covariance.
    """
    header, n, mu, sigma = read_statistics(path)
    if header and not {"metric", "identity"} <= header.config.keys():
        raise FileError(f"{path}: its header does not say which features it has; make it again with 'genrev fid-ref'")
    found = Statistics(n, mu, sigma=sigma)
    try:
        found.factor  # noqa: B018 (computed here, so that the error for a matrix that is no covariance can name the file)
    except FileError as error:
        raise FileError(f"{path}: {error}") from error
    return StatisticsFile(path, header, found)


def write_features_statistics(
    path: Path, features: FeatureSet, extractor: Extractor, inputs: dict[str, Any], *, config: dict[str, Any], device: str
) -> None:
    """Write mean and covariance of features in a file that pytorch-fid reads too. config: added to the header."""
    start, found = time.perf_counter(), features.statistics()
    config = {"metric": extractor.label, "kernel_metric": extractor.kernel_label, "identity": extractor.identity, **config}
    header = Header("statistics", config, "", 0, inputs=inputs, made_by=provenance(seconds=time.perf_counter() - start, device=device))
    if rank() == 0:
        write_statistics(path, found.mu, found.covariance, features.n, header=header)
    wait()  # every process reads it next
