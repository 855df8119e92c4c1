"""What edits mean for a checkpoint whose prior has a Gaussian for each class."""

from pathlib import Path

import pytest
import torch

from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header
from genrev_cli.latents import build_prior
from genrev_cli.models import build_model
from genrev_cli.settings.edits import Edits
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.editing import Editor

D = 64


@pytest.fixture
def editor():
    torch.manual_seed(0)
    autoencoder = build_model({"name": "revnet", "image_shape": [1, 8, 8], "scales": [{"blocks": 1, "hidden": 4}]})
    prior = build_prior({"name": "class-gaussians", "latent_dim": D, "classes": 3})
    with torch.no_grad():
        prior.mean.copy_(torch.randn(3, D))
        prior.std.copy_(torch.rand(3, D) + 0.5)
    header = Header("checkpoint", {"classes": ["cat", "dog", "Emu"]}, "")
    return Editor(Checkpoint(Path("m.safetensors"), header, autoencoder, prior.requires_grad_(False)), None, True, lambda path: 1 / 0)


@pytest.mark.parametrize(("word", "number"), [("dog", 1), ("DOG", 1), ("1", 1), ("emu", 2), ("0", 0)])
def test_toward_a_class_goes_to_the_mean_of_its_gaussian(editor, word, number):
    z, mean = torch.randn(2, D), editor.model.prior.mean[number]
    torch.testing.assert_close(editor.change(Edits(toward=((word, 1.0),)))(z), mean.expand(2, D))
    torch.testing.assert_close(editor.change(Edits(toward=((word, 0.25),)))(z), 0.75 * z + 0.25 * mean)


def test_a_dimension_moves_by_the_mean_deviation_of_the_classes(editor):
    z = torch.randn(2, D)
    moved = editor.change(Edits(dims=((5, 2.0),)))(z) - z
    torch.testing.assert_close(moved[:, 5], (2 * editor.model.prior.std.mean(0)[5]).expand(2))
    assert (moved[:, torch.arange(D) != 5] == 0).all()


@pytest.mark.parametrize(("word", "sentence"), [("cow", "the classes are cat, dog, Emu"), ("dig", "did you mean dog"), ("3", "is neither")])
def test_unknown_classes_are_refused_with_those_that_there_are(editor, word, sentence):
    with pytest.raises(UsageError, match=sentence):
        editor.change(Edits(toward=((word, 1.0),)))
