"""How pictures become the images of a checkpoint: by the preparation of the data that it was trained on, from its header."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genrev_cli.data.photos import Fitting, Photos
from genrev_cli.data.transform import Transform, from_table
from genrev_cli.progress import Progress
from genrev_cli.settings.common import Taking
from genrev_cli.shapes import to_float
from genrev_cli.store.checkpoints import Checkpoint

DARK, LIGHT = 0.4, 0.6
"""A border below, or above, is a dark, or a light, background; ours."""


def fitting_of(model: Checkpoint, progress: Progress, taking: Taking | None = None) -> Fitting:
    """Return what turns a picture into an image of a checkpoint; a note tells where its header does not say how its data was prepared."""
    shape, as_is, invert = model.autoencoder.image_shape, bool(taking and taking.as_is), bool(taking and taking.invert)
    tables = (data.get("preparation") for data in data_tables(model.header.inputs))
    recorded = next(filter(None, map(from_table, tables)), None)
    fitting = Fitting(recorded or Transform(channels=shape[0], size=shape[:0:-1]), shape, as_is, invert)
    if recorded is None and not as_is:
        progress.note(f"{model.path}: does not say how its images were prepared; for pictures it is taken to be: {fitting.general}")
    return fitting


def data_tables(inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the header's config of the data of a checkpoint, then those of the data of the checkpoints that it was trained from."""
    if "data" in inputs:
        yield inputs["data"].get("config", {})
    if "ckpt" in inputs:
        yield from data_tables(inputs["ckpt"].get("inputs", {}))


def note_fitting(model: Checkpoint, photos: Photos, fitting: Fitting, progress: Progress) -> None:
    """Tell how pictures become images, and if the first one looks like a negative of the model's images.

    Raises FileError if the first picture is unusable.
    """
    what = "1 picture is" if len(photos) == 1 else f"{len(photos)} pictures are"
    done = [] if fitting.as_is else [f"prepared as the images of the training were: {fitting.general}"]
    if done or fitting.invert:
        progress.note(f"{what} {'; '.join([*done, *(['inverted'] if fitting.invert else [])])}")
    gray = model.autoencoder.image_shape[0] == 1
    if gray and (found := negative(model, photos.read(fitting, 0, 1)[0])):
        cure = "leave --invert out" if fitting.invert else "pass --invert to turn black and white around"
        progress.note(f"{photos.names[0]} is {found}; {cure}")


@torch.no_grad()
def negative(model: Checkpoint, image: np.ndarray) -> str:
    """Return how background and ink of an image (C, H, W) uint8 differ from those of the model's images; '' if they do not, or in colour.

    The background is the border. That of the model's images is taken from the image of the mean code of the prior.
    """
    if image.shape[0] != 1:
        return ""
    prior = model.own_prior
    own = _border(model.autoencoder.decode(prior.embed(prior.moments()[0][None]))[0])
    theirs = _border(to_float(torch.from_numpy(image)))
    if min(own, theirs) > DARK or max(own, theirs) < LIGHT:
        return ""
    words = ("dark on light", "light on dark")
    found, wanted = words if theirs > own else reversed(words)
    return f"{found}, but the images of this model are {wanted}"


def _border(image: Tensor) -> float:
    """Return the median of the pixels at the four sides of an image (1, H, W)."""
    sides = (image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1])
    return torch.cat([side.flatten() for side in sides]).median().item()
