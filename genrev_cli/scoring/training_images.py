"""Open the training images of a reference, and images that were not trained on, to see how much samples repeat."""

from genrev_cli.errors import UsageError
from genrev_cli.metrics.features import Extractor
from genrev_cli.progress import Progress
from genrev_cli.scoring.comparisons import Training
from genrev_cli.scoring.features import FeatureSet, features_of
from genrev_cli.scoring.images import ImageInput, open_image_input
from genrev_cli.settings.fid import FidOptions
from genrev_cli.store.checkpoints import Checkpoint

TRAIN = "train"
HELD_OUT = ("test", "val")
"""Splits that were not trained on; the first one that has images is taken."""


def open_training(
    reference: ImageInput, features: FeatureSet, extractor: Extractor, *, model: Checkpoint | None, options: FidOptions, progress: Progress
) -> Training:
    """Return features of the split train of the reference's file, whatever --split is, and of the split test, else val.

    features: of `reference`, which are used again if they are one of these. A note says if `model` was trained on another file.
    Raises UsageError if the reference is not prepared data, or has fewer than 2 training images.
    """
    header = reference.header
    if header is None or header.kind != "data":
        raise UsageError(f"--metrics authpct: {reference.path} has no splits; give the prepared images (.h5) that the model was trained on")
    data = model.header.inputs.get("data") if model else None
    if data and data["sha256"] != header.sha256:
        progress.note(
            f"{reference.path}: the checkpoint was trained on other images ({data['path']}), so AuthPct does not show what it repeats"
        )
    counts = header.config["counts"]
    if counts.get(TRAIN, 0) < 2:
        raise UsageError(f"--metrics authpct: {reference.path} has {counts.get(TRAIN, 0)} training images; at least 2 are needed")

    def opened(split: str, title: str) -> FeatureSet:
        if reference.selection["split"] == split:
            return features
        return features_of(open_image_input(reference.path, split, 0, progress), extractor, progress, title, cache=options.cache)

    split = next((name for name in HELD_OUT if counts.get(name, 0) >= 2), "")
    return Training(opened(TRAIN, "training images"), opened(split, f"{split} images") if split else None, split)
