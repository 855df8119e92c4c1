"""Draw the samples of a checkpoint on demand, without writing them to a file first."""

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
    """Return samples 0 … n − 1 of a checkpoint (n = 0: 10,000). They equal those of `genrev sample`: sample i depends only on `draw` and i.

    Reading raises DivergedError if an image is not finite.
    """

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        begins = range(start - start % _BATCH, stop, _BATCH)  # whole batches, so that an image does not depend on where reading starts
        blocks = [range(begin, begin + _BATCH) for begin in begins]
        drawing = Drawing(model.prior, draw, device, blocks)
        for numbers in blocks:
            with torch.no_grad():
                pixels = decode_samples(model, drawing, numbers)
            yield pixels[max(start - numbers.start, 0) : stop - numbers.start].cpu().numpy()

    count = n or DEFAULT_N
    selection = {"n": count, **vars(draw), "sampler": model.drawn_from}

    def digest(start: int, stop: int) -> str:
        network = [
            model.header.sha256,
            model.header.config["model"],
            model.header.config["prior"],
        ]  # equal weights in another network give other images
        sampler = [model.sampler[1].sha256, model.sampler[1].config["sampler"]] if model.sampler else []
        parts = [
            *network,
            *sampler,
            device.type,
            *vars(draw).values(),
            start,
            stop,
        ]  # the pixels do not exist yet, so the digest is of what decides them
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    shape = model.autoencoder.image_shape
    return ImageInput(model.path, count, {shape: count}, model.header, selection=selection, digest=digest, read=read)
