"""The metrics: from two sets of features, or from a model and images, to named numbers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.latents import DiagonalGaussian
from genrev_cli.methods.likelihood import bits_of_images, noise, require_density
from genrev_cli.metrics.reconstruction import l1, psnr, ssim
from genrev_cli.models import Bijection
from genrev_cli.plugins import HINT, register
from genrev_cli.progress import Progress
from genrev_cli.scoring.comparisons import (
    Numbers,
    Pair,
    class_numbers,
    embedding_numbers,
    frechet_numbers,
    kernel_numbers,
    memorisation_numbers,
    neighbour_numbers,
    sliced_numbers,
)
from genrev_cli.scoring.features import Rows, shards_of
from genrev_cli.scoring.images import ImageInput
from genrev_cli.seeds import derive
from genrev_cli.shapes import to_float
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.training.distributed import dealt

COMPARISONS: dict[str, Callable[[Pair, int, Progress], Numbers]] = {
    "fid": frechet_numbers,
    "kid": kernel_numbers,
    "prdc": neighbour_numbers,
    "mind": sliced_numbers,
    "is": class_numbers,
    "cmmd": embedding_numbers,
    "authpct": memorisation_numbers,
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
    """Return the mean L1, PSNR (dB) and SSIM between images x and decode(restrict(encode(x))), clipped to [0, 1] as pictures are.

    Raises DivergedError if a reconstruction is not finite.
    """

    def compared(rows: Rows) -> Tensor:
        found = []
        for pixels in images.blocks(*rows):
            x = to_float(torch.from_numpy(pixels).to(device))
            y = model.autoencoder.decode(model.own_prior.restrict(model.autoencoder.encode(x))).clamp(0, 1)
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
