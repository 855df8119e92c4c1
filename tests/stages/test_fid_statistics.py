"""Two files of statistics are compared without an extractor, but the options must still match the features in their headers."""

import hashlib
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.checkpoint import tensors_digest, write_checkpoint
from genrev_cli.files.header import Header
from genrev_cli.files.statistics import write_statistics
from genrev_cli.models.classifier import Classifier
from genrev_cli.progress import Progress
from genrev_cli.scoring.measure import measure
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import FidOptions
from genrev_cli.store.checkpoints import prefixed

DIMS = 4


class Means(nn.Module):
    def __init__(self, scale: float):
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x.float().mean((2, 3))


def script(path, scale):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
        torch.jit.script(Means(scale)).save(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def classifier(path, scale):
    network = Classifier((1, 8, 8), classes=3, width=4, dims=DIMS).requires_grad_(False)
    for parameter in network.parameters():
        parameter.fill_(scale)
    tensors = prefixed("classifier", network)
    write_checkpoint(path, tensors, Header("classifier", {"classifier": network.config}, tensors_digest(tensors)))
    return tensors_digest(tensors)


def inception(path, scale):
    save_file({"weight": torch.full((3,), scale)}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Kind of features → function that writes a file of weights, its suffix, and the options that name it.
KINDS = {
    "torchscript": (script, ".pt", lambda path: FeatureOptions(str(path))),
    "classifier": (classifier, ".safetensors", lambda path: FeatureOptions(str(path))),
    "inception": (inception, ".safetensors", lambda path: FeatureOptions(weights=path)),
}


def statistics(path, **identity):
    """Write a file of statistics with these features in its header."""
    common = {"profile": "pytorch-fid", "layer": "x", "dims": DIMS, "precision": "fp32"}
    config = {"metric": "FD-x", "kernel_metric": "KD-x", "identity": {**common, **identity}}
    write_statistics(path, np.zeros(DIMS), np.eye(DIMS), 50, header=Header("statistics", config, ""))
    return path


def foreign(path):
    np.savez(path, mu=np.zeros(DIMS), sigma=np.eye(DIMS))
    return path


def score(samples, ref, features=FeatureOptions()):  # noqa: B008 (frozen)
    return measure(samples, FidOptions(str(ref), features=features, device="cpu"), Progress()).numbers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told_by", ["both", "samples", "ref"])
def test_the_weights_in_the_options_must_match_the_statistics(tmp_path, kind, told_by):
    write, suffix, options = KINDS[kind]
    right, wrong, missing = (tmp_path / f"{name}{suffix}" for name in ("right", "wrong", "missing"))
    sha256, _ = write(right, 1.0), write(wrong, 2.0)
    ours = statistics(tmp_path / "ours.npz", extractor=kind, weights_sha256=sha256)
    theirs = foreign(tmp_path / "theirs.npz") if told_by != "both" else ours
    files = (theirs, ours) if told_by == "ref" else (ours, theirs)
    assert score(*files, options(right))["value"] == 0
    with pytest.raises(FileError, match=rf"ours.npz: was computed with weights '{sha256[:8]}', but the options ask for '[0-9a-f]{{8}}'"):
        score(*files, options(wrong))
    with pytest.raises(FileError, match=f"missing{suffix}: no such file"):
        score(*files, options(missing))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"profile": "tf"}, "computed with profile 'pytorch-fid', but the options ask for 'tf'"),
        ({"precision": "bf16"}, "computed with precision 'fp32', but the options ask for 'bf16'"),
        ({"features": "pixel"}, "computed with features 'inception', but the options ask for 'pixel'"),
    ],
)
def test_the_features_in_the_options_must_match_the_statistics(tmp_path, options, sentence):
    ours = statistics(tmp_path / "ours.npz", extractor="inception", weights_sha256="")
    assert score(ours, ours)["value"] == 0
    with pytest.raises(FileError, match=sentence):
        score(ours, ours, FeatureOptions(**options))


@pytest.mark.parametrize("options", [{"features": "pixel"}, {"features": "net.pt"}, {"profile": "tf"}, {"precision": "bf16"}])
def test_statistics_with_unknown_features_refuse_feature_options(tmp_path, options):
    theirs = foreign(tmp_path / "theirs.npz")
    assert score(theirs, theirs)["metric"] == "FD-unknown"
    with pytest.raises(UsageError, match="don't say which features they are of; leave out --features"):
        score(theirs, theirs, FeatureOptions(**options))
