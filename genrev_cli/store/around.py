"""Samples like an image: codes around its code, in its own full latent (`sample --like`)."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from genrev_cli.data.photos import find_photos, has_many
from genrev_cli.errors import UsageError
from genrev_cli.latents import Prior
from genrev_cli.progress import Progress
from genrev_cli.settings.common import Taking
from genrev_cli.shapes import Codes, Latents, to_float
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.coding import encoded
from genrev_cli.store.preparation import fitting_of, note_fitting


@final
@dataclass(frozen=True)
class Around:
    """The surroundings of an image in the latent. z: (1, D), its full latent. spread: s in [0, 1].

    With the code y₀ of the image and a code y of the prior, whose mean is μ:

        y' = μ + √(1 − s²) · (y₀ − μ) + s · (y − μ),        z' = z with y' on the active dimensions

    For s = 0 this is the image itself; for s = 1 the active dimensions are those of a sample of the prior, and only the others are the
    image's. If y₀ and y are independent draws of a Gaussian prior, so is y': the samples are as typical as those of the prior. Of a uniform
    prior only mean and variance are kept: y' may leave ±b, by a factor of √2 at most.
    """

    z: Latents
    spread: float

    def latents(self, prior: Prior, codes: Codes, mean: Codes) -> Latents:
        """Return the latents (n, D) that belong to codes y (n, d) of the prior; mean: μ, (n, d) or (1, d)."""
        y, s = prior.select(self.z), self.spread
        moved = (math.sqrt(1 - s * s) - 1) * (y - mean) + s * (codes - mean)
        return self.z + prior.embed(moved)


def around_picture(
    model: Checkpoint, path: Path, spread: float, taking: Taking, *, device: torch.device, progress: Progress
) -> tuple[Around, dict[str, Any]]:
    """Return the surroundings of a picture of any size, and its record among the inputs of a file.

    Raises UsageError for a folder or an archive, FileError for an unusable file.
    """
    if has_many(path):
        raise UsageError(f"--like {path}: is a folder or an archive, but a single picture is needed here")
    photos, fitting = find_photos([path]), fitting_of(model, progress, taking)
    note_fitting(model, photos, fitting, progress)
    x = to_float(torch.from_numpy(photos.read(fitting)).to(device))
    return Around(encoded(model, x, full=True), spread), photos.record(fitting)
