"""Open the feature extractor that --features, --profile, --weights and --precision name."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.metrics.features import ClassLayer, Extractor, InceptionExtractor, NetworkExtractor, PixelExtractor
from genrev_cli.metrics.frechet import Moments, Statistics, frechet_distance
from genrev_cli.metrics.torchscript import ScriptedNetwork
from genrev_cli.metrics.transformer_weights import find_transformer_weights, load_transformer_weights
from genrev_cli.metrics.transformers import CLIP, DINOV2, VisionTransformer
from genrev_cli.metrics.weights import find_inception_weights, load_inception_weights
from genrev_cli.settings.features import CLASSIFIER_SUFFIX, TRANSFORMERS, FeatureOptions
from genrev_cli.shapes import to_float
from genrev_cli.store.classifiers import load_classifier

EFFECT_IMAGES = 256
"""Number of images per side used to estimate the effect of bf16."""

_TRANSFORMERS = {"dinov2": ("DINOv2", DINOV2, (1024, 24, 14, 224)), "clip": ("CLIP", CLIP, (1024, 24, 14, 336))}
"""Features → name, family, and the size that papers use: width, blocks, patch, side. Other sizes are named in the label."""

_PROBE_SIZE = (64, 64)  # used when the images have several sizes
_CLASSIFIER_BATCH = 64  # larger than Inception's: the network and its images are small, so a small batch would mostly wait for calls


def open_extractor(options: FeatureOptions, image_shape: tuple[int, int, int] | None, device: torch.device) -> Extractor:
    """Return the extractor that the options name, for images of `image_shape`; None means that they have several shapes.

    Raises UsageError if it cannot take such images, FileError for an unusable file, UnavailableError without Inception's weights.
    """
    if options.features == "inception":
        return _inception(options, device, options.precision)[0]
    if options.features == "pixel":
        if image_shape is None:
            raise UsageError("--features pixel: the images have several sizes; resize them to one")
        return PixelExtractor(image_shape)
    if options.features in TRANSFORMERS:
        return _transformer(options, device)
    if options.suffix == CLASSIFIER_SUFFIX:
        return _classifier(Path(options.features), image_shape, device)
    return _torchscript(Path(options.features), image_shape, device)


def bf16_effect(
    options: FeatureOptions, device: torch.device, samples_pixels: Sequence[np.ndarray], reference_pixels: Sequence[np.ndarray]
) -> float:
    """Return |FD in bf16 − FD in fp32| between the first 256 images of each side, given as blocks (k, C, H, W) uint8.

    It estimates how much bf16 changes the FID of all images. It is not a bound, because FD depends on the number of images.
    Raises UsageError if a side has fewer than 2 images, and what `open_extractor` raises.
    """
    exact, fast = (
        frechet_distance(*(_statistics(extractor, side) for side in (samples_pixels, reference_pixels)))
        for extractor in _inception(options, device, "fp32", "bf16")
    )
    return abs(fast - exact)


def _statistics(extractor: Extractor, blocks: Sequence[np.ndarray]) -> Statistics:
    moments, left = Moments(extractor.dims), EFFECT_IMAGES
    for block in blocks:
        if left <= 0:
            break
        moments.add(extractor(torch.from_numpy(block[:left])))
        left -= len(block)
    return moments.statistics()


def _inception(options: FeatureOptions, device: torch.device, *precisions: str) -> list[InceptionExtractor]:
    state, sha256 = load_inception_weights(find_inception_weights(options.weights))
    return [
        InceptionExtractor(state, weights_sha256=sha256, profile=options.profile, precision=precision, device=device)
        for precision in precisions
    ]


def _torchscript(path: Path, image_shape: tuple[int, int, int] | None, device: torch.device) -> Extractor:
    network = ScriptedNetwork(path, device)
    return NetworkExtractor(
        network,
        name="torchscript",
        label=f"FD-{path.stem}",
        kernel_label=f"KD-{path.stem}",
        dims=network.dims(*(image_shape[1:] if image_shape else _PROBE_SIZE)),
        layer=network.layer,
        weights_sha256=network.sha256,
        device=device,
        batch=8 if device.type == "cpu" else 64,
    )


def _transformer(options: FeatureOptions, device: torch.device) -> Extractor:
    path = find_transformer_weights(options.features, options.weights)
    state, sha256 = load_transformer_weights(path)
    name, family, usual = _TRANSFORMERS[options.features]
    try:
        network = VisionTransformer(state, family, device)
    except FileError as error:
        raise FileError(f"{path}: {error}; give the weights of {name}, sizes S, B or L, as the Hugging Face hub has them") from error
    found = (network.width, network.depth, network.patch, network.side)
    remark = "" if found == usual else f" (width {found[0]}, {found[1]} blocks, {found[3]}×{found[3]})"
    return NetworkExtractor(
        network,
        name=options.features,
        label=f"FD-{name}{remark}",
        kernel_label=f"KD-{name}{remark}",
        dims=network.dims,
        layer="class token" if options.features == "dinov2" else "image embedding",
        weights_sha256=sha256,
        device=device,
        batch=8 if device.type == "cpu" else 64,
    )


def _classifier(path: Path, image_shape: tuple[int, int, int] | None, device: torch.device) -> Extractor:
    classifier, header = load_classifier(path, device)
    if image_shape != classifier.image_shape:
        found = "of several sizes" if image_shape is None else _shape(image_shape)
        raise FileError(
            f"{path}: was trained on images of {_shape(classifier.image_shape)}, but these are {found}; resize them, "
            "or run 'genrev fit-features' on data of their shape"
        )
    return NetworkExtractor(
        lambda pixels: classifier.features(to_float(pixels)),
        name="classifier",
        label="FD-classifier",
        kernel_label="KD-classifier",
        dims=classifier.dims,
        layer="penultimate",
        weights_sha256=header.sha256,
        image_shape=classifier.image_shape,
        device=device,
        batch=_CLASSIFIER_BATCH,
        classes=ClassLayer("CS-classifier", *(tensor.detach().cpu().double() for tensor in (classifier.head.weight, classifier.head.bias))),
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in shape)
