"""Metrics of two sets that `fid` computes, each compared with its own function."""

import numpy as np
import pytest
import torch
from fid_files import Notes, npy, numbers

from genrev_cli.errors import FileError, UsageError
from genrev_cli.metrics.features import PixelExtractor
from genrev_cli.metrics.memorisation import authentic
from genrev_cli.metrics.sliced import mind
from genrev_cli.progress import Progress
from genrev_cli.scoring.images import open_image_input
from genrev_cli.scoring.measure import measure
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import FidOptions


def rows(pixels):
    return PixelExtractor(pixels.shape[1:])(torch.from_numpy(pixels)).numpy()


def split_of(data, split):
    return np.concatenate(list(open_image_input(data, split, 0, Progress()).blocks()))


def test_mind(sets, tmp_path):
    found = numbers(sets[0], sets[1], metrics=("mind",), seed=3)
    value, error = mind(*(rows(np.load(path)) for path in sets), seed=3)
    assert (found["metric"], found["value"], found["MD-pixel_standard_error"]) == ("MD-pixel", value, error)
    assert found["mind_projections"] == 1000
    assert numbers(sets[0], sets[1], metrics=("mind",), seed=4)["value"] != value
    assert numbers(sets[0], sets[0], metrics=("fid", "mind"))["MD-pixel"] == 0
    numbers(sets[0], sets[1], save_stats=tmp_path / "a.npz")
    with pytest.raises(FileError, match="holds statistics but no images"):
        numbers(sets[0], tmp_path / "a.npz", metrics=("mind",))


@pytest.mark.parametrize("split", ["test", "train", "val", "all"])
def test_authpct_is_always_against_the_training_images(data, tmp_path, split):
    """A mixture of 9 copies and 3 images that are far from all others."""
    train = split_of(data, "train")
    far = np.zeros((3, 1, 8, 8), np.uint8)
    samples = npy(tmp_path / "s.npy", np.concatenate([train[:9], far]))
    found = numbers(samples, data, metrics=("authpct", "fid"), split=split)
    expected = {"AuthPct": authentic(rows(train), rows(np.load(samples))), "held out": authentic(rows(train), rows(split_of(data, "test")))}
    assert (found["metric"], found["value"]) == ("AuthPct", 100 * expected["AuthPct"].mean())
    assert found["value"] == 25
    assert found["AuthPct_standard_error"] == pytest.approx(100 * (0.25 * 0.75 / 12) ** 0.5)
    assert found["authpct_held_out"] == 100 * expected["held out"].mean()
    assert (found["n_train"], found["n_held_out"], found["held_out_split"], found["split"]) == (22, 3, "test", split)


def test_authpct_takes_the_validation_images_where_there_is_no_test_split(tmp_path, write_images, notes):
    found = numbers(tmp_path / "a.h5", write_images(tmp_path / "a.h5", counts=(20, 4, 0)), notes, split="train", metrics=("authpct",))
    assert (found["held_out_split"], found["n_held_out"]) == ("val", 4)
    only = write_images(tmp_path / "b.h5", counts=(20, 0, 0))
    found = numbers(only, only, notes, split="train", metrics=("authpct",))
    assert found["value"] == 0
    assert "authpct_held_out" not in found
    assert "neither test nor val images" in notes


def test_authpct_needs_training_images(sets, tmp_path, write_images):
    with pytest.raises(UsageError, match="b.npy has no splits; give the prepared images"):
        numbers(*sets, metrics=("authpct",))
    with pytest.raises(UsageError, match="c.h5 has 1 training images; at least 2"):
        numbers(write_images(tmp_path / "c.h5", counts=(1, 5, 5)), tmp_path / "c.h5", metrics=("authpct",))


def test_authpct_of_a_model_trained_on_other_images_is_noted(model, data, tmp_path, write_images, notes):
    numbers(None, data, notes, metrics=("authpct",), ckpt=model, n=20, device="cpu")
    assert "was trained on other images" not in notes
    numbers(None, write_images(tmp_path / "other.h5", seed=9), notes, metrics=("authpct",), ckpt=model, n=20, device="cpu")
    assert "the checkpoint was trained on other images" in notes


def test_the_score_of_classes_is_of_the_samples_alone(data, tmp_path, classifier):
    network, path = classifier
    samples = npy(tmp_path / "s.npy", np.random.default_rng(0).integers(0, 256, (25, 1, 8, 8), np.uint8))
    options = {"features": FeatureOptions(str(path)), "metrics": ("is",), "seed": 4}
    found = measure(samples, FidOptions(str(data), **options), Progress()).numbers
    x = torch.from_numpy(np.load(samples)).float() / 255
    p = network(x[np.random.RandomState(4).permutation(25)]).detach().double().softmax(1).numpy()
    parts = [p[i * 25 // 10 : (i + 1) * 25 // 10] for i in range(10)]
    expected = [np.exp((part * np.log(part / part.mean(0))).sum(1).mean()) for part in parts]
    assert (found["metric"], found["class_score_splits"]) == ("CS-classifier", 10)
    assert found["value"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert found["class_score_std"] == pytest.approx(np.std(expected), rel=1e-3)
    notes = Notes()
    assert measure(samples, FidOptions(str(data), split="train", **options), notes).numbers["value"] == found["value"]
    assert "has 25 images, and published values have 50,000" in notes


def test_the_score_of_classes_computes_no_features_of_the_reference(data, tmp_path, classifier):
    class Bars(Progress):
        titles = ()

        def task(self, title, total, unit="images", done=0):
            self.titles += (title,)
            return super().task(title, total, unit, done)

    samples = npy(tmp_path / "s.npy", np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), np.uint8))
    features = FeatureOptions(str(classifier[1]))
    for metrics, expected in ((("is",), 1), (("is", "kid"), 2)):
        bars = Bars()
        measure(samples, FidOptions(str(data), split="train", features=features, metrics=metrics), bars)
        assert len(bars.titles) == expected


def test_features_without_classes_have_no_score_of_them(sets):
    with pytest.raises(UsageError, match="--metrics is: 'pixel' features have no classes"):
        numbers(*sets, metrics=("is",))
