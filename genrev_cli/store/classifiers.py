"""Classifiers as files: fit-features writes them, and scores in their features read them."""

from pathlib import Path
from typing import Any

import torch

from genrev_cli.config import construct
from genrev_cli.errors import FileError
from genrev_cli.files.checkpoint import read_checkpoint, tensors_digest, write_checkpoint
from genrev_cli.files.header import Header, require_kind
from genrev_cli.models.classifier import Classifier, ClassifierConfig
from genrev_cli.store.checkpoints import load_prefixed, prefixed
from genrev_cli.store.limits import no_more_than

KIND = "classifier"


def build_classifier(table: dict[str, Any], where: str) -> Classifier:
    """Return the classifier of a table; `where` names the table in errors. Raises UsageError on an unknown key or an impossible value."""
    return construct(ClassifierConfig, table, where, lambda config: Classifier(**vars(config)))


def write_classifier(
    path: Path,
    classifier: Classifier,
    *,
    settings: dict[str, Any],
    step: int,
    inputs: dict[str, Any],
    made_by: dict[str, Any],
) -> None:
    """Write a classifier. settings: those of its training, for the header."""
    tensors = prefixed("classifier", classifier)
    write_checkpoint(path, tensors, Header(KIND, settings, tensors_digest(tensors), step, inputs=inputs, made_by=made_by))


def load_classifier(path: Path, device: torch.device) -> tuple[Classifier, Header]:
    """Read a classifier of fit-features, in evaluation mode and without gradients.

    Raises FileError when it is missing, damaged, or not a classifier.
    """
    header, tensors = read_checkpoint(path)
    require_kind(header, KIND, path, "genrev fit-features")
    try:
        with torch.device("meta"), no_more_than(len(tensors)):
            classifier = build_classifier(header.config["classifier"], str(path))
    except Exception as error:  # an impossible table raises errors of many types
        raise FileError(f"{path}: its header does not describe a classifier that this version of genrev knows ({error})") from error
    load_prefixed(classifier, "classifier", tensors, path)
    return classifier.to(device).eval().requires_grad_(False), header
