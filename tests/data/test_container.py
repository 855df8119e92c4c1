import zipfile

import pytest

from genrev_cli.data.container import Archive, Folder, image_names, open_container
from genrev_cli.data.listing import MAX_FILE_BYTES, natural_key
from genrev_cli.errors import FileError

FILES = {"b/img10.PNG": b"ten", "b/img2.jpeg": b"two", "a.gif": b"a", "notes.txt": b"", "b/._img2.jpeg": b"", "__MACOSX/b/img2.jpeg": b""}


@pytest.fixture(params=["folder", "zip"])
def container(request, tmp_path):
    if request.param == "zip":
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            archive.mkdir("empty")
            for name, data in FILES.items():
                archive.writestr(name, data)
        return open_container(tmp_path / "set.zip", "")
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return open_container(tmp_path, "")


def test_a_folder_and_a_zip_of_it_have_the_same_files(container):
    assert container.names() == sorted(FILES, key=natural_key)
    assert image_names(container) == (["a.gif", "b/img2.jpeg", "b/img10.PNG"], 3)
    with container.reader() as read:
        assert [read(name) for name in FILES] == list(FILES.values())
    assert container.where("a.gif").startswith(str(container.path))


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:\\x.png", "\\\\host\\x.png", "a\\..\\..\\x.png"])
def test_zip_entries_cannot_escape(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("good.png", b"")
        archive.writestr(name, b"")
    with pytest.raises(FileError, match=r"leads outside of the archive"):
        Archive(tmp_path / "bad.zip").names()


def test_a_zip_bomb_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("genrev_cli.data.listing.MAX_FILE_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(1001))
        archive.writestr("fine.png", bytes(1000))
    with Archive(tmp_path / "bomb.zip").reader() as read:
        assert len(read("fine.png")) == 1000 < MAX_FILE_BYTES
        with pytest.raises(ValueError, match="more than an image"):
            read("bomb.png")


def test_a_folder_that_two_links_lead_to_counts_twice(tmp_path):
    (tmp_path / "set" / "one").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.png").touch()
    (tmp_path / "set" / "link1").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "link2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "way").symlink_to(tmp_path / "set")
    for folder in ("set", "way"):
        assert Folder(tmp_path / folder).names() == ["link1/x.png", "link2/x.png"]


@pytest.mark.parametrize("target", ["set", "set/one", "."])
def test_a_loop_of_links_is_refused(tmp_path, target):
    (tmp_path / "set" / "one").mkdir(parents=True)
    (tmp_path / "set" / "one" / "loop").symlink_to(tmp_path / target)
    with pytest.raises(FileError, match=r"loop.*: links make a loop here, back to .*; remove the link"):
        Folder(tmp_path / "set").names()


def test_folders_that_links_multiply_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("genrev_cli.data.container._MOST_ENTRIES", 30)
    for i in range(20):
        (tmp_path / f"{i}").mkdir()
        for side in "ab":
            (tmp_path / f"{i}" / side).symlink_to(tmp_path / f"{i + 1}")
    (tmp_path / "20").mkdir()
    with pytest.raises(FileError, match="links lead to this folder more than 30 times"):
        Folder(tmp_path / "0").names()


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such folder or file; look there"), (b"PK\x03\x04 cut", "neither a folder nor a zip")]
)
def test_missing_paths_and_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "set.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        open_container(path, "look there")


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "readme.txt").touch()
    with pytest.raises(FileError, match="has no images"):
        image_names(Folder(tmp_path))
