"""Images that a checkpoint makes when they are asked for, in the place of images that were written first."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import torch

from genrev_cli.scoring.images import ImageInput
from genrev_cli.settings.sampling import Draw
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.drawing import Drawing, decode_samples

DEFAULT_N = 10_000

_BATCH = 64


def generated_images(model: Checkpoint, n: int, draw: Draw, device: torch.device) -> ImageInput:
    """Samples 0 … n − 1 of a checkpoint (n = 0: 10,000), the ones that `genrev sample` would write: image i depends on
    what is drawn and on i alone.

    Reading raises DivergedError when an image is not finite.
    """

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        begins = range(start - start % _BATCH, stop, _BATCH)  # whole batches, so that no image depends on where reading starts
        blocks = [range(begin, begin + _BATCH) for begin in begins]
        drawing = Drawing(model.prior, draw, device, blocks)
        for numbers in blocks:
            with torch.no_grad():
                pixels = decode_samples(model, drawing, numbers)
            yield pixels[max(start - numbers.start, 0) : stop - numbers.start].cpu().numpy()

    count = n or DEFAULT_N
    selection = {"n": count, **vars(draw), "sampler": model.drawn_from}

    def digest(start: int, stop: int) -> str:
        network = [model.header.sha256, model.header.config["model"], model.header.config["prior"]]  # equal weights do not make it equal
        sampler = [model.sampler[1].sha256, model.sampler[1].config["sampler"]] if model.sampler else []
        parts = [*network, *sampler, device.type, *vars(draw).values(), start, stop]  # there are no pixels before they are made
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    shape = tuple(model.autoencoder.image_shape)
    return ImageInput(model.path, count, {shape: count}, model.header, selection, digest, read)
