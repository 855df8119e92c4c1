"""How long a small network trains on two CPU cores: multiply-accumulates of its layers, and seconds per step that were measured.

MACS has a function for each network that 'small' uses. The rates are CPU seconds of one core of an AMD EPYC 9V74 (AVX-512, torch 2.14,
one thread), fitted to steps of the rules' own small networks at 8×8, 28×28, 32×32 and 64×64 pixels; two threads take about 0.86
of that: with it the plans of the reversible network were met to 11 % at 3×64×64 and 1×28×28 (docs/results.md).
"""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod
from typing import Any

from genrev_cli.recipes.rules.rule import FULL, Facts, Reasoned, two_digits, unreasoned
from genrev_cli.recipes.words import span

Shape = tuple[int, int, int]

MOST_PASSES = 500

TWO_CORES = 0.86
"""Seconds that two threads take for what one does in a second."""


def _revnet(shape: Shape, model: dict[str, Any]) -> float:
    """Two k×k convolutions for each of the two branches of a block."""
    stream, (_, height, width), total = 2 * shape[0], shape, 0.0
    for depth, scale in enumerate(model["scales"], 1):
        pixels = ceil(height / 2**depth) * ceil(width / 2**depth)
        total += scale["blocks"] * 4 * stream * scale["hidden"] * scale["kernel"] ** 2 * pixels
        stream *= 4
    return total


def _inn(shape: Shape, model: dict[str, Any]) -> float:
    """Two 3×3 convolutions and a 1×1 for each branch of a coupling, and the dense coupling."""
    stream, (_, height, width), total = 2 * shape[0], shape, 0.0
    for depth, level in enumerate(model["levels"], 1):
        pixels, h = ceil(height / 2**depth) * ceil(width / 2**depth), level["hidden"]
        total += level["couplings"] * 2 * (9 * stream * h + 9 * h * h + 2 * stream * h) * pixels
        stream *= 4
    return total + 4 * prod(shape) * model["hidden_dense"]


def _dense(shape: Shape, model: dict[str, Any]) -> float:
    return 2 * sum(a * b for a, b in pairwise([prod(shape), *model["hidden"]]))


def _strides(shape: Shape, channels: list[int], kernel: int) -> float:
    """k×k convolutions of stride 2, and their mirror."""
    (inputs, height, width), total = shape, 0.0
    for outputs in channels:
        height, width = ceil(height / 2), ceil(width / 2)
        total += 2 * inputs * outputs * kernel**2 * height * width
        inputs = outputs
    return total


def _convolutional(shape: Shape, model: dict[str, Any]) -> float:
    return _strides(shape, [stage["channels"] for stage in model["stages"]], model["stages"][0]["kernel"])


def _strided(shape: Shape, model: dict[str, Any]) -> float:
    return _strides(shape, model["channels"], model.get("kernel", 5))


def _dcgan(shape: Shape, model: dict[str, Any]) -> float:
    return _strides(shape, [model["width"] << i for i in range(model["stages"])], 5)


def _infogan(shape: Shape, model: dict[str, Any]) -> float:
    w, size = model["width"], prod(shape[1:]) // 16
    return _strides(shape, [w, 2 * w], 4) + 2 * 2 * w * size * 16 * w


def _wgan_resnet(shape: Shape, model: dict[str, Any]) -> float:
    """Two 3×3 convolutions for each block, at its larger size, in the generator and in its mirror."""
    pixels, total = float(prod(shape[1:])), 0.0
    for a, b in pairwise(model["channels"][::-1]):
        total += 2 * 9 * (a * a + a * b) * pixels
        pixels /= 4
    return total


def _classifier(shape: Shape, model: dict[str, Any]) -> float:
    w, (channels, height, width) = model["width"], shape
    total, out = 9.0 * channels * w * height * width, w
    while min(height, width) > 4:
        height, width, wider = ceil(height / 2), ceil(width / 2), min(2 * out, 4 * w)
        total, out = total + 9 * out * wider * height * width, wider
    return total


MACS = {
    "revnet": _revnet,
    "inn": _inn,
    "dense": _dense,
    "convolutional": _convolutional,
    "strided": _strided,
    "dcgan": _dcgan,
    "infogan": _infogan,
    "wgan-resnet": _wgan_resnet,
    "classifier": _classifier,
}
"""Name of a network → (image shape, [model]) → multiply-accumulates of encoding and decoding an image (of bijections: of one of both)."""


@dataclass(frozen=True)
class Pace:
    """How fast one core makes the steps of a method: `overhead` seconds per step, and `rate` per 10⁹ multiply-accumulates."""

    overhead: float
    rate: float

    def seconds(self, shape: Shape, model: dict[str, Any], batch: int) -> float:
        """Return the CPU seconds of a step. model: plain values."""
        return self.overhead + self.rate * batch * MACS[model["name"]](shape, model) / 1e9


def planned_steps(facts: Facts, model: dict[str, Any], batch: int, *, pace: Pace, minutes: float, full: int) -> Reasoned:
    """Return the number of steps, and why.

    base, large: `full` at 50,000 images and in proportion to √n, since more images need more steps, but each image fewer; at least full/5,
    at most 10·full. 500 passes over the images at most, as in An et al. 2020, because more would learn few images by heart. Ours: each of
    the papers trains one data set. small: as many of these as two CPU cores make in so many minutes, at least 300.
    """
    least = full // 5
    wanted = min(max(full * (facts.images / FULL) ** 0.5, least), 10 * full, max(MOST_PASSES * facts.images / batch, 300))
    seconds = TWO_CORES * pace.seconds(facts.shape, unreasoned(model), batch)
    if not facts.small:
        time = f"{span(seconds * wanted / 3600)} on two CPU cores"
        return Reasoned(two_digits(wanted), f"{full:,}·(n / 50,000)^½, at least {least:,}, at most {MOST_PASSES} passes; about {time}")
    affordable = max(60 * minutes / seconds, 300)
    if affordable >= wanted:
        return Reasoned(two_digits(wanted), "as in the rule's size base")
    return Reasoned(two_digits(affordable), f"about {minutes:g} minutes on two CPU cores")
