"""Open samples and reference, check that they can be compared, and turn them into features or statistics."""

from pathlib import Path
from typing import Any

import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.statistics import has_statistics
from genrev_cli.metrics.features import Extractor
from genrev_cli.metrics.torchscript import ScriptedNetwork
from genrev_cli.metrics.transformer_weights import find_transformer_weights, weights_digest
from genrev_cli.metrics.weights import find_inception_weights, load_inception_weights
from genrev_cli.progress import Progress
from genrev_cli.scoring.comparisons import Pair
from genrev_cli.scoring.extractors import EFFECT_IMAGES, bf16_effect, open_extractor
from genrev_cli.scoring.features import FeatureSet, features_of
from genrev_cli.scoring.generated import generated_images
from genrev_cli.scoring.images import ImageInput, open_image_input, require_one_size, shown_shape
from genrev_cli.scoring.prepared_files import fitting_of_reference, prepared_images
from genrev_cli.scoring.protocols import protocol_statistics
from genrev_cli.scoring.references import Reference
from genrev_cli.scoring.statistics import SAID, StatisticsFile, open_statistics, short, write_features_statistics
from genrev_cli.scoring.training_images import open_training
from genrev_cli.settings.features import CLASSIFIER_SUFFIX, FEATURES, TRANSFORMERS, FeatureOptions
from genrev_cli.settings.fid import MEMORISATION, FidOptions
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.classifiers import load_classifier

Records = dict[str, dict[str, Any]]
"""Role of an input → its entry in a header."""


def open_pair(
    samples: Path | None, options: FidOptions, model: Checkpoint | None, reference: Reference, *, device: torch.device, progress: Progress
) -> tuple[Pair, Records, dict[str, Any]]:
    """Return both sides, their records, and further conditions: the effect of bf16 and the samples' preparation, if there are any.

    samples: None to draw them from `model`. Raises UsageError or FileError if the two sides cannot be compared.
    """
    ours = _open_samples(samples, options, model, reference, device=device, progress=progress)
    images = ours if isinstance(ours, ImageInput) else None
    shape = images.image_shape if images else reference.image_shape
    if shape is None:
        assert isinstance(ours, StatisticsFile)
        assert reference.statistics
        return _by_files(ours, reference.statistics, options, progress)
    extractor = open_extractor(options.features, shape, device)
    _check_sizes(images, reference.images, extractor, progress)
    left: FeatureSet | StatisticsFile
    if isinstance(ours, ImageInput):
        _note_compression(ours, reference.images, progress)
        left = features_of(ours, extractor, progress, "samples", cache=options.cache)
    else:
        ours.require(extractor.identity, extractor.label, progress.note)
        left = ours
    right, record = _reference_side(reference, extractor, options, device, progress=progress)
    if options.needs_rows:  # before a metric computes statistics, so that no feature is computed twice
        left.rows()
    if options.needs_reference_rows:
        right.rows()
    conditions = _effect(options, device, images, reference.images, progress=progress)
    if options.prepare:
        conditions["prepared"] = str(fitting_of_reference(reference.images, options.ref).general)
    records = {"samples": ours.record(), "ref": record}
    if samples is None and model and model.sampler:
        records["sampler"] = model.inputs["sampler"]
    if options.save_stats:
        assert isinstance(left, FeatureSet)  # `_open_samples` opens images for it
        write_features_statistics(options.save_stats, left, extractor, {"images": records["samples"]}, config={}, device=str(device))
    training = None
    if MEMORISATION in options.metrics:
        assert reference.images  # `options.needs_images`
        assert isinstance(right, FeatureSet)
        training = open_training(reference.images, right, extractor, model=model, options=options, progress=progress)
    named = (extractor.label, extractor.kernel_label)
    pair = Pair(left, right, *named, identity=extractor.identity, training=training, classes=extractor.classes)
    return pair, records, conditions


def _open_samples(
    samples: Path | None, options: FidOptions, model: Checkpoint | None, reference: Reference, *, device: torch.device, progress: Progress
) -> ImageInput | StatisticsFile:
    if samples is None:
        assert model  # `_require_one_source`
        return generated_images(model, options.n, options.draw, device)
    if options.prepare:
        return prepared_images(samples, fitting_of_reference(reference.images, options.ref), options.n, progress)
    needs_images = options.needs_rows or options.n or options.save_stats
    if not needs_images and samples.suffix.lower() == ".npz" and has_statistics(samples):
        return open_statistics(samples)
    return open_image_input(samples, "all", options.n, progress, mixed=True)


def _by_files(
    ours: StatisticsFile, theirs: StatisticsFile, options: FidOptions, progress: Progress
) -> tuple[Pair, Records, dict[str, Any]]:
    """Compare two files of statistics. This needs no extractor: a header, if there is one, describes the features."""
    described = next(((file.path, file.header) for file in (ours, theirs) if file.header), None)
    if described is None:
        if options.features != FeatureOptions():
            raise UsageError(
                f"{ours.path} and {theirs.path} are statistics that don't say which features they are of; "
                "leave out --features, --profile, --weights and --precision"
            )
        unknown = dict.fromkeys(("extractor", "profile", "layer", "weights_sha256", "precision"), "")
        identity = {**unknown, "extractor": "unknown", "dims": ours.dims}
        known: dict[str, Any] = {"metric": "FD-unknown", "kernel_metric": "KD-unknown", "identity": identity}
    else:
        path, header = described
        known = header.config
        _require_asked(known["identity"], options.features, path)
    for file in (ours, theirs):
        file.require(known["identity"], known["metric"], progress.note)
    pair = Pair(ours, theirs, known["metric"], known["kernel_metric"], identity=known["identity"])
    return pair, {"samples": ours.record(), "ref": theirs.record()}, {}


def _require_asked(identity: dict[str, Any], asked: FeatureOptions, path: Path) -> None:
    """Raise FileError if the options ask for other features than those of a file of statistics, or name an unusable file."""
    kind = asked.features if asked.features in FEATURES else "classifier" if asked.suffix == CLASSIFIER_SUFFIX else "torchscript"
    wanted = {"extractor": kind} | ({"profile": asked.profile, "precision": asked.precision} if kind == "inception" else {})
    weights = _asked_weights(asked, kind)
    if weights:
        wanted["weights_sha256"] = weights
    for name, value in wanted.items():
        if identity.get(name) != value:
            found = f"{SAID.get(name, name)} '{short(identity.get(name))}', but the options ask for '{short(value)}'"
            raise FileError(f"{path}: was computed with {found}; pass the --features, --profile, --weights and --precision that made it")


def _asked_weights(asked: FeatureOptions, kind: str) -> str:
    """Return the sha256 of the weights that the options name, '' if none. Raises FileError if they cannot be used."""
    if asked.weights and kind in TRANSFORMERS:
        return weights_digest(find_transformer_weights(kind, asked.weights))
    if asked.weights:
        return load_inception_weights(find_inception_weights(asked.weights))[1]
    if kind == "classifier":
        return load_classifier(Path(asked.features), torch.device("cpu"))[1].sha256
    return ScriptedNetwork(Path(asked.features)).sha256 if kind == "torchscript" else ""


def _check_sizes(samples: ImageInput | None, reference: ImageInput | None, extractor: Extractor, progress: Progress) -> None:
    """Note images of several sizes. Raise UsageError if the extractor cannot take them."""
    sides = [side for side in (samples, reference) if side]
    for side in sides:
        if not extractor.any_size:
            require_one_size(side)
        elif len(side.sizes) > 1:
            progress.note(f"{side.path}: images have several sizes, width×height: {side.shown_sizes()}; each is resized on its own")
    if samples is None or reference is None or samples.image_shape == reference.image_shape:
        return
    found = f"images are {shown_shape(samples.image_shape)}, but those of {reference.path} are {shown_shape(reference.image_shape)}"
    if not extractor.any_size:
        raise UsageError(
            f"{samples.path}: {found}, and {extractor.name} features cannot compare them; resize one of the two, or pass --prepare"
        )
    if len(samples.sizes) == len(reference.sizes) == 1 and samples.image_shape[1:] != reference.image_shape[1:]:
        progress.note(f"{samples.path}: {found}; the distance includes this difference in resolution")


def _note_compression(samples: ImageInput, reference: ImageInput | None, progress: Progress) -> None:
    if reference and samples.lossy != reference.lossy:
        lossy, other = (samples, reference) if samples.lossy else (reference, samples)
        progress.note(f"{lossy.path}: has JPEG files, {other.path} has none; JPEG compression alone increases the distance")


def _reference_side(
    reference: Reference, extractor: Extractor, options: FidOptions, device: torch.device, *, progress: Progress
) -> tuple[FeatureSet | StatisticsFile, dict[str, Any]]:
    found: StatisticsFile
    if reference.statistics:
        found = reference.statistics
        found.require(extractor.identity, extractor.label, progress.note)
    elif reference.protocol and not options.needs_rows:
        found = protocol_statistics(
            reference.protocol, reference.images, extractor,
            build=options.build_ref, device=device, cache=options.cache, progress=progress,
        )  # fmt: skip
    else:
        assert reference.images  # there are no statistics
        return features_of(reference.images, extractor, progress, "reference", cache=options.cache), reference.images.record()
    return found, found.record()


def _effect(
    options: FidOptions, device: torch.device, samples: ImageInput | None, reference: ImageInput | None, *, progress: Progress
) -> dict[str, Any]:
    if options.features.precision != "bf16":
        return {}
    if not (samples and reference):
        progress.note("--precision bf16: its effect cannot be estimated from statistics; give the images, or use fp32 for exact scores")
        return {}
    first = [list(side.blocks(0, EFFECT_IMAGES)) for side in (samples, reference)]
    effect = bf16_effect(options.features, device, *first)
    ours, theirs = (sum(map(len, blocks)) for blocks in first)
    progress.note(f"bf16 changes the distance of the first {ours} samples and {theirs} reference images by {effect:.3g}")
    return {"bf16_effect": effect}
