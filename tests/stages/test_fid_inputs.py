"""Inputs of `fid`: files of every kind and condition, and the errors for unusable ones."""

import shutil
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
import torch
from fid_files import DIMS, SHAPE, npy, npz, numbers, pngs
from PIL import Image

from genrev_cli.errors import FileError, UsageError
from genrev_cli.metrics.features import Extractor
from genrev_cli.progress import Progress, Task
from genrev_cli.scoring import pair as pairs
from genrev_cli.scoring.features import features_of
from genrev_cli.scoring.images import open_image_input
from genrev_cli.scoring.measure import measure
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.settings.fid import FidOptions
from genrev_cli.settings.sample import SampleSettings
from genrev_cli.stages.sample import sample


def test_a_changed_folder_of_samples_has_an_unknown_origin(tmp_path, model, data, notes):
    sample(model, tmp_path / "s", SampleSettings(n=4, device="cpu"))
    assert open_image_input(tmp_path / "s", "", 0, notes).record()["kind"] == "samples"
    shutil.copy(tmp_path / "s" / "000000.png", tmp_path / "s" / "000001.png")
    assert open_image_input(tmp_path / "s", "", 0, notes).record()["kind"] == "images"
    assert "has changed since" in notes


@pytest.mark.parametrize("more", ["sub/x.png", "-1.png", "000004.jpg", "000004.PNG"])
def test_a_folder_of_samples_with_other_images_has_an_unknown_origin(tmp_path, model, data, notes, more):
    sample(model, tmp_path / "s", SampleSettings(n=4, device="cpu"))
    (tmp_path / "s" / "sub").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "s" / more)
    found = open_image_input(tmp_path / "s", "", 0, notes)
    assert (found.n, found.record()["kind"]) == (5, "images")
    assert "has changed since" in notes


def test_the_first_samples_keep_their_origin_despite_images_in_subfolders(tmp_path, model, data, notes):
    sample(model, tmp_path / "s", SampleSettings(n=4, device="cpu"))
    pngs(tmp_path / "s" / "sub", np.zeros((2, 1, 8, 8), np.uint8))
    assert open_image_input(tmp_path / "s", "", 3, notes).record()["kind"] == "samples"


def edit_h5(path):
    with h5py.File(path, "r+") as file:
        file["images"][0] = 255 - file["images"][0]


def edit_npz(path):
    with np.load(path) as arrays:
        np.savez(path, **{**arrays, "images": 255 - arrays["images"]})


@pytest.mark.parametrize("kind", ["prepared", "samples.h5", "samples.npz"])
def test_a_file_that_was_edited_is_refused(tmp_path, model, data, kind):
    path = data if kind == "prepared" else sample(model, tmp_path / kind, SampleSettings(n=4, device="cpu")).out
    assert open_image_input(path, "train", 0, Progress()).header.sha256
    (edit_npz if path.suffix == ".npz" else edit_h5)(path)
    with pytest.raises(FileError, match="damaged.*its content does not match the checksum in its header; make it again"):
        open_image_input(path, "train", 0, Progress())


def test_an_h5_of_another_program_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["images"] = np.zeros((3, *SHAPE), np.uint8)
    with pytest.raises(
        FileError,
        match=r"x.h5: not written by genrev.*\.npz or \.npy of uint8, or make an .h5 of a folder or zip with 'genrev prepare-data folder'",
    ):
        open_image_input(tmp_path / "x.h5", "", 0, Progress())


def test_16_bits_are_scaled_not_clipped(tmp_path):
    levels = np.array([0, 257, 32768, 65535], np.uint16)
    folder = tmp_path / "deep"
    folder.mkdir()
    for i, level in enumerate(levels):
        Image.fromarray(np.full((8, 8), level)).save(folder / f"{i}.png")
    (pixels,) = open_image_input(folder, "", 0, Progress()).blocks()
    assert pixels[:, 0, 0, 0].tolist() == [0, 1, 128, 255]


def test_transparent_parts_become_white_with_a_note(tmp_path, notes):
    folder = tmp_path / "rgba"
    folder.mkdir()
    for name, alpha in (("clear", 0), ("opaque", 255)):
        Image.fromarray(np.full((8, 8, 4), (0, 0, 0, alpha), np.uint8)).save(folder / f"{name}.png")
    (pixels,) = open_image_input(folder, "", 0, notes).blocks()
    assert pixels[:, 0, 0, 0].tolist() == [255, 0]
    assert notes.said == [f"{folder}: 1 images have transparent parts, which become white"]


def test_a_comparison_of_jpegs_with_other_images_is_noted(tmp_path, sets, notes):
    numbers(pngs(tmp_path / "j", np.load(sets[0]), ".jpg"), sets[1], notes)
    assert "JPEG compression alone increases the distance" in notes


BAD = {
    "floats in [0, 1]": (FileError, lambda x: x / np.float32(255), r"float32 from 0 to 1.*np.rint\(255 \* x\)"),
    "floats in [-1, 1]": (FileError, lambda x: x / 127.5 - 1, r"float64 from -1 to 1.*np.rint\(127.5 \* \(x \+ 1\)\)"),
    "NaN": (FileError, lambda x: np.where(np.arange(40)[:, None, None, None] == 7, np.nan, x / 255), r"image 7 has NaN.*\(1 of 40"),
    "text": (FileError, lambda x: np.array(["a"]), "must be uint8 from 0 to 255"),
    "three axes": (FileError, lambda x: x[:, 0], "with 1 or 3 channels"),
    "no images": (FileError, lambda x: x[:0], "with 1 or 3 channels"),
    "one image": (UsageError, lambda x: x[:1], "has one image"),
    "another size": (UsageError, lambda x: x[..., :4], "resize one of the two"),
    "another number of channels": (UsageError, lambda x: x[:, :1], "resize one of the two"),
}


@pytest.mark.parametrize(("kind", "change", "sentence"), BAD.values(), ids=BAD)
def test_arrays_that_are_not_images_are_refused(tmp_path, sets, kind, change, sentence):
    with pytest.raises(kind, match=sentence):
        numbers(npy(tmp_path / "x.npy", change(np.load(sets[0]))), sets[1])


class NothingMade(Progress):
    """Fail if any features are computed."""

    @contextmanager
    def task(self, title, total, unit="images", done=0):
        if title.startswith("features"):
            pytest.fail(f"computed {title}")
        yield Task()


@pytest.mark.parametrize("metrics", [("fid",), ("kid",)])
def test_a_reference_of_one_image_is_refused(tmp_path, sets, metrics):
    one = pngs(tmp_path / "one", np.load(sets[0])[:1])
    with pytest.raises(UsageError, match=f"{one}: has one image; a distance needs at least 2"):
        numbers(sets[0], one, NothingMade(), metrics=metrics)


FALSE_STATISTICS = {
    "NaN in mu": ({"mu": np.full(DIMS, np.nan), "sigma": np.eye(DIMS)}, "x.npz: 'mu' has NaN"),
    "infinite sigma": ({"mu": np.zeros(DIMS), "sigma": np.full((DIMS, DIMS), np.inf)}, "x.npz: 'sigma' has NaN or infinite"),
    "complex": ({"mu": np.zeros(DIMS), "sigma": np.eye(DIMS) * 1j}, "complex128, but must be real numbers"),
    "other dimensions": ({"mu": np.zeros(64), "sigma": np.eye(64)}, "x.npz: has statistics of 64 dimensions, but FD-pixel needs 192"),
    "shapes": ({"mu": np.zeros(3), "sigma": np.eye(4)}, "must have shapes"),
    "no covariance": ({"mu": np.zeros(DIMS), "sigma": -np.eye(DIMS)}, "x.npz: .*not a covariance"),
    "no sigma": ({"mu": np.zeros(DIMS)}, "x.npz: has 'mu' but no 'sigma', and statistics need both"),
    "no mu": ({"sigma": np.eye(DIMS)}, "x.npz: has 'sigma' but no 'mu'"),
    "neither": ({"mean": np.zeros(DIMS)}, "has no array 'images', 'samples' or 'arr_0'"),
}


@pytest.mark.parametrize(("arrays", "sentence"), FALSE_STATISTICS.values(), ids=FALSE_STATISTICS)
def test_invalid_statistics_are_refused(tmp_path, sets, arrays, sentence):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(FileError, match=sentence):
        numbers(sets[0], tmp_path / "x.npz")


def test_metrics_that_need_images_refuse_statistics(tmp_path, sets):
    numbers(sets[0], sets[1], save_stats=tmp_path / "a.npz")
    with pytest.raises(FileError, match="holds statistics but no images"):
        numbers(tmp_path / "a.npz", sets[1], metrics=("fid", "kid"))
    with pytest.raises(FileError, match="holds statistics but no images"):
        numbers(sets[1], tmp_path / "a.npz", metrics=("prdc",))
    with pytest.raises(FileError, match="a.npz: holds statistics but no images; -n"):
        numbers(tmp_path / "a.npz", sets[1], n=3)
    with pytest.raises(UsageError, match="has no splits"):
        numbers(sets[1], tmp_path / "a.npz", split="test")


def test_files_that_cannot_be_read_are_named(tmp_path, sets):
    folder = pngs(tmp_path / "f", np.load(sets[0])[:4])
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "3.png").write_text("no image")
    with pytest.raises(FileError, match=r"1 files are not usable images: .*3\.png \(its content"):
        numbers(folder, sets[1])
    (folder / "3.png").unlink()
    with pytest.raises(FileError, match=r"2\.png \(.*truncated"):
        numbers(folder, sets[1])


def test_a_folder_without_images_says_what_is_there(tmp_path, sets):
    (tmp_path / "f" / "deep").mkdir(parents=True)
    with pytest.raises(FileError, match="it has no files"):
        numbers(tmp_path / "f", sets[1])
    (tmp_path / "f" / "deep" / "a.txt").write_text("")
    with pytest.raises(FileError, match=r"1 other files \(\.txt\)"):
        numbers(tmp_path / "f", sets[1])


class AnySize(Extractor):
    """Mean and standard deviation of every channel."""

    name, label, kernel_label, dims, any_size, costly = "inception", "FID (bf16)", "KID (bf16)", 6, True, True

    def __init__(self):
        self.identity = {"extractor": "inception", "profile": "tf", "layer": "x", "dims": 6, "weights_sha256": "", "precision": "bf16"}

    def __call__(self, pixels):
        return torch.cat([pixels.float().mean((2, 3)), pixels.float().std((2, 3))], 1)


@pytest.fixture
def any_size(monkeypatch):
    """Use features that accept images of any size, like Inception's. Return the numbers of images that bf16_effect gets."""
    seen = []
    monkeypatch.setattr(pairs, "open_extractor", lambda *_: AnySize())
    monkeypatch.setattr(pairs, "bf16_effect", lambda options, device, *sides: seen.append([sum(map(len, side)) for side in sides]) or 0.25)
    return seen


def test_mixed_sizes_for_features_that_accept_them(tmp_path, sets, notes, any_size):
    x = np.load(sets[0])
    mixed = pngs(tmp_path / "f", [*x[:3], x[3, :, :4, :6], *x[4:9]])
    images = open_image_input(mixed, "", 0, notes, mixed=True)
    assert [block.shape for block in images.blocks()] == [(3, *SHAPE), (1, 3, 4, 6), (5, *SHAPE)]
    found = features_of(images, AnySize(), notes, "x", cache=False).rows()
    alone = [AnySize()(torch.from_numpy(pixels)[None]) for pixels in (x[3, :, :4, :6], x[4])]
    assert found[3:5] == pytest.approx(torch.cat(alone).numpy(), rel=1e-6)
    assert measure(mixed, FidOptions(str(sets[1]), cache=False), notes).numbers["n"] == 9
    assert "images have several sizes, width×height: 8×8 (8), 6×4 (1); each is resized on its own" in notes


def test_another_resolution_is_noted(tmp_path, sets, notes, any_size):
    small = npy(tmp_path / "small.npy", np.load(sets[0])[:, :, :4, :4])
    measure(small, FidOptions(str(sets[1]), cache=False), notes)
    assert "images are 3×4×4, but those of" in notes
    assert "difference in resolution" in notes


def test_the_effect_of_bf16_is_in_the_result(tmp_path, notes, any_size):
    many = npy(tmp_path / "many.npy", np.random.default_rng(0).integers(0, 256, (300, *SHAPE), np.uint8))
    few = npy(tmp_path / "few.npy", np.load(many)[::3])
    found = measure(many, FidOptions(str(few), features=FeatureOptions(precision="bf16"), cache=False), notes).numbers
    assert (found["bf16_effect"], found["metric"], found["feature_precision"]) == (0.25, "FID (bf16)", "bf16")
    assert any_size == [[256, 100]]
    assert "bf16 changes the distance of the first 256 samples and 100 reference images by 0.25" in notes


def test_adm_files_with_statistics_and_images(tmp_path, sets, notes):
    x, rows = np.load(sets[1]), np.load(sets[1]).reshape(50, -1) / 255
    both = npz(tmp_path / "adm.npz", x, arr_0=x.transpose(0, 2, 3, 1), mu=rows.mean(0), sigma=np.cov(rows.T))
    assert numbers(sets[0], both, notes)["n_reference"] is None
    assert "unknown origin" in notes
    assert numbers(sets[0], both, metrics=("kid",)) == numbers(sets[0], sets[1], metrics=("kid",))


def test_mixed_sizes_are_listed(tmp_path, sets):
    folder = pngs(tmp_path / "f", [*np.load(sets[0])[:3], np.zeros((3, 4, 6), np.uint8)])
    with pytest.raises(UsageError, match=r"8×8 \(3\), 6×4 \(1\); resize"):
        numbers(folder, sets[1])
