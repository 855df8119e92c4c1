"""What `fid` compares: samples and reference, opened, held against each other, and turned into features or statistics."""

from pathlib import Path
from typing import Any

import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.statistics import has_statistics
from genrev_cli.metrics.features import Extractor
from genrev_cli.metrics.torchscript import ScriptedNetwork
from genrev_cli.metrics.weights import find_inception_weights, load_inception_weights
from genrev_cli.progress import Progress
from genrev_cli.scoring.extractors import EFFECT_IMAGES, bf16_effect, open_extractor
from genrev_cli.scoring.features import FeatureSet, features_of
from genrev_cli.scoring.generated import generated_images
from genrev_cli.scoring.images import ImageInput, open_image_input, require_one_size, shown_shape
from genrev_cli.scoring.metrics import Pair
from genrev_cli.scoring.protocols import protocol_statistics
from genrev_cli.scoring.references import Reference
from genrev_cli.scoring.statistics import SAID, StatisticsFile, open_statistics, short, write_features_statistics
from genrev_cli.settings.features import CLASSIFIER_SUFFIX, FEATURES, FeatureOptions
from genrev_cli.settings.fid import FidOptions
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.classifiers import load_classifier

Records = dict[str, dict[str, Any]]
"""Role → how a header records that input."""


def open_pair(
    samples: Path | None, options: FidOptions, model: Checkpoint | None, reference: Reference, device: torch.device, progress: Progress
) -> tuple[Pair, Records, dict[str, Any]]:
    """Both sides, their records, and what is to be said of the features' precision.

    samples: None where `model` is to make them. Raises UsageError or FileError where the two do not go together.
    """
    ours = _open_samples(samples, options, model, device, progress)
    images = ours if isinstance(ours, ImageInput) else None
    shape = images.image_shape if images else reference.image_shape
    if shape is None:
        return _by_files(ours, reference.statistics, options, progress)
    extractor = open_extractor(options.features, shape, device)
    _check_sizes(images, reference.images, extractor, progress)
    if images:
        _say_compression(images, reference.images, progress)
        left = features_of(images, extractor, progress, "samples", cache=options.cache)
    else:
        ours.require(extractor.identity, extractor.label, progress.note)
        left = ours
    right, record = _reference_side(reference, extractor, options, device, progress)
    if options.needs_rows:  # held before a metric takes the statistics, so that no feature is made twice
        left.rows(), right.rows()
    effect = _effect(options, device, images, reference.images, progress)
    records = {"samples": ours.record(), "ref": record}
    if samples is None and model.sampler:
        records["sampler"] = model.inputs["sampler"]
    if options.save_stats:
        write_features_statistics(options.save_stats, left, extractor, {"images": records["samples"]}, {}, str(device))
    return Pair(left, right, extractor.label, extractor.kernel_label, extractor.identity), records, effect


def _open_samples(
    samples: Path | None, options: FidOptions, model: Checkpoint | None, device: torch.device, progress: Progress
) -> ImageInput | StatisticsFile:
    if samples is None:
        return generated_images(model, options.n, options.draw, device)
    needs_images = options.needs_rows or options.n or options.save_stats
    if not needs_images and samples.suffix.lower() == ".npz" and has_statistics(samples):
        return open_statistics(samples)
    return open_image_input(samples, "all", options.n, progress, mixed=True)


def _by_files(
    ours: StatisticsFile, theirs: StatisticsFile, options: FidOptions, progress: Progress
) -> tuple[Pair, Records, dict[str, Any]]:
    """Two files of statistics need no extractor; what they are of stands in their headers, if anywhere."""
    told = next((file for file in (ours, theirs) if file.header), None)
    if told is None:
        if options.features != FeatureOptions():
            raise UsageError(
                f"{ours.path} and {theirs.path} are statistics that don't say of which features: "
                "--features, --profile, --weights and --precision have no meaning for them; leave them out"
            )
        unknown = dict.fromkeys(("extractor", "profile", "layer", "weights_sha256", "precision"), "")
        known = {"metric": "FD-unknown", "kernel_metric": "KD-unknown", "identity": unknown | {"extractor": "unknown", "dims": ours.dims}}
    else:
        known = told.header.config
        _require_asked(known["identity"], options.features, told.path)
    for file in (ours, theirs):
        file.require(known["identity"], known["metric"], progress.note)
    pair = Pair(ours, theirs, known["metric"], known["kernel_metric"], known["identity"])
    return pair, {"samples": ours.record(), "ref": theirs.record()}, {}


def _require_asked(identity: dict[str, Any], asked: FeatureOptions, path: Path) -> None:
    """Raises FileError where the options ask for other features than a file of statistics is of, or name a file that will not do."""
    kind = asked.features if asked.features in FEATURES else "classifier" if asked.suffix == CLASSIFIER_SUFFIX else "torchscript"
    wanted = {"extractor": kind} | ({"profile": asked.profile, "precision": asked.precision} if kind == "inception" else {})
    weights = _asked_weights(asked, kind)
    if weights:
        wanted["weights_sha256"] = weights
    for name, value in wanted.items():
        if identity.get(name) != value:
            said = f"{SAID.get(name, name)} '{short(identity.get(name))}', not of '{short(value)}'"
            raise FileError(f"{path}: is of {said}, which is asked for; ask for what it is of")


def _asked_weights(asked: FeatureOptions, kind: str) -> str:
    """sha256 of the weights that the options name; '' where they name none. Raises FileError where these cannot be used."""
    if asked.weights:
        return load_inception_weights(find_inception_weights(asked.weights))[1]
    if kind == "classifier":
        return load_classifier(Path(asked.features), torch.device("cpu"))[1].sha256
    return ScriptedNetwork(Path(asked.features)).sha256 if kind == "torchscript" else ""


def _check_sizes(samples: ImageInput | None, reference: ImageInput | None, extractor: Extractor, progress: Progress) -> None:
    """Note or, where the extractor cannot take them, refuse images of several sizes."""
    sides = [side for side in (samples, reference) if side]
    for side in sides:
        if not extractor.any_size:
            require_one_size(side)
        elif len(side.sizes) > 1:
            progress.note(f"{side.path}: images of several sizes, width×height: {side.shown_sizes()}; each is resized by itself")
    if len(sides) < 2 or samples.image_shape == reference.image_shape:
        return
    found = f"images are {shown_shape(samples.image_shape)}, those of {reference.path} {shown_shape(reference.image_shape)}"
    if not extractor.any_size:
        raise UsageError(f"{samples.path}: {found}, and {extractor.name} features cannot compare them; resize one of the two")
    if len(samples.sizes) == len(reference.sizes) == 1 and samples.image_shape[1:] != reference.image_shape[1:]:
        progress.note(f"{samples.path}: {found}; a difference of resolution counts as a difference of images")


def _say_compression(samples: ImageInput, reference: ImageInput | None, progress: Progress) -> None:
    if reference and samples.lossy != reference.lossy:
        lossy, other = (samples, reference) if samples.lossy else (reference, samples)
        progress.note(f"{lossy.path}: has JPEG files, {other.path} has none; the compression alone makes a distance")


def _reference_side(
    reference: Reference, extractor: Extractor, options: FidOptions, device: torch.device, progress: Progress
) -> tuple[FeatureSet | StatisticsFile, dict[str, Any]]:
    if reference.statistics:
        found = reference.statistics
        found.require(extractor.identity, extractor.label, progress.note)
    elif reference.protocol and not options.needs_rows:
        found = protocol_statistics(
            reference.protocol, reference.images, extractor,
            build=options.build_ref, device=device, cache=options.cache, progress=progress,
        )  # fmt: skip
    else:
        return features_of(reference.images, extractor, progress, "reference", cache=options.cache), reference.images.record()
    return found, found.record()


def _effect(
    options: FidOptions, device: torch.device, samples: ImageInput | None, reference: ImageInput | None, progress: Progress
) -> dict[str, Any]:
    if options.features.precision != "bf16":
        return {}
    if not (samples and reference):
        progress.note("--precision bf16: its effect cannot be estimated from statistics; give the images, or use fp32 where it matters")
        return {}
    first = [list(side.blocks(0, EFFECT_IMAGES)) for side in (samples, reference)]
    effect = bf16_effect(options.features, device, *first)
    ours, theirs = (sum(map(len, blocks)) for blocks in first)
    progress.note(f"bf16 changes the distance of the first {ours} samples and {theirs} images of the reference by {effect:.3g}")
    return {"bf16_effect": effect}
