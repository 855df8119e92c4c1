"""`fid --features dinov2` and `clip` with small random weights in a file."""

import numpy as np
import pytest
import torch
from fid_files import npy
from safetensors.torch import save_file
from transformer_cases import random_state

from genrev_cli.errors import FileError, UsageError
from genrev_cli.metrics.frechet import Moments, frechet_distance
from genrev_cli.metrics.kernel import cmmd
from genrev_cli.metrics.transformer_weights import weights_digest
from genrev_cli.metrics.transformers import CLIP, DINOV2, VisionTransformer
from genrev_cli.progress import Progress
from genrev_cli.scoring.extractors import open_extractor
from genrev_cli.scoring.measure import measure
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import FidOptions

FAMILIES = {"dinov2": DINOV2, "clip": CLIP}


@pytest.fixture(params=FAMILIES)
def weights(request, tmp_path):
    state = random_state(request.param, width=64, blocks=1, patch=28, grid=2)
    save_file(state, tmp_path / "w.safetensors")
    return request.param, state, FeatureOptions(request.param, weights=tmp_path / "w.safetensors")


def rows(kind, state, path):
    images = torch.from_numpy(np.load(path))
    return VisionTransformer(state, FAMILIES[kind])(images).numpy()


def test_scores_equal_those_of_the_features(weights, sets, monkeypatch, tmp_path):
    monkeypatch.setenv("GENREV_CACHE", str(tmp_path / "cache"))
    kind, state, options = weights
    found = measure(sets[0], FidOptions(str(sets[1]), features=options, device="cpu"), Progress())
    sides = [rows(kind, state, path) for path in sets]
    statistics = []
    for side in sides:
        moments = Moments(side.shape[1])
        moments.add(side)
        statistics.append(moments.statistics())
    name = {"dinov2": "DINOv2", "clip": "CLIP"}[kind]
    size = {"dinov2": "224×224", "clip": "56×56"}[kind]
    assert found.numbers["metric"] == f"FD-{name} (width 64, 1 blocks, {size})"
    assert found.numbers["value"] == pytest.approx(frechet_distance(*statistics), rel=1e-4)
    assert found.numbers["weights_sha256"] == weights_digest(options.weights)
    assert found.config["identity"]["extractor"] == kind
    if kind == "clip":
        other = measure(sets[0], FidOptions(str(sets[1]), features=options, metrics=("cmmd",), device="cpu"), Progress()).numbers
        assert other["metric"] == f"CMMD (width 64, 1 blocks, {size})"
        assert other["value"] == pytest.approx(cmmd(*sides), rel=1e-3)


def test_statistics_need_the_same_weights(weights, sets, tmp_path):
    _, state, options = weights
    measured = FidOptions(str(sets[1]), features=options, save_stats=tmp_path / "a.npz", device="cpu", cache=False)
    value = measure(sets[0], measured, Progress()).numbers["value"]
    again = measure(tmp_path / "a.npz", FidOptions(str(sets[1]), features=options, device="cpu", cache=False), Progress()).numbers
    assert again["value"] == pytest.approx(value, rel=1e-9)
    save_file({name: tensor + 1 for name, tensor in state.items()}, tmp_path / "other.safetensors")
    with pytest.raises(FileError, match="a.npz: was made with other features"):
        options = FeatureOptions(options.features, weights=tmp_path / "other.safetensors")
        measure(tmp_path / "a.npz", FidOptions(str(sets[1]), features=options, device="cpu", cache=False), Progress())
    with pytest.raises(FileError, match="a.npz: was computed with weights"):
        measure(tmp_path / "a.npz", FidOptions(str(tmp_path / "a.npz"), features=options, device="cpu"), Progress())


def test_a_row_depends_only_on_its_image(weights):
    options = weights[2]
    extractor = open_extractor(options, None, torch.device("cpu"))
    x = torch.randint(0, 256, (11, 1, 30, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    features = extractor(x)
    assert features.shape == (11, extractor.dims)
    assert torch.equal(extractor(x[[2, 9]]), features[[2, 9]])
    assert torch.equal(extractor(x[2:3].expand(1, 3, -1, -1)), features[2:3])  # gray images become RGB


def test_weights_of_another_network_are_named(weights, sets, tmp_path):
    kind, _, options = weights
    other = {"dinov2": "clip", "clip": "dinov2"}[kind]
    with pytest.raises(FileError, match=r"w\.safetensors: weights: have no '.*', so they are of another network; give the weights of"):
        measure(sets[0], FidOptions(str(sets[1]), features=FeatureOptions(other, weights=options.weights), device="cpu"), Progress())


def test_the_cmmd_needs_clip(sets):
    with pytest.raises(UsageError, match="is defined with CLIP's features, not 'pixel'; pass --features clip"):
        measure(sets[0], FidOptions(str(sets[1]), features=FeatureOptions("pixel"), metrics=("cmmd",)), Progress())


def test_images_of_several_shapes(weights, sets, tmp_path):
    other = npy(tmp_path / "c.npy", np.random.default_rng(3).integers(0, 256, (6, 3, 9, 12), np.uint8))
    found = measure(other, FidOptions(str(sets[1]), features=weights[2], device="cpu", cache=False), Progress()).numbers
    assert found["n"] == 6
    assert found["value"] > 0
