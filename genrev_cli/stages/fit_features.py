"""fit-features: labelled images → a classifier whose last hidden layer `fid --features` measures with."""

from pathlib import Path
from typing import Any, final

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from genrev_cli.config import defaults_of, overlaid, split_table, table_of
from genrev_cli.errors import UsageError
from genrev_cli.files.images import ImageSet, open_images
from genrev_cli.methods.classification import Classification
from genrev_cli.models.classifier import ClassifierConfig
from genrev_cli.precision import autocast_in
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.runs.job import Job
from genrev_cli.runs.monitor import BATCH, Monitor
from genrev_cli.runs.recipes import recipe_for_images, say, table_in
from genrev_cli.runs.run import run_job
from genrev_cli.settings.classification import ClassificationConfig
from genrev_cli.settings.schedule import RunOptions, Schedule
from genrev_cli.shapes import to_float
from genrev_cli.store.classifiers import KIND, build_classifier, write_classifier
from genrev_cli.training.method import Method

STAGE = "fit-features"
FAMILY = "features"


def fit_features(
    data: Path,
    out: Path,
    *,
    recipe: str = "",
    size: str = "",
    overrides: dict[str, dict[str, Any]],
    run: RunOptions,
    progress: Progress = SILENT,
) -> Result:
    """Train a classifier on the labels of prepared images and write it.

    recipe: '' is the recipe 'features' for digits and MNIST, else the rule of that name. size: one of SIZES always takes the rule.
    Raises FileError for unusable data, UsageError for images without labels or unusable settings, and what `run_job` raises.
    """
    images = open_images(data)
    choice = recipe_for_images(images, STAGE, FAMILY, recipe=recipe, size=size)
    recipe, tables = choice.name, overlaid(choice.tables, overrides)
    table = table_of(tables, "classifier", recipe) | {"image_shape": list(images.image_shape), "classes": _classes(images)}
    classifier = build_classifier(table, f"{recipe} [classifier]").config
    schedule, config = split_table(table_in(choice, tables, STAGE), f"{recipe} [{STAGE}]", Schedule, ClassificationConfig)
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build_classifier(classifier, recipe).parameters())
    say(choice, images, "network, batch and steps", parameters, progress=progress)

    def build(device: torch.device) -> Classification:
        return Classification(build_classifier(classifier, recipe).to(device), config, autocast_in(device, schedule.precision))

    settings = {"classifier": classifier, "method": vars(config)}
    job = Job(
        STAGE, settings, {"data": images.header.as_input(data)}, images, schedule, build,
        origin=choice.origin, defaults={"classifier": defaults_of(ClassifierConfig), "method": defaults_of(ClassificationConfig)},
        monitor=ClassifierMonitor, write=write_classifier, kind=KIND,
    )  # fmt: skip
    return run_job(job, out, run, progress)


def _classes(images: ImageSet) -> int:
    labels, unknown = images.labels, int((images.labels < 0).sum())
    if unknown or labels.max() < 1:
        wrong = f"{unknown} of {len(labels)} images have no label" if unknown else "all images have the same label"
        raise UsageError(f"{images.path}: {wrong}; a classifier needs a label for each, and two classes or more")
    return int(labels.max()) + 1


@final
class ClassifierMonitor(Monitor):
    """Monitor of a classifier: how often it is right on held-out images."""

    @torch.no_grad()
    def numbers(self, method: Method, model: nn.Module) -> dict[str, float]:
        """Return accuracy in [0, 1] and cross_entropy in nats."""
        model.eval()
        logits = torch.cat([model(to_float(pixels)) for pixels in self.pixels.split(BATCH)])
        model.train()
        right = (logits.argmax(1) == self.labels).float().mean()
        return {"accuracy": right.item(), "cross_entropy": cross_entropy(logits, self.labels).item()}
