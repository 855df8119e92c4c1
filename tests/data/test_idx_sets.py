"""IDX files of any set: names, pairs, EMNIST's turned images, Fashion-MNIST and KMNIST; through the command where it matters."""

import gzip
import hashlib
import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from genrev_cli.cli import main
from genrev_cli.data import emnist, fashion_mnist, mnist
from genrev_cli.data.idx_files import Named, read_idx, read_name
from genrev_cli.data.source import TEST, TRAIN
from genrev_cli.errors import FileError
from genrev_cli.files.images import open_images

SHAPE = (6, 5)  # rows, columns


def idx(array, code=8):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def pictures(n, shape=SHAPE):
    return np.random.default_rng(n).integers(0, 256, (n, *shape), np.uint8)


def files(prefix="", parts=(("train", 12), ("t10k", 8)), shape=SHAPE, first=0):
    """Return the four files of a set. Labels go through three classes from `first`."""
    made = {}
    for part, n in parts:
        made[f"{prefix}{part}-images-idx3-ubyte"] = idx(pictures(n, shape))
        made[f"{prefix}{part}-labels-idx1-ubyte"] = idx((np.arange(n) % 3 + first).astype(np.uint8))
    return made


def write(folder, content, *, packed=False, rename=lambda name: name):
    for name, data in content.items():
        path = folder / (rename(name) + (".gz" if packed else ""))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    return folder


@pytest.fixture
def prepare(tmp_path, capsys):
    """A function that runs prepare-data and returns (exit code, stderr, prepared images or None)."""

    def run(source, path, *options):
        out = tmp_path / "out.h5"
        code = main(["prepare-data", source, "--path", str(path), "--out", str(out), *map(str, options)])
        shown = capsys.readouterr()
        assert shown.out == ("" if code else f"{out}\n") or "images" in shown.out
        return code, shown.err, open_images(out) if code == 0 else None

    return run


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train-images-idx3-ubyte.gz", ("", TRAIN, "images")),
        ("train-labels.idx1-ubyte", ("", TRAIN, "labels")),
        ("t10k-images.idx3-ubyte/t10k-images.idx3-ubyte", ("", TEST, "images")),
        ("MNIST/raw/t10k-labels-idx1-ubyte", ("MNIST/raw", TEST, "labels")),
        ("gzip/emnist-letters-test-images-idx3-ubyte.gz", ("gzip/emnist-letters", TEST, "images")),
        ("qmnist-train-labels-idx2-int.gz", ("qmnist", TRAIN, "labels")),
        ("my_set_train_images.idx3", ("my-set", TRAIN, "images")),
        ("images.idx", ("", -1, "images")),
    ],
)
def test_names_say_set_part_and_kind(name, expected):
    assert read_name(name) == Named(name, *expected)


@pytest.mark.parametrize("name", ["train.csv", "images/1.png", "train-images.npy", "emnist-letters-mapping.txt", "labels.txt"])
def test_other_names_say_nothing(name):
    assert read_name(name) is None


@given(arrays(np.uint8, array_shapes(max_dims=4)))
def test_an_idx_array_is_read_back_unchanged(array):
    assert np.array_equal(read_idx(idx(array), "x"), array)


@given(arrays(np.uint8, array_shapes(max_dims=3)), st.data())
def test_truncated_idx_is_refused(array, data):
    whole = idx(array)
    with pytest.raises(FileError):
        read_idx(whole[: data.draw(st.integers(0, len(whole) - 1))], "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an IDX file"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 0]), "not an IDX file"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "claims 79228162458924105385300197375 bytes"),
        (idx(np.zeros(3, np.uint8)) + b"0", "claims 3 bytes"),
    ],
)
def test_wrong_idx_headers_are_refused(data, message):
    with pytest.raises(FileError, match=message):
        read_idx(data, "x")


@pytest.mark.parametrize(("code", "dtype"), [(9, ">i1"), (0xB, ">i2"), (0xC, ">i4")])
def test_idx_of_other_whole_numbers(code, dtype):
    array = np.array([[-3, 7], [100, 5]], dtype)
    assert np.array_equal(read_idx(idx(array, code), "x"), array)


LAYOUTS = {
    "official": {"packed": True},
    "plain": {},
    "Kaggle": {"rename": lambda name: name.replace("-idx", ".idx")},
    "Kaggle, nested": {"rename": lambda name: f"{name}/{name}"},
    "torchvision": {"rename": lambda name: f"MNIST/raw/{name}"},
    "plain, called .gz": {"rename": lambda name: f"{name}.gz"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("source", ["mnist", "idx"])
def test_every_published_layout_is_read(tmp_path, monkeypatch, prepare, layout, source):
    made = files()
    sums = {name: (hashlib.md5(gzip.compress(data, mtime=0)).hexdigest(), hashlib.md5(data).hexdigest()) for name, data in made.items()}
    monkeypatch.setattr(mnist, "MD5", sums)
    code, err, images = prepare(source, write(tmp_path / "raw", made, **layout))
    assert code == 0, err
    assert images.split.tolist() == [0] * 12 + [2] * 8
    assert images.labels.tolist() == [*(np.arange(12) % 3), *(np.arange(8) % 3)]
    assert np.array_equal(images.read(range(12))[:, 0], pictures(12))
    assert images.header.config["split_rule"] == {"mnist": "as published", "idx": "by file names"}[source]


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_set_in_an_archive(tmp_path, prepare, form):
    made = {f"archive/{name}.gz": gzip.compress(data) for name, data in files().items()}
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            for name, data in made.items():
                archive.writestr(name, data)
    else:
        import tarfile

        with tarfile.open(tmp_path / "x.tar", "w") as archive:
            for name, data in made.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    code, err, images = prepare("idx", tmp_path / f"x.{form}")
    assert code == 0, err
    assert np.array_equal(images.read(range(12, 20))[:, 0], pictures(8))


def test_another_set_under_the_name_of_mnist_is_refused(tmp_path, prepare):
    code, err, _ = prepare("mnist", write(tmp_path / "raw", files()))
    assert code == 3
    assert "not the published file of MNIST" in err
    assert "use 'fashion-mnist'" in err
    assert "any other set 'idx'" in err


def test_mnist_among_other_sets_is_found_by_its_content(tmp_path, monkeypatch, prepare):
    made = files()
    monkeypatch.setattr(mnist, "MD5", {name: ("", hashlib.md5(data).hexdigest()) for name, data in made.items()})
    write(tmp_path / "raw" / "FashionMNIST" / "raw", files(parts=(("train", 9), ("t10k", 3))))
    write(tmp_path / "raw" / "MNIST" / "raw", made)
    assert len(prepare("mnist", tmp_path / "raw")[2].split) == 20
    code, err, _ = prepare("idx", tmp_path / "raw")
    assert (code, "has the sets FashionMNIST/raw, MNIST/raw; choose one with --subset" in err) == (2, True)
    assert len(prepare("idx", tmp_path / "raw", "--subset", "fashionmnist/raw")[2].split) == 12


def test_emnist_is_turned_upright_and_has_the_names_of_its_mapping(tmp_path, prepare):
    made = files("emnist-letters-", (("train", 12), ("test", 8)), first=1) | files("emnist-digits-", (("train", 3), ("test", 3)))
    write(tmp_path / "raw" / "gzip", made, packed=True)
    (tmp_path / "raw" / "gzip" / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99\n")
    assert prepare("emnist", tmp_path / "raw")[0] == 2
    code, err, images = prepare("emnist", tmp_path / "raw", "--subset", "letters")
    assert code == 0, err
    assert "rows and columns exchanged; they are turned upright" in err
    assert np.array_equal(images.read(range(12))[:, 0], pictures(12).transpose(0, 2, 1))
    assert images.header.config["classes"] == ["Aa", "Bb", "Cc"]
    assert images.labels[:4].tolist() == [0, 1, 2, 0]


def test_emnist_is_read_from_its_zip(tmp_path, prepare):
    (tmp_path / "raw").mkdir()
    with zipfile.ZipFile(tmp_path / "raw" / emnist.ZIP, "w") as archive:
        for name, data in files("emnist-letters-", (("train", 6), ("test", 3))).items():
            archive.writestr(f"gzip/{name}.gz", gzip.compress(data))
    assert len(prepare("emnist", tmp_path / "raw")[2].split) == 9


def of_ten(parts):
    made = {}
    for part, n in parts:
        made[f"{part}-images-idx3-ubyte"] = idx(pictures(n, (28, 28)))
        made[f"{part}-labels-idx1-ubyte"] = idx((np.arange(n) % 10).astype(np.uint8))
    return made


def test_fashion_mnist_has_its_classes_and_says_what_it_could_not_compare(tmp_path, monkeypatch, prepare):
    made = of_ten((("train", 20), ("t10k", 10)))
    write(tmp_path / "raw", made, packed=True)
    code, err, images = prepare("fashion-mnist", tmp_path / "raw")
    assert code == 0, err
    assert "cannot be compared with the published files" in err
    assert images.header.config["classes"] == list(fashion_mnist.CLASSES)
    monkeypatch.setattr(
        fashion_mnist, "MD5", {f"{name}.gz": hashlib.md5(gzip.compress(data, mtime=0)).hexdigest() for name, data in made.items()}
    )
    assert "cannot be compared" not in prepare("fashion-mnist", tmp_path / "raw")[1]


def test_sets_that_are_not_fashion_mnist(tmp_path, monkeypatch, prepare):
    write(tmp_path / "raw", files())
    code, err, _ = prepare("fashion-mnist", tmp_path / "raw")
    assert (code, "has the labels 0, 1, 2, but fashion-mnist has 0 to 9; use 'idx'" in err) == (3, True)
    from genrev_cli.data import published_idx

    monkeypatch.setattr(published_idx, "_MNIST", {hashlib.md5(data).hexdigest() for data in files().values()})
    assert "these are MNIST's files; use 'mnist'" in prepare("fashion-mnist", tmp_path / "raw")[1]


def test_axes_labels_and_parts_of_other_sets(tmp_path, prepare):
    colour = np.random.default_rng(0).integers(0, 256, (10, 4, 6, 3), np.uint8)
    labels = np.arange(80, dtype=">i4").reshape(10, 8) // 40
    write(tmp_path / "a", {"q-images-idx4-ubyte": idx(colour), "q-labels-idx2-int": idx(labels, 0xC)})
    code, err, images = prepare("idx", tmp_path / "a", "--val-fraction", 0.2, "--test-fraction", 0.2)
    assert code == 0, err
    assert images.image_shape == (3, 4, 6)
    assert np.array_equal(images.read(range(10)), colour.transpose(0, 3, 1, 2))
    assert images.labels.tolist() == [0] * 5 + [1] * 5
    assert images.header.made_by["seed"] == 0
    assert np.bincount(images.split).tolist() == [6, 2, 2]
    write(tmp_path / "b", {"train-images-idx2-ubyte": idx(pictures(4, (25,)))})
    _, err, images = prepare("idx", tmp_path / "b")
    assert images.image_shape == (1, 5, 5), err
    assert (images.labels == -1).all()


BAD = {
    "no images": ({"train-labels-idx1-ubyte": idx(np.zeros(3, np.uint8))}, 3, "has no file of images beside it"),
    "other numbers": (
        {"train-images-idx3-ubyte": idx(pictures(4)), "train-labels-idx1-ubyte": idx(np.zeros(3, np.uint8))}, 3, "for 4 images"),
    "no square": ({"train-images-idx2-ubyte": idx(pictures(4, (24,)))}, 3, "must be (n, H, W)"),
    "other sizes": ({**files(), "t10k-images-idx3-ubyte": idx(pictures(8, (5, 5)))}, 3, "the parts have different sizes"),
    "cut": ({"train-images-idx3-ubyte": idx(pictures(4))[:-1]}, 3, "claims 120 bytes for shape (4, 6, 5), but it has 119"),
    "cut gzip": ({"train-images-idx3-ubyte": gzip.compress(idx(pictures(40)))[:-90]}, 3, "cannot be read"),
    "a bomb": ({"train-images-idx3-ubyte": gzip.compress(idx(pictures(4)) + bytes(1 << 24))}, 3, "claims 120 bytes"),
    "terabytes": ({"train-images-idx3-ubyte": bytes([0, 0, 8, 3]) + b"\x7f" * 12}, 3, "damaged: its header claims"),
    "numbers": ({"train-images-idx3-ubyte": idx(pictures(4).astype(">i4"), 0xC)}, 3, "must be bytes"),
    "two that differ": (
        {"train-images-idx3-ubyte": idx(pictures(4)), "train-images.idx3-ubyte": idx(pictures(5))}, 3, "differ, but have the same name"),
    "part and no part": ({"train-images-idx3-ubyte": idx(pictures(4)), "images-idx3-ubyte": idx(pictures(4))}, 3, "rename it"),
    "nothing": ({"readme.txt": b""}, 3, "has no IDX files"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "code", "message"), BAD.values(), ids=BAD)
def test_sets_that_cannot_be_read_are_named(tmp_path, prepare, content, code, message):
    found, err, _ = prepare("idx", write(tmp_path / "raw", content))
    assert (found, message in err) == (code, True), err
    assert err.count("genrev: error:") == 1
