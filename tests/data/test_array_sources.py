"""The sources digits, MNIST and CIFAR-10, whose arrays are known exactly."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest

from genrev_cli.data import cifar10, mnist
from genrev_cli.data.digits import every_fifth, open_digits
from genrev_cli.data.mnist import open_mnist
from genrev_cli.data.source import TEST, TRAIN, resize_all
from genrev_cli.data.unpickle import unpickle
from genrev_cli.errors import FileError
from genrev_cli.progress import SILENT
from genrev_cli.settings.prepare import PrepareConfig


def pixels_of(source):
    return np.concatenate([block.pixels for block in source.blocks()])


def md5(data):
    return hashlib.md5(data).hexdigest()


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


# --- digits


def test_digits_equal_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    source = open_digits(PrepareConfig("digits"), SILENT)
    pixels = pixels_of(source)
    assert pixels.shape == (1797, *source.image_shape) == (1797, 1, 8, 8)
    assert np.array_equal(np.rint(pixels[:, 0] / 255 * 16), load_digits().images)  # the 17 levels stay distinct
    assert np.array_equal(source.labels, load_digits().target)


def test_the_test_split_of_digits_is_a_fifth_of_every_class():
    source = open_digits(PrepareConfig("digits"), SILENT)
    counts, test = np.bincount(source.labels), np.bincount(source.labels[source.split == TEST])
    assert np.array_equal(test, counts // 5)
    assert every_fifth(np.array([1, 0, 1, 1, 1, 1, 1])).tolist() == [TRAIN] * 5 + [TEST] + [TRAIN]


@pytest.mark.parametrize("limit", [1, 100])
def test_limit_takes_the_first_images(limit):
    whole, part = (open_digits(PrepareConfig("digits", limit=n), SILENT) for n in (0, limit))
    assert len(part) == limit
    assert np.array_equal(pixels_of(part), pixels_of(whole)[:limit])
    assert np.array_equal(part.split, whole.split[:limit])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(4, 4), (16, 16), (5, 9)])
def test_resizing_keeps_a_constant_image_constant(channels, size):
    pixels = np.arange(2 * channels, dtype=np.uint8).reshape(2, channels, 1, 1) * np.ones((1, 1, 8, 8), np.uint8)
    assert np.array_equal(resize_all(pixels, size), np.broadcast_to(pixels[:, :, :1, :1], (2, channels, *size)))


# --- MNIST


@pytest.fixture
def tiny_mnist(tmp_path, monkeypatch):
    """A folder with four small files in MNIST's format; their md5s replace the published ones."""
    known = {}
    for part, n in (("train", 6), ("t10k", 2)):
        for name, array in (
            (f"{part}-images-idx3-ubyte", np.full((n, 28, 28), n, np.uint8)),
            (f"{part}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8)),
        ):
            packed = gzip.compress(idx(array), mtime=0)
            (tmp_path / f"{name}.gz").write_bytes(packed)
            known[name] = (md5(packed), md5(idx(array)))
    monkeypatch.setattr(mnist, "MD5", known)
    return tmp_path


@pytest.mark.parametrize("folder", [".", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_from_four_files(tiny_mnist, packed, folder):
    for path in list(tiny_mnist.glob("*.gz")):
        target = tiny_mnist / folder / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        if not packed:
            target.with_suffix("").write_bytes(gzip.decompress(target.read_bytes()))
            target.unlink()
    source = open_mnist(PrepareConfig("mnist", tiny_mnist), SILENT)
    assert source.split.tolist() == [TRAIN] * 6 + [TEST] * 2
    assert source.labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert pixels_of(source)[:, 0, 0, 0].tolist() == [6] * 6 + [2] * 2
    assert source.checksums() == {name: sums[not packed] for name, sums in mnist.MD5.items()}


def test_mnist_can_be_resized(tiny_mnist):
    source = open_mnist(PrepareConfig("mnist", tiny_mnist, size="32"), SILENT)
    assert pixels_of(source).shape[1:] == source.image_shape == (1, 32, 32)


def test_a_file_that_is_not_the_published_one_is_refused(tiny_mnist):
    (tiny_mnist / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.ones(2, np.uint8))))
    with pytest.raises(FileError, match=r"t10k-labels-idx1-ubyte.gz: not the published file"):
        open_mnist(PrepareConfig("mnist", tiny_mnist), SILENT)


def test_the_error_for_a_missing_file_names_it_and_its_page(tiny_mnist):
    (tiny_mnist / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileError, match=r"train-labels-idx1-ubyte.gz: missing .* --download, or get it from http"):
        open_mnist(PrepareConfig("mnist", tiny_mnist), SILENT)


@pytest.mark.parametrize(("source", "opener"), [("mnist", open_mnist), ("cifar10", cifar10.open_cifar10)])
def test_the_error_for_a_missing_folder_says_where_to_get_it(tmp_path, source, opener):
    with pytest.raises(FileError, match=r"pass --download, or get .* from http"):
        opener(PrepareConfig(source, tmp_path / "none"), SILENT)


# --- CIFAR-10


class Evil:
    def __reduce__(self):
        return print, ("a pickle ran",)


class Pointers:
    """An array of objects, whose bytes NumPy would use as addresses."""

    def __reduce__(self):
        return np.ndarray, ((1,), "O", b"A" * 8)


class Flagged:
    """The same with a type that claims to hold no objects."""

    def __reduce__(self):
        return np.empty(0).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, (1,), Unflagged(), False, b"A" * 8)


class Unflagged:
    def __reduce__(self):
        return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)


class Zipped:
    def __reduce__(self):
        import codecs

        return codecs.encode, ("text", "rot13")


@pytest.mark.parametrize("protocol", range(5))  # protocol 5 stores arrays differently, and CIFAR-10 does not use it
def test_unpickle_reads_arrays_bytes_and_lists(protocol):
    content = {b"data": np.arange(12, dtype=np.uint8).reshape(3, 4), b"labels": [1, 2, 3], b"batch_label": b"one of five \xff"}
    found = unpickle(pickle.dumps(content, protocol), "x")
    assert np.array_equal(found.pop(b"data"), content.pop(b"data"))
    assert found == content


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evil()),
        pickle.dumps({"a": [Evil()]}, 0),
        pickle.dumps(Zipped()),
        pickle.dumps({b"data": Pointers()}, 2),
        pickle.dumps({b"data": Flagged()}, 2),
        pickle.dumps({b"data": np.zeros(2)}, 2),
        pickle.dumps([1]),
        pickle.dumps(len),
        b"cos\nsystem\n(S'echo'\ntR.",
        b"",
        b"\x80\x02}",
    ],
    ids=["call", "nested", "encoding", "pointers", "flags", "floats", "list", "name", "os.system", "empty", "truncated"],
)
def test_unpickle_runs_nothing(data, capfd):
    with pytest.raises(FileError, match="x: not a batch of plain arrays"):
        unpickle(data, "x")
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def tiny_cifar(tmp_path, monkeypatch):
    """A folder with batches of two images in CIFAR's format: image i of batch b is filled with 10 b + i; its label is i."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for b, name in enumerate(cifar10.MD5):
        data = {b"data": np.array([[10 * b] * 3072, [10 * b + 1] * 3072], np.uint8), b"labels": [0, 1]}
        content = {b"label_names": [b"cat", b"dog"]} if name == "batches.meta" else data
        (folder / name).write_bytes(pickle.dumps(content, 2))
    monkeypatch.setattr(cifar10, "MD5", {name: md5((folder / name).read_bytes()) for name in cifar10.MD5})
    return tmp_path


def pack(folder, tar, extra=()):
    with tarfile.open(tar, "w:gz") as archive:
        for name in extra:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        archive.add(folder / "cifar-10-batches-py", "cifar-10-batches-py")


@pytest.mark.parametrize("form", ["folder", "parent", "tar", "tar's folder"])
def test_cifar_is_read_from_folders_and_tar_archives(tiny_cifar, tmp_path_factory, monkeypatch, form):
    other = tmp_path_factory.mktemp("tar")
    pack(tiny_cifar, other / cifar10.TAR, extra=["../escape", "cifar-10-batches-py/../data_batch_1"])
    monkeypatch.setattr(cifar10, "TAR_MD5", md5((other / cifar10.TAR).read_bytes()))
    path = {"folder": tiny_cifar / cifar10.FOLDER, "parent": tiny_cifar, "tar": other / cifar10.TAR, "tar's folder": other}[form]
    source = cifar10.open_cifar10(PrepareConfig("cifar10", path), SILENT)
    assert pixels_of(source)[:, 2, 31, 0].tolist() == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51]
    assert source.labels.tolist() == [0, 1] * 6
    assert source.split.tolist() == [TRAIN] * 10 + [TEST] * 2
    assert source.classes == ("cat", "dog")
    assert [path.name for path in other.iterdir()] == [cifar10.TAR]  # nothing was extracted


def test_a_changed_batch_is_refused_before_it_is_unpickled(tiny_cifar):
    (tiny_cifar / cifar10.FOLDER / "data_batch_3").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(FileError, match=r"data_batch_3: not the published file"):
        cifar10.open_cifar10(PrepareConfig("cifar10", tiny_cifar), SILENT)


def test_a_truncated_tar_is_refused(tiny_cifar, tmp_path):
    pack(tiny_cifar, tmp_path / "cut.tar.gz")
    data = (tmp_path / "cut.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(FileError, match=r"cut\.tar\.gz: not the published file"):
        cifar10.open_cifar10(PrepareConfig("cifar10", tmp_path / "cut.tar.gz"), SILENT)


# --- the real ones


@pytest.mark.shared_data
def test_the_real_mnist_has_the_published_sizes_and_means(shared):
    source = open_mnist(PrepareConfig("mnist", shared("mnist")), SILENT)
    pixels = pixels_of(source)
    assert np.bincount(source.split).tolist() == [60_000, 0, 10_000]
    assert pixels[source.split == TRAIN].mean() == pytest.approx(33.3184, abs=5e-5)
    assert pixels[source.split == TEST].mean() == pytest.approx(33.7912, abs=5e-5)


@pytest.mark.shared_data
def test_the_real_mnist_is_read_from_unpacked_files(shared, tmp_path):
    for path in shared("mnist").glob("*.gz"):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    assert len(open_mnist(PrepareConfig("mnist", tmp_path), SILENT)) == 70_000


@pytest.mark.shared_data
def test_the_real_cifar_has_the_published_sizes_and_means(shared, tmp_path):
    import subprocess
    import sys

    script, archive = shared("cifar10/load_cifar10.py"), shared("cifar10/cifar10_lossless.zip")
    subprocess.run([sys.executable, str(script), str(archive), "--batches", str(tmp_path)], check=True, capture_output=True)
    source = cifar10.open_cifar10(PrepareConfig("cifar10", tmp_path), SILENT)  # checks every md5
    pixels = pixels_of(source)[source.split == TRAIN]
    assert np.bincount(source.labels).tolist() == [6000] * 10
    assert (pixels.mean((0, 2, 3)) / 255).round(4).tolist() == [0.4914, 0.4822, 0.4465]  # as widely published
    assert source.classes[:3] == ("airplane", "automobile", "bird")
