"""Training stages with unusable inputs: they raise one sentence, and write nothing."""

import numpy as np
import pytest
import torch

from genrev_cli.errors import DivergedError, FileError, UnavailableError, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import write_json
from genrev_cli.methods.reconstruction import Reconstruction
from genrev_cli.runs.resume import run_folder
from genrev_cli.settings.evaluation import EvalOptions
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.training import distributed
from genrev_cli.training.guard import require_small_weights


def check_refused(error, match, call, *words, **options):
    with pytest.raises(error, match=match) as caught:
        call(*words, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["start.safetensors", "picture.png", "result.json", "missing.h5"])
def test_wrong_files_as_data(tmp_path, recon, adversarial, name):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    write_json(tmp_path / "result.json", {"fid": 1}, Header("score", {}, ""))
    for call in (recon, adversarial):
        said = f"^{tmp_path / name}: (not a readable HDF5|is a checkpoint or a map|no such file)"
        check_refused(FileError, said, call, tmp_path / "a.safetensors", data=tmp_path / name)
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data.h5", "holds prepared images, of prepare-data, but a .safetensors file is needed"),
        ("start.safetensors.run/state.safetensors", "kind 'state', but 'checkpoint' is needed"),
        ("no", "no such file"),
    ],
)
def test_wrong_files_as_checkpoint(tmp_path, adversarial, name, said):
    check_refused(FileError, said, adversarial, tmp_path / "a.safetensors", ckpt=tmp_path / name)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 8)])
def test_images_of_another_size(tmp_path, adversarial, write_images, shape):
    other = write_images(tmp_path / "other.h5", shape)
    said = f"other.h5: images are {'×'.join(map(str, shape))}, .*start.safetensors takes 1×8×8"
    check_refused(FileError, said, adversarial, tmp_path / "a.safetensors", data=other)


def test_data_that_changed_or_is_gone(tmp_path, adversarial, data, write_images):
    out = tmp_path / "a.safetensors"
    write_images(data, seed=9)
    check_refused(FileError, "data.h5: has changed since .*start.safetensors was trained on it; pass --data", adversarial, out)
    adversarial(out, data=data, steps=1)
    data.unlink()
    said = "was trained on .*data.h5, which does not exist any more; put it beside start.safetensors, or pass --data"
    check_refused(FileError, said, adversarial, tmp_path / "b.safetensors")


def test_data_that_moved_together_with_the_checkpoint(tmp_path, recon, adversarial, data, write_images):
    """It is found beside the checkpoint by its content, not only by its name."""
    ckpt = recon(tmp_path / "r.safetensors", steps=1).out
    moved = tmp_path / "moved"
    moved.mkdir()
    ckpt = ckpt.rename(moved / "r.safetensors")
    data = data.rename(moved / "data.h5")
    assert adversarial(tmp_path / "a.safetensors", ckpt=ckpt, steps=1).out
    write_images(tmp_path / "data.h5", seed=9)  # where it was recorded there are others now
    assert adversarial(tmp_path / "b.safetensors", ckpt=ckpt, steps=1).out
    write_images(data, seed=8)
    check_refused(FileError, "data.h5: has changed since .*; pass --data", adversarial, tmp_path / "c.safetensors", ckpt=ckpt)
    (tmp_path / "data.h5").unlink()
    check_refused(FileError, "any more, and .*moved/data.h5 has other images", adversarial, tmp_path / "c.safetensors", ckpt=ckpt)


def constant_images(path):
    """Write a prepared set of twelve equal images."""
    config = {"source": {"name": "digits"}, "image_shape": [1, 8, 8], "counts": {"train": 12, "val": 0, "test": 0}}
    arrays = {"images": np.full((12, 1, 8, 8), 100, np.uint8), "labels": np.zeros(12, np.int64), "split": np.zeros(12, np.uint8)}
    with hdf5.writing(path, Header("data", config, "")) as writer:
        for name, array in arrays.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    return path


def test_equal_images_have_no_gaussian(tmp_path, transport):
    images = constant_images(tmp_path / "same.h5")
    check_refused(UsageError, "train-ot: all training images of a class are equal", transport, tmp_path / "a.safetensors", data=images)


@pytest.mark.parametrize(
    ("counts", "split", "said"),
    [
        ((22, 1, 3), "", r"split 'val' has one image, .*; pass --eval-split train \(22 images\) or --eval-split test \(3 images\)"),
        ((22, 0, 3), "val", "has no images in split 'val'; choose --eval-split train or --eval-split test"),
    ],
)
def test_too_few_images_to_score_with(tmp_path, recon, write_images, counts, split, said):
    run = RunOptions(device="cpu", evaluation=EvalOptions(every=1, n=4, split=split, features="pixel"))
    images = write_images(tmp_path / "few.h5", counts=counts)
    check_refused(UsageError, said, recon, tmp_path / "a.safetensors", data=images, steps=1, run=run)


def test_a_weight_that_diverges_behind_a_finite_loss(tmp_path, recon, monkeypatch):
    """Saturated outputs keep a loss finite, as in a GAN with a learning rate of 1e12."""
    step = Reconstruction.step

    def exploding(self, x, labels, generator):
        scalars = step(self, x, labels, generator)
        with torch.no_grad():
            next(self.autoencoder.parameters()).fill_(1e12)
        return {name: torch.zeros_like(value) for name, value in scalars.items()}

    monkeypatch.setattr(Reconstruction, "step", exploding)
    check_refused(DivergedError, r"a weight has grown to 1\.0e\+12 by step 1", recon, tmp_path / "a.safetensors", steps=3)
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize("value", [1e9, float("nan"), float("inf")])
def test_absurd_weights(value):
    layer = torch.nn.Linear(2, 2)
    require_small_weights([layer], 7)
    with torch.no_grad():
        layer.bias[1] = value
    with pytest.raises(DivergedError, match="by step 7"):
        require_small_weights([layer], 7)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"lrr": 1.0}, UsageError, r"--lrr 1: .*tiny.toml \[[\w-]+\] has no key 'lrr' \(did you mean 'lr'\?\)"),
        ({"batch": 0}, UsageError, "--batch 0: must be at least 1"),
        ({"precision": "fp16"}, UsageError, "--precision fp16: choose fp32, tf32 or bf16"),
        ({"lr": -1.0}, UsageError, "--lr -1: must be at least 0"),
        ({"recipe": "grn-digit"}, UsageError, "no such recipe; did you mean 'grn-digits'"),
        ({"run": RunOptions(device="gpu")}, UsageError, "--device gpu: choose auto, cpu, cuda or cuda:N"),
        ({"run": RunOptions(device="cuda:99")}, UnavailableError, "--device cuda:99: this machine has"),
    ],
    ids=str,
)
def test_unusable_settings(tmp_path, stage, settings, error, said):
    out = tmp_path / "a.safetensors"
    check_refused(error, said, stage, out, **settings)
    assert not out.exists()
    assert not run_folder(out).exists()


def of_two(monkeypatch):
    """Pretend to be the first of two processes. `size` itself stays: methods import it by name when a run starts."""
    for name, answer in {"is_initialized": True, "get_world_size": 2, "get_rank": 0}.items():
        monkeypatch.setattr(distributed.dist, name, lambda answer=answer: answer)


def test_a_batch_that_cannot_be_split(tmp_path, stage, monkeypatch):
    """A step takes two mini-batches of 3 rows. Their 6 rows could be split in two, but not each mini-batch."""
    of_two(monkeypatch)
    check_refused(UsageError, "a batch of 3 cannot be split over 2 processes", stage, tmp_path / "a.safetensors", batch=3)


def test_prior_samples_that_cannot_be_split(tmp_path, adversarial, monkeypatch):
    of_two(monkeypatch)
    said = "prior_samples of 15 cannot be split over 2 processes; choose a multiple of 2"
    check_refused(UsageError, said, adversarial, tmp_path / "a.safetensors", prior_samples=15)
    assert not run_folder(tmp_path / "a.safetensors").exists()


def test_output_that_is_not_a_checkpoint(tmp_path, stage):
    check_refused(UsageError, "a.pt: its name must end in .safetensors", stage, tmp_path / "a.pt")
    (tmp_path / "theirs.safetensors").write_bytes(b"not ours")
    check_refused(FileError, "theirs.safetensors: exists and is not a file of kind 'checkpoint'", stage, tmp_path / "theirs.safetensors")


def test_output_that_is_an_input(tmp_path, adversarial):
    ckpt = tmp_path / "start.safetensors"
    before = ckpt.read_bytes()
    for run in (RunOptions(device="cpu"), RunOptions(device="cpu", restart=True)):
        check_refused(UsageError, "start.safetensors: is an input of the same command", adversarial, ckpt, run=run)
    assert ckpt.read_bytes() == before


def test_more_steps_without_the_state(tmp_path, stage):
    """It would have to start again, which needs --restart."""
    out = tmp_path / "a.safetensors"
    stage(out, steps=2)
    (run_folder(out) / "state.safetensors").unlink()
    before = out.read_bytes()
    check_refused(UsageError, "a.safetensors: has 2 steps, and its state, .*state.safetensors, is gone; use --restart", stage, out)
    assert out.read_bytes() == before


def test_an_incomplete_recipe(tmp_path, recon):
    (tmp_path / "half.toml").write_text("[model]\nname = 'revnet'\nscales = [{ blocks = 1, hidden = 8 }]\n")
    check_refused(UsageError, r"half.toml: has no table \[prior\]", recon, tmp_path / "a.safetensors", recipe=str(tmp_path / "half.toml"))
