"""The metrics: from two sets of features, or from a model and images, to named numbers."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.latents import DiagonalGaussian
from genrev_cli.methods.likelihood import bits_of_images, noise, require_density
from genrev_cli.metrics.frechet import TOLERANCE, Statistics, bias_floor, frechet_distance
from genrev_cli.metrics.kernel import kid
from genrev_cli.metrics.neighbours import prdc
from genrev_cli.metrics.reconstruction import l1, psnr, ssim
from genrev_cli.models import Bijection
from genrev_cli.plugins import HINT, register
from genrev_cli.progress import Progress
from genrev_cli.scoring.features import FeatureSet, Rows, shards_of
from genrev_cli.scoring.images import ImageInput
from genrev_cli.scoring.statistics import StatisticsFile
from genrev_cli.seeds import derive
from genrev_cli.shapes import to_float
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.training.distributed import dealt

KID_SUBSET = 1000
COLLAPSED = 1e-6
"""If the samples' total variance is below this share of the reference's, they count as copies of one image."""
K_PRECISION, K_DENSITY = 3, 5


@dataclass(frozen=True, eq=False)
class Pair:
    """The two sides to compare. label, kernel_label: names of the Fréchet and kernel distance in features that `identity` describes."""

    samples: FeatureSet | StatisticsFile
    reference: FeatureSet | StatisticsFile
    label: str
    kernel_label: str
    _: KW_ONLY
    identity: dict[str, Any]


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


COMPARISONS: dict[str, Callable[[Pair, int, Progress], Numbers]] = {
    "fid": frechet_numbers,
    "kid": kernel_numbers,
    "prdc": neighbour_numbers,
}
"""Metrics of two sets: (pair, seed, progress) → numbers."""


def register_metric(name: str, measure: Callable[[Pair, int, Progress], Numbers]) -> None:
    """Add the metric of a plugin, which compares the features of two sets: `fid --metrics NAME` computes it.

    measure: gets the features as `pair.samples.rows()` and `pair.reference.rows()`, (n, d). Raises UsageError if the name is taken.
    """
    if name in OF_MODELS:
        raise UsageError(f"metric '{name}': genrev already has a metric of this name; choose another")
    register("metric", name, COMPARISONS, measure)


def require_known_metrics(names: Sequence[str]) -> None:
    """Raise UsageError for a metric that there is not."""
    for name in names:
        if name not in metric_names():
            raise UsageError(f"--metrics {name}: no such metric; choose from {', '.join(metric_names())}, with commas between them, {HINT}")


def metric_names() -> tuple[str, ...]:
    """Return the names that --metrics takes."""
    return *COMPARISONS, *OF_MODELS


@torch.no_grad()
def likelihood_numbers(model: Checkpoint, images: ImageInput, device: torch.device, seed: int, progress: Progress) -> dict[str, float]:
    """Return bits per dimension of 8-bit images with uniform dequantisation, one noise draw per image. Its mean is an upper bound.

    For a network with a margin around the images, the margin is noise too and the bound is looser (`methods/likelihood.py`). Dimensions are
    those of the image. The standard error is that of the mean over images. Raises UsageError for a model without a likelihood.
    """
    autoencoder, prior = model.autoencoder, model.own_prior
    require_density(autoencoder, prior)
    assert isinstance(autoencoder, Bijection)
    assert isinstance(prior, DiagonalGaussian)

    def bits(rows: Rows) -> Tensor:
        generator, found = torch.Generator(device).manual_seed(derive(seed, "bpd", rows[0])), []
        for pixels in images.blocks(*rows):
            x = to_float(torch.from_numpy(pixels).to(device))
            found.append(bits_of_images(autoencoder, prior, x, noise(autoencoder, len(x), generator)).double())
        return torch.cat(found)

    found = _of_every_image(images, bits, progress, "likelihood")
    if not found.isfinite().all():
        raise DivergedError(f"{model.path}: the likelihood of {int((~found.isfinite()).sum())} of {images.n} images is not finite")
    error = found.std() / len(found) ** 0.5 if len(found) > 1 else found.new_tensor(0.0)
    return {"bits_per_dim": found.mean().item(), "bits_per_dim_standard_error": error.item()}


@torch.no_grad()
def reconstruction_numbers(model: Checkpoint, images: ImageInput, device: torch.device, seed: int, progress: Progress) -> dict[str, float]:
    """Return the mean L1, PSNR (dB) and SSIM between images x and decode(restrict(encode(x))).

    Raises DivergedError if a reconstruction is not finite.
    """

    def compared(rows: Rows) -> Tensor:
        found = []
        for pixels in images.blocks(*rows):
            x = to_float(torch.from_numpy(pixels).to(device))
            y = model.autoencoder.decode(model.own_prior.restrict(model.autoencoder.encode(x)))
            found.append(torch.stack([l1(x, y), psnr(x, y), ssim(x, y)], dim=1))
        return torch.cat(found)

    error, ratio, similarity = _of_every_image(images, compared, progress, "reconstruct").unbind(1)
    if not ratio.isfinite().all():
        progress.note(f"{int(ratio.isinf().sum())} reconstructions are exact and have an infinite PSNR; the mean leaves them out")
    finite = ratio[ratio.isfinite()]
    ratios = {"PSNR": finite.mean().item()} if len(finite) else {}
    return {"L1": error.mean().item(), **ratios, "SSIM": similarity.mean().item()}


@torch.no_grad()
def round_trip_numbers(model: Checkpoint, images: ImageInput, device: torch.device, seed: int, progress: Progress) -> dict[str, float]:
    """Return the mean and the largest |x − decode(encode(x))| over all pixels; only rounding errors if the inverse is exact.

    Raises DivergedError if a reconstruction is not finite.
    """

    def compared(rows: Rows) -> Tensor:
        found = []
        for pixels in images.blocks(*rows):
            x = to_float(torch.from_numpy(pixels).to(device))
            y = model.autoencoder.decode(model.autoencoder.encode(x))
            found.append(torch.stack([l1(x, y), (x - y).abs().amax((1, 2, 3)).double()], dim=1))
        return torch.cat(found)

    mean, largest = _of_every_image(images, compared, progress, "round trip").unbind(1)
    return {"roundtrip_mean": mean.mean().item(), "roundtrip_max": largest.max().item()}


def _of_every_image(images: ImageInput, make: Callable[[Rows], Tensor], progress: Progress, title: str) -> Tensor:
    """Return `make(rows)` of all images in order, (n, …). Each shard is computed by one process."""
    found = []
    with progress.task(title, images.n) as bar:
        for part in dealt(shards_of(images.n), make):
            found.append(part)
            bar.advance(len(part))
    return torch.cat(found)


OF_MODELS: dict[str, Callable[[Checkpoint, ImageInput, torch.device, int, Progress], dict[str, float]]] = {
    "recon": reconstruction_numbers,
    "roundtrip": round_trip_numbers,
    "bpd": likelihood_numbers,
}
"""Metrics of a model and real images: (model, images, device, seed, progress) → numbers."""
