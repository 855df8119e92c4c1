"""Images that a checkpoint makes when they are asked for, in the place of images that were written first."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import torch

from genrev_cli.stages.checkpoints import Checkpoint
from genrev_cli.stages.image_inputs import ImageInput
from genrev_cli.stages.sample import decode_samples

DEFAULT_N = 10_000

_BATCH = 64


def generated_images(model: Checkpoint, n: int, seed: int, temperature: float, device: torch.device) -> ImageInput:
    """Samples 0 … n − 1 of a checkpoint (n = 0: 10,000), the ones that `genrev sample` would write: image i depends on (seed, i) alone.

    Reading raises DivergedError when an image is not finite.
    """

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        for begin in range(start - start % _BATCH, stop, _BATCH):  # whole batches, so that no image depends on where reading starts
            with torch.no_grad():
                pixels = decode_samples(model, seed, range(begin, begin + _BATCH), device, temperature)
            yield pixels[max(start - begin, 0) : stop - begin].cpu().numpy()

    count = n or DEFAULT_N
    selection = {"n": count, "seed": seed, "temperature": temperature}

    def digest(start: int, stop: int) -> str:
        network = [model.header.sha256, model.header.config["model"], model.header.config["prior"]]  # equal weights do not make it equal
        parts = [*network, device.type, seed, temperature, start, stop]  # there are no pixels before they are made
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    shape = tuple(model.autoencoder.image_shape)
    return ImageInput(model.path, count, {shape: count}, model.header, selection, digest, read)
