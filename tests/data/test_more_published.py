"""CIFAR-100, SVHN and STL-10 from tiny files of the same layout, whose checksums replace the published ones."""

import hashlib
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from genrev_cli.cli import main
from genrev_cli.data import cifar100, stl10, svhn
from genrev_cli.files.images import open_images


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def prepare(tmp_path, capsys):
    """A function that runs prepare-data and returns (exit code, stderr, prepared images or None)."""

    def run(source, path, *options):
        out = tmp_path / "out.h5"
        code = main(["prepare-data", source, "--path", str(path), "--out", str(out), *options])
        return code, capsys.readouterr().err, open_images(out) if code == 0 else None

    return run


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    folder = tmp_path / "raw" / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, n in (("train", 4), ("test", 2)):
        batch = {
            b"data": np.arange(n * 3072).astype(np.uint8).reshape(n, 3072),
            b"fine_labels": [3, 0] * (n // 2),
            b"coarse_labels": [1, 0] * (n // 2),
        }
        (folder / name).write_bytes(pickle.dumps(batch, 2))
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": [b"a", b"b", b"c", b"d"], b"coarse_label_names": [b"x", b"y"]}, 2))
    sums = {name: md5(folder / name) for name in ("train", "test", "meta")}
    monkeypatch.setattr(cifar100, "PUBLISHED", replace(cifar100.PUBLISHED, md5=sums))
    return folder


@pytest.mark.parametrize(("options", "labels", "classes"), [((), [3, 0] * 3, list("abcd")), (("--coarse",), [1, 0] * 3, ["x", "y"])])
def test_cifar100(cifar, prepare, options, labels, classes):
    code, err, images = prepare("cifar100", cifar.parent, *options)
    assert code == 0, err
    assert images.split.tolist() == [0] * 4 + [2] * 2
    assert images.labels.tolist() == labels
    assert images.header.config["classes"] == classes
    assert np.array_equal(images.read([1]).ravel(), np.arange(3072, 6144).astype(np.uint8))


def test_cifar100_that_was_changed_is_refused(cifar, prepare):
    (cifar / "train").write_bytes(b"x")
    code, err, _ = prepare("cifar100", cifar.parent)
    assert (code, "train: not the published file, or damaged" in err) == (3, True)
    (cifar / "meta").unlink()
    (cifar / "train").unlink()
    assert "has neither cifar-100-python/ nor cifar-100-python.tar.gz; pass --download" in prepare("cifar100", cifar.parent)[1]


def test_svhn(tmp_path, monkeypatch, prepare):
    from scipy.io import savemat

    (tmp_path / "raw").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), np.uint8)
    for name, rows in (("train_32x32.mat", slice(0, 3)), ("test_32x32.mat", slice(3, 5))):
        labels = np.array([[1], [10], [9], [2], [10]], np.uint8)[rows]
        savemat(tmp_path / "raw" / name, {"X": pixels[rows].transpose(2, 3, 1, 0), "y": labels}, do_compression=True)
    monkeypatch.setattr(svhn, "MD5", {name: md5(tmp_path / "raw" / name) for name in svhn.MD5})
    code, err, images = prepare("svhn", tmp_path / "raw")
    assert code == 0, err
    assert np.array_equal(images.read(range(5)), pixels)
    assert images.labels.tolist() == [1, 0, 9, 2, 0]
    assert images.split.tolist() == [0, 0, 0, 2, 2]
    (tmp_path / "raw" / "test_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    assert "test_32x32.mat: not the published file" in prepare("svhn", tmp_path / "raw")[1]
    (tmp_path / "raw" / "test_32x32.mat").unlink()
    assert "test_32x32.mat: missing; pass --download" in prepare("svhn", tmp_path / "raw")[1]


@pytest.fixture
def stl(tmp_path, monkeypatch):
    """A folder with STL-10's files for 3, 2 and 4 images of 3×8×6. Return the folder and the images, upright."""
    folder = tmp_path / "raw" / "stl10_binary"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 3, 8, 6), np.uint8)
    for part, rows in (("train", slice(0, 3)), ("test", slice(3, 5)), ("unlabeled", slice(5, 9))):
        (folder / f"{part}_X.bin").write_bytes(pixels[rows].transpose(0, 1, 3, 2).tobytes())
        if part != "unlabeled":
            (folder / f"{part}_y.bin").write_bytes(np.arange(1, len(pixels[rows]) + 1, dtype=np.uint8).tobytes())
    monkeypatch.setattr(stl10, "_SHAPE", (3, 6, 8))
    monkeypatch.setattr(stl10, "MD5", {name: md5(folder / name) for name in stl10.MD5})
    return folder, pixels


@pytest.mark.parametrize("form", ["parent", "folder", "tar"])
def test_stl10(stl, tmp_path, prepare, form):
    folder, pixels = stl
    path = {"parent": folder.parent, "folder": folder, "tar": tmp_path / "packed"}[form]
    if form == "tar":
        path.mkdir()
        with tarfile.open(path / stl10.TAR, "w:gz") as archive:
            archive.add(folder, "stl10_binary")
    code, err, images = prepare("stl10", path)
    assert code == 0, err
    assert np.array_equal(images.read(range(5)), pixels[:5])
    assert images.labels.tolist() == [0, 1, 2, 0, 1]
    images = prepare("stl10", path, "--unlabeled")[2]
    assert np.array_equal(images.read(range(9)), pixels)
    assert images.labels[5:].tolist() == [-1] * 4
    assert images.split.tolist() == [0, 0, 0, 2, 2, 0, 0, 0, 0]


def test_stl10_that_was_changed_is_refused(stl, prepare):
    folder, _ = stl
    (folder / "test_X.bin").write_bytes(bytes(288))
    assert "test_X.bin: not the published file" in prepare("stl10", folder)[1]
    (folder / "test_X.bin").unlink()
    assert "STL-10's test_X.bin are missing; pass --download" in prepare("stl10", folder)[1]
