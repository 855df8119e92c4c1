"""Metrics of two sets: from the features of samples and of a reference to named numbers."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from genrev_cli.errors import UsageError
from genrev_cli.metrics.class_score import SPLITS, class_score
from genrev_cli.metrics.features import ClassLayer
from genrev_cli.metrics.frechet import TOLERANCE, Statistics, bias_floor, frechet_distance
from genrev_cli.metrics.kernel import cmmd, kid
from genrev_cli.metrics.memorisation import authentic
from genrev_cli.metrics.neighbours import prdc
from genrev_cli.metrics.sliced import MIND_PROJECTIONS, mind
from genrev_cli.progress import Progress
from genrev_cli.scoring.features import FeatureSet
from genrev_cli.scoring.statistics import StatisticsFile
from genrev_cli.seeds import derive

KID_SUBSET = 1000
COLLAPSED = 1e-6
"""If the samples' total variance is below this share of the reference's, they count as copies of one image."""
K_PRECISION, K_DENSITY = 3, 5
IS_IMAGES = 50_000
"""Number of images of published Inception scores."""


@dataclass(frozen=True, eq=False)
class Training:
    """Features of training images, and of the images of `split`, which were not trained on; None if the file has none."""

    train: FeatureSet
    held_out: FeatureSet | None
    split: str


@dataclass(frozen=True, eq=False)
class Pair:
    """The two sides to compare. label, kernel_label: names of the Fréchet and kernel distance in features that `identity` describes.

    training: opened for metrics of memorisation only. classes: a linear layer that classifies the features, if there is one.
    """

    samples: FeatureSet | StatisticsFile
    reference: FeatureSet | StatisticsFile
    label: str
    kernel_label: str
    _: KW_ONLY
    identity: dict[str, Any]
    training: Training | None = None
    classes: ClassLayer | None = None


Numbers = tuple[dict[str, float], dict[str, Any]]
"""The metric's numbers by name, the main one first, and the conditions that they depend on."""


def frechet_numbers(pair: Pair, seed: int, progress: Progress) -> Numbers:
    """Return the Fréchet distance, with the value expected between equal distributions at these numbers of images (`bias_floor`).

    Raises DivergedError if it is out of range.
    """
    samples, reference = pair.samples.statistics(), pair.reference.statistics()
    value = frechet_distance(samples, reference)
    floor = None if samples.n is None else bias_floor(reference, samples.n, reference.n or float("inf"))
    if _equal(samples, reference, value):
        progress.note("samples and reference have the same features; they may be the same images")
    spread, real_spread = (np.square(side.factor).sum() for side in (samples, reference))
    if spread <= COLLAPSED * real_spread:
        progress.note(
            f"samples hardly differ from each other: their features have variance {spread:.2g}, the reference's {real_spread:.2g}"
        )
    if samples.n is not None and samples.n < samples.dims:
        progress.note(
            f"n = {samples.n} < {samples.dims} dimensions: the {pair.label} is too high; compare it only with values of the same n"
        )
    return {pair.label: value}, {"bias_floor": floor}


def _equal(a: Statistics, b: Statistics, value: float) -> bool:
    return value <= 10 * TOLERANCE * (np.square(a.factor).sum() + np.square(b.factor).sum())


def kernel_numbers(pair: Pair, seed: int, progress: Progress) -> Numbers:
    """Return the KID over 100 random subsets of up to 1,000 images, and its standard error if the subsets differ.

    Raises FileError for statistics, UsageError for fewer than 2 images.
    """
    samples, reference = pair.samples.rows(), pair.reference.rows()
    size = min(KID_SUBSET, len(samples), len(reference))
    if size < KID_SUBSET:
        progress.note(
            f"{pair.kernel_label}: subsets have {size} images, not {KID_SUBSET:,}; compare it only with values of the same subset size"
        )
    generator = np.random.default_rng(derive(seed, "kid"))
    value, error = kid(samples, reference, generator=generator, subset_size=size)
    if (size == len(samples)) != (size == len(reference)):
        whole, other = ("samples", "reference") if size == len(samples) else ("reference", "samples")
        progress.note(
            f"{pair.kernel_label}: every subset holds all of the {whole}; the standard error covers only the choice of the {other}"
        )
    errors = {} if error is None else {f"{pair.kernel_label}_standard_error": error}
    return {pair.kernel_label: value, **errors}, {"kid_subset_size": size}


def neighbour_numbers(pair: Pair, seed: int, progress: Progress) -> Numbers:
    """Return precision, recall, density and coverage.

    Raises FileError for statistics, UsageError for fewer images than neighbours.
    """
    found = prdc(pair.reference.rows(), pair.samples.rows(), k_precision=K_PRECISION, k_density=K_DENSITY)
    return found._asdict(), {"k_precision": K_PRECISION, "k_density": K_DENSITY}


def sliced_numbers(pair: Pair, seed: int, progress: Progress) -> Numbers:
    """Return MIND and its standard error over directions; in features other than Inception's it is called MD, as FID is FD.

    Raises FileError for statistics.
    """
    samples, reference = pair.samples.rows(), pair.reference.rows()
    label = pair.label.replace("FID", "MIND", 1) if pair.label.startswith("FID") else pair.label.replace("FD", "MD", 1)
    value, error = mind(samples, reference, seed=seed)
    return {label: value, f"{label}_standard_error": error}, {"mind_projections": MIND_PROJECTIONS}


def memorisation_numbers(pair: Pair, seed: int, progress: Progress) -> Numbers:
    """Return the percentage of samples that are not near copies of training images, and that of held-out images to compare it with.

    Raises UsageError for fewer than 2 training images.
    """
    assert pair.training  # `open_pair` opens it for this metric
    train, held_out = pair.training.train.rows(), pair.training.held_out
    samples = pair.samples.rows()
    about: dict[str, Any] = {"n_train": len(train)}
    fresh = held_out.rows() if held_out else None
    with progress.task("nearest training images", (2 if fresh is None else 4) * len(train)) as bar:
        own = authentic(train, samples, advance=bar.advance)
        usual = None if fresh is None else authentic(train, fresh, advance=bar.advance)
    share = float(own.mean())
    if usual is None:
        progress.note("AuthPct: the reference has neither test nor val images, so there is no value of images that were not trained on")
    else:
        about |= {"authpct_held_out": 100 * float(usual.mean()), "n_held_out": len(usual), "held_out_split": pair.training.split}
    error = 100 * (share * (1 - share) / len(own)) ** 0.5
    return {"AuthPct": 100 * share, "AuthPct_standard_error": error}, about


def class_numbers(pair: Pair, seed: int, progress: Progress) -> Numbers:
    """Return the Inception score of the samples and its standard deviation over 10 parts; with another classifier it is called CS.

    Raises UsageError for features without classes or too few images.
    """
    if pair.classes is None:
        raise UsageError(
            f"--metrics is: '{pair.identity['extractor']}' features have no classes; use Inception's with its published weights, "
            "or a classifier of 'genrev fit-features'"
        )
    rows, label = pair.samples.rows(), pair.classes.label
    value, spread = class_score(rows, pair.classes, seed=seed)
    if len(rows) < IS_IMAGES:
        progress.note(f"{label}: has {len(rows):,} images, and published values have {IS_IMAGES:,}; compare it with values of the same n")
    return {label: value}, {"class_score_std": spread, "class_score_splits": SPLITS}


def embedding_numbers(pair: Pair, seed: int, progress: Progress) -> Numbers:
    """Return the CMMD. Raises UsageError for features other than CLIP's, to whose norm its kernel's width belongs."""
    if pair.identity["extractor"] != "clip":
        raise UsageError(f"--metrics cmmd: is defined with CLIP's features, not '{pair.identity['extractor']}'; pass --features clip")
    label = pair.label.replace("FD-CLIP", "CMMD", 1)
    return {label: cmmd(pair.samples.rows(), pair.reference.rows())}, {}
