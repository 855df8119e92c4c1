"""fit-features: a classifier that learns, resumes to the bit, and is refused where it cannot be."""

from dataclasses import replace

import pytest
import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint, write_checkpoint
from genrev_cli.files.images import open_images
from genrev_cli.models.classifier import Classifier
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.shapes import to_float
from genrev_cli.stages.fit_features import fit_features
from genrev_cli.store.classifiers import load_classifier

RUN = RunOptions(device="cpu", log_every=5)
TINY = {"width": 4, "dims": 6}


@pytest.fixture
def fit(data):
    """(out, **settings) → one call of fit-features with a tiny classifier."""

    def run(out, *, run=RUN, data=data, **settings):
        return fit_features(
            data, out, overrides={"fit-features": {"epochs": 0, "steps": 10, "batch": 8, **settings}, "classifier": TINY}, run=run
        )

    return run


def test_training_improves_the_model(tmp_path, fit, learnable):
    numbers = fit(tmp_path / "c.safetensors", data=learnable, steps=150, batch=50, lr=1e-2).numbers
    assert numbers["accuracy"] > 0.9  # by chance: 0.125
    classifier, header = load_classifier(tmp_path / "c.safetensors", torch.device("cpu"))
    images = open_images(learnable)
    rows = images.rows("val")
    right = classifier(to_float(torch.from_numpy(images.read(rows)))).argmax(1) == torch.from_numpy(images.labels[rows])
    assert right.float().mean().item() == pytest.approx(numbers["accuracy"])
    assert header.kind == "classifier"


def test_five_steps_and_five_more_equal_ten(tmp_path, fit):
    straight, broken = tmp_path / "straight.safetensors", tmp_path / "broken.safetensors"
    fit(straight)
    fit(broken, steps=5)
    fit(broken)
    (_, a), (_, b) = read_checkpoint(straight), read_checkpoint(broken)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 9, 33), (1, 1, 1)])
def test_features(shape):
    classifier = Classifier(shape, 5, width=4, dims=7).double()
    x = torch.rand(3, *shape, dtype=torch.float64)
    features = classifier.features(x)
    assert features.shape == (3, 7)
    assert (features >= 0).all()
    assert classifier(x).shape == (3, 5)
    torch.testing.assert_close(classifier.features(x[1:2])[0], features[1])  # of one image alone


@pytest.mark.parametrize(("labels", "sentence"), [(-1, "30 of 30 images have no label"), (0, "all images have the same label")])
def test_labels_are_needed(tmp_path, fit, data, labels, sentence):
    import h5py

    with h5py.File(data, "r+") as file:
        file["labels"][...] = labels
    with pytest.raises(UsageError, match=sentence):
        fit(tmp_path / "c.safetensors")


def test_files_of_other_kinds(tmp_path, fit, recon):
    recon(tmp_path / "a.safetensors", steps=1)
    with pytest.raises(FileError, match="a file of kind 'checkpoint', but 'classifier' is needed; make one with 'genrev fit-features'"):
        load_classifier(tmp_path / "a.safetensors", torch.device("cpu"))
    with pytest.raises(FileError, match="exists and is not a file of kind 'classifier'"):
        fit(tmp_path / "a.safetensors")


@pytest.mark.parametrize("config", [{}, {"classifier": {"width": 4}}, {"classifier": {**TINY, "image_shape": [1, 8, 8], "classes": 1}}])
def test_a_header_without_a_classifier_is_refused(tmp_path, fit, config):
    out = fit(tmp_path / "c.safetensors", steps=1).out
    header, tensors = read_checkpoint(out)
    write_checkpoint(out, tensors, replace(header, config=config))
    with pytest.raises(FileError, match="its header does not describe a classifier"):
        load_classifier(out, torch.device("cpu"))
