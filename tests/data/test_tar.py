"""Tars, zips from Windows, and archives in archives."""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from genrev_cli.cli import main
from genrev_cli.data import tar
from genrev_cli.data.container import Archive, Several, image_names, open_container
from genrev_cli.errors import FileError
from genrev_cli.files.hdf5 import read_digest

FILES = {"b/10.png": b"ten", "b/2.png": b"two", "a.gif": b"a", "./notes.txt": b""}


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = (tarfile.SYMTYPE, content[1:]) if content[0] == "@" else (tarfile.LNKTYPE, content)
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(("name", "mode"), [("x.tar", "w"), ("x.tar.gz", "w:gz"), ("x.tgz", "w:gz"), ("x.TAR", "w")])
def test_a_tar_has_the_files_of_a_folder(tmp_path, name, mode):
    found = open_container(write_tar(tmp_path / name, FILES, mode), "")
    assert image_names(found) == (["a.gif", "b/2.png", "b/10.png"], 1)
    there = pickle.loads(pickle.dumps(found))  # as a decoding process gets it
    with there.reader() as read:
        assert [read(name) for name in there.names()] == [b"a", b"two", b"ten", b""]
    with there.stream("b/10.png") as file:
        assert (file.seek(0, 2), file.seek(1), file.read()) == (3, 1, b"en")
    assert there.where("a.gif") == f"{tmp_path / name}: a.gif"


def test_the_temporary_file_of_a_packed_tar_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tar.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    found = open_container(write_tar(tmp_path / "x.tgz", FILES, "w:gz"), "")
    assert found.data.exists()
    del found
    assert not list((tmp_path / "temporary").iterdir())


def test_links_in_a_tar_are_followed_inside_of_it(tmp_path):
    files = {"a/1.png": b"one", "b/2.png": "@../a/1.png", "b/3.png": "a/1.png", "b/4.png": "@/etc/passwd", "b/5.png": "@../../x"}
    found = open_container(write_tar(tmp_path / "x.tar", files), "")
    with found.reader() as read:
        assert [read(name) for name in ("a/1.png", "b/2.png", "b/3.png")] == [b"one"] * 3
        for name in ("b/4.png", "b/5.png"):
            with pytest.raises(ValueError, match="a link to a file that is not in the archive"):
                read(name)


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a/../../x.png", "C:\\x.png"])
def test_names_that_lead_outside_are_refused(tmp_path, name):
    with pytest.raises(FileError, match="leads outside of the archive"):
        open_container(write_tar(tmp_path / "x.tar", {name: b"x"}), "")


def pax_of(size):
    """Return a tar with an entry whose extended header claims `size` bytes."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, size
    return info.tobuf(tarfile.USTAR_FORMAT) + bytes(4096)


HOSTILE = {
    "cut": lambda: gzip.decompress(packed(FILES))[:1400],
    "packed and cut": lambda: packed(FILES)[:100],
    "a header of gigabytes": lambda: pax_of(1 << 32),
    "packed, a header of gigabytes": lambda: gzip.compress(pax_of(1 << 32)),
    "noise": lambda: np.random.default_rng(0).bytes(2048),
    "bzip2": lambda: b"BZh91AY" + bytes(600),
    "xz": lambda: b"\xfd7zXZ\0" + bytes(600),
    "empty": lambda: b"",
}


def packed(files):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_damaged_and_hostile_tars_are_refused(tmp_path, capsys, make):
    (tmp_path / "x.tar").write_bytes(make())
    assert main(["prepare-data", "folder", "--path", str(tmp_path / "x.tar"), "--out", str(tmp_path / "x.h5")]) == 3
    err = capsys.readouterr().err
    assert "x.tar: " in err
    assert "Traceback" not in err


def test_a_packed_tar_needs_room(tmp_path, monkeypatch):
    monkeypatch.setattr(tar, "_SPARE", 1 << 60)
    with pytest.raises(FileError, match="does not fit unpacked on the disk of .*; set TMPDIR"):
        open_container(write_tar(tmp_path / "x.tgz", FILES, "w:gz"), "")


def test_folder_zip_and_tar_prepare_to_the_same_content(tmp_path, encode):
    files = {f"{kind}/{i}.png": encode(np.full((4, 4), 3 * i + (kind == "cat"), np.uint8)) for kind in ("cat", "dog") for i in range(80)}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr("set/" + name, data)
            (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "x" / name).write_bytes(data)
    write_tar(tmp_path / "x.tar", dict(reversed(files.items())))
    write_tar(tmp_path / "x.tgz", files, "w:gz")
    digests = set()
    for name, workers in (("x", "1"), ("x.zip", "1"), ("x.tar", "1"), ("x.tgz", "2")):
        out = tmp_path / f"{name}.h5"
        assert main(["prepare-data", "folder", "--path", str(tmp_path / name), "--out", str(out), "--workers", workers]) == 0
        digests.add(read_digest(out))
    assert len(digests) == 1


def test_names_of_a_windows_zip_have_slashes(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("train\\cat\\1.png", "train\\cat\\", "val\\cat\\2.png"):
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, name)
    found = Archive(tmp_path / "x.zip")
    assert found.names() == ["train/cat/1.png", "val/cat/2.png"]
    with found.reader() as read:
        assert read("val/cat/2.png") == b"val\\cat\\2.png"
    with found.stream("val/cat/2.png") as file:
        assert file.read() == b"val\\cat\\2.png"


@pytest.mark.parametrize(
    ("inside", "advice"),
    [
        ("images.zip", ".zip files are not read; unpack them, and pass the folder"),
        ("images.tar.xz", ".tar.xz files are not read; unpack them"),
        ("images.tar.gz", "'genrev prepare-data webdataset"),
        ("arr_0.npy", "'genrev prepare-data array"),
        ("data/train-00000-of-00001.parquet", "'genrev prepare-data parquet"),
        ("shard-000000.tar", "'genrev prepare-data webdataset"),
        ("data.mdb", "save their images as files"),
        ("train_32x32.mat", "'genrev prepare-data svhn"),
        ("train-images.idx3-ubyte", "'genrev prepare-data idx"),
    ],
)
def test_an_archive_of_other_things_says_how_to_read_them(tmp_path, inside, advice):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(inside, b"")
    with pytest.raises(FileError, match=f"x.zip: has no images; .*{advice}"):
        image_names(Archive(tmp_path / "x.zip"))


def test_a_file_of_another_kind_says_how_to_read_it(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(FileError, match="x.npy: no folder, zip or tar of picture files; read it with 'genrev prepare-data array --path"):
        open_container(tmp_path / "x.npy", "")


def test_several_containers_are_one(tmp_path):
    parts = {name: open_container(write_tar(tmp_path / f"{name}.tar", {"1.png": name.encode()}), "") for name in ("s1", "s0")}
    found = Several(tmp_path, parts)
    assert found.names() == ["s1/1.png", "s0/1.png"]
    with found.reader() as read:
        assert [read(name) for name in ("s1/1.png", "s0/1.png", "s1/1.png")] == [b"s1", b"s0", b"s1"]
    assert found.where("s0/1.png") == f"{tmp_path / 's0.tar'}: 1.png"
