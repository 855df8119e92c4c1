"""Arrays of other programs: names, axes, values and labels in .npz, .npy and .h5."""

import h5py
import numpy as np
import pytest

from genrev_cli.cli import main
from genrev_cli.data.arrays import Part, class_labels, find_parts, image_layout
from genrev_cli.data.source import TEST, TRAIN, VAL
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.images import open_images
from genrev_cli.files.npz import reading_npz, rows_of
from genrev_cli.files.rows import StreamedRows

X = np.random.default_rng(0).integers(0, 256, (10, 6, 5, 3), np.uint8)
X[0, 0, 0], X[0, 0, 1] = 0, 255
Y = np.arange(10) % 3


@pytest.fixture
def prepare(tmp_path, capsys):
    """A function that runs prepare-data array and returns (exit code, stderr, prepared images or None)."""

    def run(path, *options):
        out = tmp_path / "out.h5"
        code = main(["prepare-data", "array", "--path", str(path), "--out", str(out), *map(str, options)])
        return code, capsys.readouterr().err, open_images(out) if code == 0 else None

    return run


N, IMAGE = 10, (10, 8, 8)
NAMES = {
    "Keras": ({"x_train": IMAGE, "y_train": (N,), "x_test": IMAGE, "y_test": (N,)},
              [("x_train", "y_train", TRAIN), ("x_test", "y_test", TEST)]),
    "MedMNIST": (
        {f"{part}_{kind}": IMAGE if kind == "images" else (N, 1) for part in ("train", "val", "test") for kind in ("images", "labels")},
        [(f"{part}_images", f"{part}_labels", split) for part, split in (("train", TRAIN), ("val", VAL), ("test", TEST))],
    ),
    "capitals": ({"X_train": IMAGE, "Y_train": (N,)}, [("X_train", "Y_train", TRAIN)]),
    "trainX": ({"trainX": IMAGE, "trainY": (N,), "testX": IMAGE}, [("trainX", "trainY", TRAIN), ("testX", None, TEST)]),
    "groups": ({"train/images": IMAGE, "train/labels": (N,)}, [("train/images", "train/labels", TRAIN)]),
    "genrev": ({"images": IMAGE, "labels": (N,)}, [("images", "labels", -1)]),
    "ADM": ({"arr_0": IMAGE, "arr_1": (N,)}, [("arr_0", "arr_1", -1)]),
    "sklearn": ({"data": (N, 64), "target": (N,)}, [("data", "target", -1)]),
    "dSprites": ({"imgs": IMAGE, "latents_classes": (N, 6), "latents_values": (N, 6)}, [("imgs", None, -1)]),
    "PCam": ({"camelyon_split_train_x/x": IMAGE, "camelyon_split_train_y/y": (N, 1, 1, 1)},
             [("camelyon_split_train_x/x", "camelyon_split_train_y/y", TRAIN)]),
    "unusual": ({"galaxies": IMAGE, "labels": (N,)}, [("galaxies", "labels", -1)]),
}  # fmt: skip


@pytest.mark.parametrize(("shapes", "expected"), NAMES.values(), ids=NAMES)
def test_usual_names(shapes, expected):
    assert find_parts(shapes, "", "x") == [Part(*part) for part in expected]


@pytest.mark.parametrize(
    ("shapes", "kind", "message"),
    [
        ({"a": (3,)}, FileError, r"has no array of images by a usual name \(it has a \(3,\)\); name it with --subset"),
        ({}, FileError, "it has none"),
        ({"a": IMAGE, "b": IMAGE}, UsageError, r"several arrays may be the images \(a, b\); choose with --subset NAME"),
        ({"images": IMAGE, "test_images": IMAGE}, UsageError, "several arrays"),
        ({"x": IMAGE, "images": IMAGE}, UsageError, "several arrays"),
    ],
)
def test_names_in_doubt(shapes, kind, message):
    with pytest.raises(kind, match=message):
        find_parts(shapes, "", "x.npz")


def test_an_array_is_chosen_by_its_name():
    shapes = {"a": IMAGE, "b": IMAGE, "labels": (N,)}
    assert find_parts(shapes, "b", "x") == [Part("b", "labels", -1)]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 6), (1, 8, 6)), ((8, 6, 3), (3, 8, 6)), ((3, 8, 6), (3, 8, 6)), ((8, 6, 1), (1, 8, 6)), ((1, 8, 6), (1, 8, 6)),
        ((64,), (1, 8, 8)),
        ((63,), None), ((8, 6, 4), None), ((2, 3, 4, 3), None), ((0, 5), None), ((1,), None), ((), None),
    ],
)  # fmt: skip
def test_axes(shape, expected):
    found = image_layout(shape)
    assert (found[0] if found else None) == expected


LABELS = {
    "numbers": ([np.array([3, 5, 3])], ([0, 1, 0], ("3", "5"))),
    "a column": ([np.array([[1], [0]])], ([1, 0], ("0", "1"))),
    "unknown": ([np.array([-1, 4])], ([-1, 0], ("4",))),
    "one-hot": ([np.eye(3)[[2, 0]]], ([1, 0], ("0", "2"))),
    "texts": ([np.array(["cat", "", "ant"])], ([1, -1, 0], ("ant", "cat"))),
    "bytes": ([np.array([b"cat", b"ant"])], ([1, 0], ("ant", "cat"))),
    "whole floats": ([np.array([1.0, 2.0])], ([0, 1], ("1", "2"))),
    "a part without": ([np.array([7]), None], ([0, -1], ("7",))),
    "all unknown": ([np.array([-1, -1])], ([-1, -1], ())),
    "floats": ([np.array([0.5, 1])], None),
    "columns": ([np.array([[1, 1], [0, 1]])], None),
}


@pytest.mark.parametrize(("parts", "expected"), LABELS.values(), ids=LABELS)
def test_labels(parts, expected):
    found = class_labels(parts, [len(part) if part is not None else 1 for part in parts])
    assert (None if found is None else (found[0].tolist(), found[1])) == expected


def save(path, **arrays):
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array, compression="gzip", chunks=(3, *array.shape[1:]) if array.ndim > 1 else None)
    elif path.suffix == ".npy":
        np.save(path, arrays["images"])
    elif path.suffix:
        np.savez_compressed(path, **arrays)
    else:
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
    return path


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.h5", "folder"])
@pytest.mark.parametrize("axes", ["NHWC", "NCHW", "NHW"])
@pytest.mark.parametrize("limit", [0, 4])
def test_every_container_and_layout_gives_the_same_pixels(tmp_path, prepare, name, axes, limit):
    images = {"NHWC": X, "NCHW": X.transpose(0, 3, 1, 2), "NHW": X[..., 0]}[axes]
    code, err, found = prepare(save(tmp_path / name, images=images, labels=Y), "--limit", limit)
    assert code == 0, err
    expected = (X.transpose(0, 3, 1, 2) if axes != "NHW" else X.transpose(0, 3, 1, 2)[:, :1])[: limit or None]
    assert np.array_equal(found.read(range(len(expected))), expected)
    assert found.labels.tolist() == ([-1] * 10 if name == "x.npy" else Y.tolist())[: limit or None]
    assert "10 images of" in err


VALUES = {
    "bytes": (X, (), None),
    "0 to 1": (X / np.float32(255), (), [0, 1]),
    "−1 to 1": (X / 127.5 - 1, (), [-1, 1]),
    "floats to 255": (X.astype(np.float64), (), [0, 255]),
    "int64": (X.astype(np.int64), (), [0, 255]),
    "16 bits": (X.astype(np.uint16) * 257, (), [0, 65535]),
    "half floats": ((X / 255).astype(np.float16), (), [0, 1]),
    "big-endian": (X.astype(">u2") * 257, (), [0, 65535]),
    "by columns": (np.asfortranarray(X), (), None),
    "12 bits, said": (np.rint(X / 255 * 4095).astype(np.uint16), ("--values", "0,4095"), [0, 4095]),
    "−0.5 to 0.5, said": (X / 255 - 0.5, ("--values", "-0.5,0.5"), [-0.5, 0.5]),
}


@pytest.mark.parametrize(("images", "options", "values"), VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("name", ["x.npz", "x.h5"])
def test_values_are_scaled_by_the_rule_that_is_printed(tmp_path, prepare, images, options, values, name):
    code, err, found = prepare(save(tmp_path / name, images=images), *options)
    assert code == 0, err
    assert np.array_equal(found.read(range(10)), X.transpose(0, 3, 1, 2))
    assert found.header.config["preparation"].get("values") == values
    assert bool(values and not options) == ("are scaled as" in err)


def test_booleans_become_black_and_white(tmp_path, prepare):
    found = prepare(save(tmp_path / "x.npz", images=X[..., 0] > 99))[2]
    assert np.array_equal(found.read(range(10))[:, 0], np.where(X[..., 0] > 99, 255, 0))


DOUBT = {
    "bytes of 0 and 1": (X // 200, "--values 0,1 or --values 0,255"),
    "−0.5 to 0.5": (X / 255 - 0.5, "--values=-0.5,0.5"),
    "standardised": ((X - 128.0) / 60, "--values=-3,3"),
    "12 bits": (np.rint(X / 255 * 4095).astype(np.uint16), "--values 0,4095 or --values 0,65535"),
    "signed": (X.astype(np.int16) - 128, "--values=-128,128"),
    "dark floats": (X / 255**2, "--values 0,1"),
}


@pytest.mark.parametrize(("images", "advice"), DOUBT.values(), ids=DOUBT)
def test_values_in_doubt_are_refused_with_the_option_that_settles_it(tmp_path, prepare, images, advice):
    code, err, _ = prepare(save(tmp_path / "x.npz", images=images))
    assert (code, advice in err) == (2, True), err


BAD = {
    "NaN": (np.where(X == 7, np.nan, X / 255), (), 3, "has NaN or infinite values"),
    "outside": (X, ("--values", "0,100"), 3, "outside of 0 to 100"),
    "RGBA": (np.concatenate([X, X[..., :1]], -1), (), 3, "with 1 or 3 channels"),
    "texts": (np.full((2, 3, 3), "a"), (), 3, "must be numbers"),
    "none": (X[:0], (), 3, ""),
}


@pytest.mark.parametrize(("images", "options", "code", "message"), BAD.values(), ids=BAD)
def test_arrays_that_are_no_images(tmp_path, prepare, images, options, code, message):
    found, err, _ = prepare(save(tmp_path / "x.npz", images=images), *options)
    assert (found, message in err) == (code, True), err


def test_keras_parts_become_splits(tmp_path, prepare):
    code, err, found = prepare(save(tmp_path / "x.npz", x_train=X, y_train=Y[:, None], x_test=X[:4], y_test=Y[:4, None]))
    assert code == 0, err
    assert found.split.tolist() == [0] * 10 + [2] * 4
    assert found.labels.tolist() == [*Y, *Y[:4]]
    assert found.header.config["split_rule"] == "by names of arrays"
    assert "train 'x_train' 10, test 'x_test' 4" in err


def test_labels_that_are_no_classes_are_left_out_with_a_note(tmp_path, prepare):
    _, err, found = prepare(save(tmp_path / "x.npz", images=X, labels=np.random.default_rng(0).normal(size=(10, 6))))
    assert (found.labels == -1).all()
    assert "holds no classes" in err


def test_labels_of_another_length_are_refused(tmp_path, prepare):
    code, err, _ = prepare(save(tmp_path / "x.npz", images=X, labels=Y[:4]))
    assert (code, "'labels' has shape (4,), but there are 10 images" in err) == (3, True)


def test_prepared_data_is_not_prepared_again(tmp_path, prepare):
    prepare(save(tmp_path / "x.npz", images=X))
    (tmp_path / "out.h5").rename(tmp_path / "x.h5")
    code, err, _ = prepare(tmp_path / "x.h5")
    assert (code, "is already prepared by genrev" in err) == (3, True)


def objects(path):
    np.savez(path, images=np.array([{"a": 1}], object))


def cut(path):
    np.savez_compressed(path, images=X)
    path.write_bytes(path.read_bytes()[:-200])


def flipped(path):
    """Damage the compressed bytes of an array, behind its header."""
    np.savez_compressed(path, images=X)
    data = bytearray(path.read_bytes())
    data[500:520] = bytes(20)
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [objects, cut, flipped], ids=lambda function: function.__name__)
def test_damaged_and_hostile_npz(tmp_path, prepare, damage):
    damage(tmp_path / "x.npz")
    code, err, _ = prepare(tmp_path / "x.npz")
    assert (code, "x.npz" in err, "Traceback" in err) == (3, True, False), err


def linked(file, path):
    file["images"] = h5py.ExternalLink(str(path.with_name("other.h5")), "images")


def virtual(file, path):
    layout = h5py.VirtualLayout((3, 4, 4), "uint8")
    layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "images", (3, 4, 4))
    file.create_virtual_dataset("images", layout)


def terabytes(file, path):
    file.create_dataset("images", (1 << 40, 4, 4), "uint8", chunks=(8, 4, 4))


def circle(file, path):
    file["loop"] = file["/"]
    file["text"] = np.array([b"x"])


@pytest.mark.parametrize("fill", [linked, virtual, terabytes, circle], ids=lambda function: function.__name__)
def test_hostile_h5(tmp_path, prepare, fill):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        fill(file, tmp_path / "x.h5")
    code, err, _ = prepare(tmp_path / "x.h5")
    assert (code, "Traceback" in err) == (3, False), err


def test_rows_of_a_stream_are_read_in_any_order(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", a=X)
    with reading_npz(tmp_path / "x.npz") as arrays:
        rows = rows_of(arrays, "a", "x.npz")
    assert isinstance(rows, StreamedRows)
    for part in (slice(0, 3), slice(3, 10), slice(5, 6), slice(9, 99), slice(20, 30), slice(0, 0)):
        assert np.array_equal(rows[part], X[part])
