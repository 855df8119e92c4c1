"""fid: two sets of images → the Fréchet distance between their features (A5, Table 1)."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.header import Header, array_digest, provenance
from genrev_cli.files.npz import reading_npz
from genrev_cli.files.pictures import json_digest, write_json
from genrev_cli.files.statistics import read_statistics, write_statistics
from genrev_cli.metrics.features import PROFILES, Extractor, InceptionExtractor, PixelExtractor
from genrev_cli.metrics.frechet import Moments, Statistics, bias_floor, frechet_distance
from genrev_cli.metrics.weights import find_inception_weights, load_inception_weights
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.devices import resolve_device
from genrev_cli.stages.image_inputs import ImageInput, open_image_input
from genrev_cli.stages.targets import check_target

FEATURES = ("inception", "pixel")
NAMED = ("celeba", "cifar10", "digits", "mnist")
"""References by name: the prepared file data/NAME.h5."""


@dataclass(frozen=True)
class FidOptions:
    """ref: a name, prepared images, samples, a folder, or statistics (.npz). n: the first so many samples, 0 for all.

    split: of a prepared reference, '' for test. profile and weights: of Inception. Raises UsageError for what has no meaning.
    """

    ref: str
    split: str = ""
    n: int = 0
    features: str = "inception"
    profile: str = "pytorch-fid"
    weights: Path | None = None
    device: str = "auto"
    cache: bool = True

    def __post_init__(self) -> None:
        if self.features not in FEATURES:
            raise UsageError(f"--features {self.features}: choose {' or '.join(FEATURES)}")
        if self.profile not in PROFILES:
            raise UsageError(f"--profile {self.profile}: choose one of {', '.join(PROFILES)}")
        if self.features == "pixel" and (self.weights or self.profile != "pytorch-fid"):
            raise UsageError("--weights and --profile have no meaning for --features pixel; leave them out")


def fid(samples: Path, out: Path, options: FidOptions, *, progress: Progress = SILENT) -> Result:
    """Score `samples` against a reference and write a JSON result that says exactly what was measured.

    With Inception features the result is an FID; with pixels it is labelled FD-pixel and comparable only with others of its kind.
    Raises FileError for unusable files, UsageError for an unknown reference, UnavailableError without Inception's weights.
    """
    start, device = time.perf_counter(), resolve_device(options.device)
    check_target(out, "score", (".json",), [samples])
    images = open_image_input(samples, "all", options.n, progress)
    extractor = _extractor(options, images, device)
    reference = _reference(options, extractor, progress)
    statistics = _measure(images, extractor, progress, "samples")
    value = frechet_distance(statistics, reference.statistics)
    n_ref = reference.statistics.n
    numbers = {
        "metric": extractor.label,
        "value": value,
        "n": statistics.n,
        "n_reference": n_ref,
        "bias_floor": bias_floor(reference.statistics, statistics.n, n_ref or float("inf")),
        **({"split": reference.record["selection"]["split"]} if "split" in reference.record.get("selection", {}) else {}),
        **{key: extractor.identity[key] for key in ("extractor", "profile", "layer", "weights_sha256")},
    }
    if statistics.n < extractor.dims:
        progress.note(
            f"{samples}: n = {statistics.n} < {extractor.dims} dimensions: the value is biased up; compare only values of the same n"
        )
    inputs = {"samples": images.record(), "ref": reference.record}
    made_by = provenance(seconds=time.perf_counter() - start, device=str(device))
    config = {"metric": extractor.label, "identity": extractor.identity}
    write_json(out, numbers, Header("score", config, json_digest(numbers), 0, inputs, made_by))
    return Result(out, numbers)


@dataclass(frozen=True)
class _Reference:
    statistics: Statistics
    record: dict[str, Any]


def _extractor(options: FidOptions, images: ImageInput, device: torch.device) -> Extractor:
    if options.features == "pixel":
        return PixelExtractor(images.image_shape)
    state, sha256 = load_inception_weights(find_inception_weights(options.weights, download=True))
    return InceptionExtractor(state, weights_sha256=sha256, profile=options.profile, device=device)


def _reference(options: FidOptions, extractor: Extractor, progress: Progress) -> _Reference:
    path = _reference_path(options.ref)
    if path.suffix == ".npz" and _is_statistics(path):
        header, n, mu, sigma = read_statistics(path)
        if header and header.config["identity"] != extractor.identity:
            raise FileError(f"{path}: statistics of other features ({header.config['identity']}) than asked for ({extractor.identity})")
        if not header:
            progress.note(f"{path}: statistics of unknown origin; make sure that they are of {extractor.label}'s features")
        record = header.as_input(path) if header else {"path": str(path.resolve()), "kind": "statistics", "sha256": ""}
        return _Reference(Statistics(n, mu, sigma=sigma), record)
    images = open_image_input(path, options.split or "test", 0, progress)
    if options.split and "split" not in images.selection:
        raise UsageError(f"--split {options.split}: {path} has no splits; leave it out")
    return _Reference(_cached(images, extractor, progress, options.cache), images.record())


def _reference_path(ref: str) -> Path:
    if ref in NAMED and not Path(ref).exists():
        path = Path("data", f"{ref}.h5")
        if not path.exists():
            raise FileError(f"--ref {ref}: there is no {path}; make it with 'genrev prepare-data {ref} --out {path}'")
        return path
    if not Path(ref).exists():
        raise FileError(f"--ref {ref}: no such file or folder, and none of the names {', '.join(NAMED)}")
    return Path(ref)


def _is_statistics(path: Path) -> bool:
    with reading_npz(path) as arrays:
        return "mu" in arrays


def _measure(images: ImageInput, extractor: Extractor, progress: Progress, title: str) -> Statistics:
    moments = Moments(extractor.dims)
    with progress.task(f"features of {title}", images.n) as bar:
        for block in images.blocks():
            moments.add(extractor(torch.from_numpy(block)).numpy())
            bar.advance(len(block))
    return moments.statistics()


def cache_folder() -> Path:
    """Where statistics of references are kept: $GENREV_CACHE, else genrev in the user's cache folder."""
    return Path(os.environ.get("GENREV_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "genrev"))


def _cached(images: ImageInput, extractor: Extractor, progress: Progress, use: bool) -> Statistics:
    """The reference's statistics, kept under a key of their content: what is cached can be stale by no name."""
    record = images.record()
    identity = {"content": record["sha256"], "selection": record["selection"], **extractor.identity}
    key = array_digest("cache", (), [repr(sorted(identity.items())).encode()])
    path = cache_folder() / "statistics" / f"{key}.npz"
    if use and path.exists():
        _, n, mu, sigma = read_statistics(path)
        return Statistics(n, mu, sigma=sigma)
    start = time.perf_counter()
    statistics = _measure(images, extractor, progress, "reference")
    if use and statistics.sigma is not None:  # fewer images than dimensions: quicker to measure again, and exact
        made_by = provenance(seconds=time.perf_counter() - start)
        header = Header("statistics", {"identity": extractor.identity, "selection": images.selection}, "", 0, {"images": record}, made_by)
        write_statistics(path, statistics.mu, statistics.sigma, statistics.n, header)
    return statistics
