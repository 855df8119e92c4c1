"""Sets in shards: WebDataset's tars and the hub's parquet files."""

import io
import json
import sys
import tarfile

import numpy as np
import pytest

from genrev_cli.cli import main
from genrev_cli.data.shards import expand_braces
from genrev_cli.errors import UsageError
from genrev_cli.files.images import open_images


@pytest.fixture
def prepare(tmp_path, capsys):
    """A function that runs prepare-data and returns (exit code, stderr, prepared images or None)."""

    def run(source, path, *options):
        out = tmp_path / "out.h5"
        code = main(["prepare-data", source, "--path", str(path), "--out", str(out), *map(str, options)])
        return code, capsys.readouterr().err, open_images(out) if code == 0 else None

    return run


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("s-{000..002}.tar", ["s-000.tar", "s-001.tar", "s-002.tar"]),
        ("s-{8..11}.tar", ["s-8.tar", "s-9.tar", "s-10.tar", "s-11.tar"]),
        ("{train,val}-{0..1}.tar", ["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]),
        ("{x}.tar", ["{x}.tar"]),
    ],
)
def test_patterns(pattern, expected):
    assert expand_braces(pattern) == expected


@pytest.mark.parametrize("pattern", ["{0..999999999}.tar", "{0..999}{0..999}.tar"])
def test_patterns_of_too_many_files_are_refused(pattern):
    with pytest.raises(UsageError, match="means more than 100,000 files"):
        expand_braces(pattern)


# --- WebDataset


def shard(path, files):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def samples(encode):
    """A function (numbers, label of a number) → the files of a shard; image i is filled with i."""

    def make(numbers, label):
        files = {}
        for i in numbers:
            files[f"{i:06}.png"] = encode(np.full((4, 4), i, np.uint8))
            files |= {f"{i:06}.{kind}": data for kind, data in label(i).items()}
        return files

    return make


def cls(i):
    return {"cls": str(i % 3).encode()}


@pytest.mark.parametrize(("path", "workers"), [("shards", 1), ("shards/s-{000..001}.tar", 2)])
def test_shards_with_classes(tmp_path, prepare, samples, path, workers):
    (tmp_path / "shards").mkdir()
    shard(tmp_path / "shards" / "s-000.tar", samples(range(100), cls))
    shard(tmp_path / "shards" / "s-001.tar", samples(range(100, 150), cls))
    code, err, images = prepare("webdataset", tmp_path / path, "--workers", workers)
    assert code == 0, err
    assert images.read(range(150))[:, 0, 0, 0].tolist() == list(range(150))
    assert images.labels.tolist() == [i % 3 for i in range(150)]
    assert images.header.config["classes"] == ["0", "1", "2"]
    assert images.header.config["split_rule"].startswith("random")
    assert f"{tmp_path / path}: 150 images in 2 shards\n" in err
    assert "webdataset: 3 classes (from .cls files); images per split:" in err
    assert images.header.config["class_rule"] == "from .cls files"


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_the_split_is_said_once(tmp_path, prepare, samples, request, kind):
    if kind == "webdataset":
        shard(tmp_path / "x.tar", samples(range(20), lambda i: {}))
    else:
        request.getfixturevalue("table")(tmp_path / "x.parquet", range(20), labels=False)
    code, err, _ = prepare(kind, tmp_path)
    assert code == 0, err
    assert err.count("random") == err.count("split: ") == 1, err
    assert f"{kind}: no classes: no " in err


def test_the_names_of_shards_are_splits(tmp_path, prepare, samples):
    for part, first in (("train-000", 0), ("train-001", 5), ("val-000", 10), ("test-000", 15)):
        shard(
            tmp_path / f"{part}.tar.gz", samples(range(first, first + 5), lambda i: {"json": json.dumps({"label": f"k{i % 2}"}).encode()})
        )
    code, err, images = prepare("webdataset", tmp_path)
    assert code == 0, err
    rows = images.read(range(20))[:, 0, 0, 0]
    assert {name: rows[images.rows(name)].tolist() for name in ("train", "val", "test")} == {
        "train": list(range(10)), "val": list(range(10, 15)), "test": list(range(15, 20))
    }  # fmt: skip
    assert images.header.config["classes"] == ["k0", "k1"]
    shard(tmp_path / "more.tar", samples(range(2), cls))
    code, err, _ = prepare("webdataset", tmp_path)
    assert (code, "more.tar: its name says no split" in err) == (2, True)


def test_samples_of_several_images_need_a_choice(tmp_path, prepare, encode):
    files = {f"{i}.{kind}.png": encode(np.full((4, 4), level, np.uint8)) for i in range(5) for kind, level in (("in", 1), ("out", 2))}
    path = shard(tmp_path / "x.tar", files)
    code, err, _ = prepare("webdataset", path)
    assert (code, "has the images in.png, out.png; choose with --subset" in err) == (2, True)
    assert prepare("webdataset", path, "--subset", "out.png")[2].read([0]).max() == 2


WRONG = {
    "no images": ({"1.txt": b"a", "1.cls": b"0"}, 3, "the shards have no images (they have cls, txt)"),
    "a label that is no JSON": ({"1.png": b"", "1.json": b"{"}, 3, "1.json: not a readable label"),
    "a label that is no text": ({"1.png": b"", "1.cls": b"\xff\xfe"}, 3, "1.cls: not a readable label"),
    "a label of two megabytes": ({"1.png": b"", "1.cls": b"0" * (2 << 20)}, 3, "1.cls: not a readable label"),
    "deep JSON": ({"1.png": b"", "1.json": b"[" * 100_000}, 3, "1.json: not a readable label"),
    "a damaged image": ({"1.png": b"no"}, 3, "x.tar: 1.png: not a usable image"),
    "names outside": ({"../1.png": b""}, 3, "leads outside"),
}


@pytest.mark.parametrize(("files", "code", "message"), WRONG.values(), ids=WRONG)
def test_shards_that_cannot_be_read(tmp_path, prepare, files, code, message):
    found, err, _ = prepare("webdataset", shard(tmp_path / "x.tar", files))
    assert (found, message in err, "Traceback" in err) == (code, True, False), err


@pytest.mark.parametrize("path", ["none.tar", "s-{0..1}.tar", "empty"])
def test_missing_shards_are_named(tmp_path, prepare, path):
    (tmp_path / "empty").mkdir()
    code, err, _ = prepare("webdataset", tmp_path / path)
    assert code == 3
    assert "no such file" in err or "has no .tar or .tar.gz or .tgz files" in err


SIDECARS = {
    "classes": ({"cls": b"1"}, "the .cls files beside its pictures have labels"),
    "labels in JSON": ({"json": b'{"label": "cat"}'}, "the .json files beside its pictures have labels"),
    "JSON without labels": ({"json": b'{"caption": "a cat"}'}, ""),
    "damaged JSON": ({"json": b"{"}, ""),
    "captions": ({"txt": b"a cat"}, ""),
}


@pytest.mark.parametrize(("beside", "said"), SIDECARS.values(), ids=SIDECARS)
def test_a_folder_source_does_not_lose_the_labels_of_a_tar(tmp_path, prepare, samples, beside, said):
    path = shard(tmp_path / "x.tar", samples(range(9), lambda i: beside))
    code, err, _ = prepare("folder", path)
    assert code == (2 if said else 0), err
    reads = f"{path}: {said}, which 'genrev prepare-data webdataset --path {path}' reads; pass --no-classes"
    assert (reads in err) == ("webdataset" in err) == bool(said)
    assert prepare("folder", path, "--no-classes")[0] == 0


def test_labels_beside_pictures_of_class_folders_are_mentioned(tmp_path, prepare, samples):
    files = {f"{kind}/{name}": data for kind in ("cat", "dog") for name, data in samples(range(5), cls).items()}
    code, err, images = prepare("folder", shard(tmp_path / "x.tar", files))
    assert (code, images.header.config["classes"]) == (0, ["cat", "dog"])
    assert "x.tar' reads; they are not used here\n" in err


# --- parquet


@pytest.fixture
def arrow():
    return pytest.importorskip("pyarrow")


@pytest.fixture
def table(arrow, encode):
    """A function that writes a parquet file as the hub does: image i is filled with i, its label is i % 2."""

    def write(path, numbers, *, labels=True, names=("cat", "dog"), image="image", plain=False, rows=7):
        from pyarrow import parquet

        data = [encode(np.full((4, 4), i % 256, np.uint8)) for i in numbers]
        column = data if plain else [{"bytes": one, "path": f"{i}.png"} for i, one in zip(numbers, data, strict=True)]
        columns, features = {image: column}, {image: {"_type": "Image"}}
        if labels:
            columns["label"] = [i % 2 for i in numbers] if names else [f"k{i % 2}" for i in numbers]
            features["label"] = {"names": list(names), "_type": "ClassLabel"} if names else {"dtype": "string", "_type": "Value"}
        made = arrow.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(made, path, row_group_size=rows)
        return path

    return write


@pytest.mark.parametrize("workers", [1, 2])
def test_the_layout_of_the_hub(tmp_path, prepare, table, workers):
    table(tmp_path / "set" / "data" / "train-00000-of-00002.parquet", range(80))
    table(tmp_path / "set" / "data" / "train-00001-of-00002.parquet", range(80, 140))
    table(tmp_path / "set" / "data" / "test-00000-of-00001.parquet", range(140, 150))
    code, err, images = prepare("parquet", tmp_path / "set", "--workers", workers)
    assert code == 0, err
    pixels = images.read(range(150))[:, 0, 0, 0]
    assert pixels[images.rows("train")].tolist() == list(range(140))
    assert pixels[images.rows("test")].tolist() == list(range(140, 150))
    assert images.labels.tolist() == (pixels % 2).tolist()
    assert images.header.config["classes"] == ["cat", "dog"]
    assert "150 images of column 'image' in 3 files\n" in err
    assert "(split: by file names)" in err
    assert "2 classes (from column 'label')" in err


@pytest.mark.parametrize(
    ("options", "classes"),
    [({"labels": False}, []), ({"names": ()}, ["k0", "k1"]), ({"plain": True}, ["cat", "dog"]), ({"rows": 1000}, ["cat", "dog"])],
)
def test_other_columns(tmp_path, prepare, table, options, classes):
    code, err, images = prepare("parquet", table(tmp_path / "x.parquet", range(30), **options))
    assert code == 0, err
    assert images.header.config["classes"] == classes
    assert images.read(range(30))[:, 0, 0, 0].tolist() == list(range(30))
    assert images.header.config["split_rule"].startswith("random")


def test_folders_may_name_the_split(tmp_path, prepare, table):
    table(tmp_path / "default" / "train" / "0000.parquet", range(6))
    table(tmp_path / "default" / "validation" / "0000.parquet", range(3))
    images = prepare("parquet", tmp_path)[2]
    assert np.bincount(images.split).tolist() == [6, 3]


def test_several_columns_of_bytes_need_a_choice(tmp_path, prepare, arrow, encode):
    from pyarrow import parquet

    one, two = (encode(np.full((4, 4), level, np.uint8)) for level in (1, 2))
    parquet.write_table(arrow.table({"image": [one] * 4, "mask": [two] * 4}), tmp_path / "x.parquet")
    code, err, _ = prepare("parquet", tmp_path / "x.parquet")
    assert (code, "the columns image, mask hold bytes; choose one with --subset" in err) == (2, True)
    assert prepare("parquet", tmp_path / "x.parquet", "--subset", "mask")[2].read([0]).max() == 2


def test_rows_without_bytes_can_be_skipped(tmp_path, prepare, arrow, encode):
    from pyarrow import parquet

    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    rows = [{"bytes": encode(np.zeros((4, 4), np.uint8)), "path": None}, {"bytes": None, "path": "elsewhere.png"}] * 2
    parquet.write_table(arrow.table({"image": arrow.array(rows, kind)}), tmp_path / "x.parquet")
    code, err, _ = prepare("parquet", tmp_path / "x.parquet")
    assert (code, "x.parquet: row 1: not a usable image (its row has no bytes" in err) == (3, True), err
    assert len(prepare("parquet", tmp_path / "x.parquet", "--skip-damaged")[2].split) == 2


@pytest.mark.parametrize("damage", ["empty", "marks", "cut", "middle", "text"])
def test_damaged_parquet_is_refused(tmp_path, prepare, table, damage):
    path = table(tmp_path / "x.parquet", range(100))
    whole = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "marks": b"PAR1" + bytes(100) + b"PAR1", "cut": whole[:-50], "text": b"no parquet",
         "middle": whole[:200] + bytes(2000) + whole[2200:]}[damage]
    )  # fmt: skip
    code, err, _ = prepare("parquet", path)
    assert (code, "x.parquet" in err, "Traceback" in err) == (3, True, False), err


def test_without_pyarrow_the_error_names_the_command(tmp_path, prepare, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, err, _ = prepare("parquet", tmp_path / "x.parquet")
    assert (code, "install it with: pip install 'genrev-cli[parquet]'" in err) == (5, True)
