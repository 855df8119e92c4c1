import urllib.error
from dataclasses import replace
from pathlib import Path

import pytest
import torchvision.datasets.utils

from genrev_cli.cli import prepare_data
from genrev_cli.data import download as download_module
from genrev_cli.data.config import USED, check
from genrev_cli.data.download import download
from genrev_cli.data.registry import FACTORIES, open_source
from genrev_cli.errors import FileError, UnavailableError, UsageError
from genrev_cli.progress import SILENT
from genrev_cli.settings.prepare import PrepareConfig


@pytest.mark.parametrize("source", USED)
def test_every_source_has_a_factory_and_its_defaults_are_valid(source):
    check(PrepareConfig(source, Path("somewhere") if "path" in USED[source] else None))
    assert source in FACTORIES
    assert len(FACTORIES) == len(USED)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("mnits", {}, "mnits: unknown source of images; choose one of array, celeba, celeba-hq, cifar10"),
        ("folder", {}, "folder: --path is missing"),
        ("mnist", {"crop": "108"}, "--crop does not apply to 'mnist'"),
        ("celeba", {"val_fraction": 0.2}, "--val-fraction does not apply to 'celeba'"),
        ("digits", {"path": Path("x")}, "--path does not apply to 'digits'"),
        ("digits", {"download": True}, "--download does not apply to 'digits'"),
        ("celeba", {"crop": "64"}, "--crop 64: choose 140, 108 or none"),
        ("folder", {"path": Path("x"), "channels": 2}, "--channels 2: choose 1, 3"),
        ("folder", {"path": Path("x"), "val_fraction": 0.5, "test_fraction": 0.5}, "their sum must be below 1"),
        ("folder", {"path": Path("x"), "test_fraction": -0.1}, "at least 0"),
        ("digits", {"limit": -1}, "--limit -1: must be at least 0"),
        ("digits", {"size": "64x"}, "--size 64x: write one side, like 64, or width and height, like 48x64"),
        ("folder", {"path": Path("x"), "size": "0x64"}, "--size 0x64: write one side"),
        ("folder", {"path": Path("x"), "values": "5"}, "--values 5: write the values of black and white"),
        ("array", {}, "array: --path is missing; pass the .npz, .npy or .h5"),
        ("cifar10", {"coarse": True}, "--coarse does not apply to 'cifar10'"),
        ("digits", {"workers": -1}, "--workers -1: must be at least 0"),
        ("mnist", {"labels": Path("x.csv")}, "--labels does not apply to 'mnist'"),
        (
            "folder",
            {"path": Path("x"), "split_by": "random", "split_file": Path("x.csv")},
            "--split-by random and --split-file both choose",
        ),
        ("folder", {"path": Path("x"), "split_by": "file"}, "--split-by file: choose folders or random"),
        ("folder", {"path": Path("x"), "labels": Path("x.csv"), "no_classes": True}, "--no-classes and --labels contradict"),
        ("folder", {"path": Path("x"), "class_level": 1, "no_classes": True}, "--no-classes and --class-level contradict"),
        ("folder", {"path": Path("x"), "labels": Path("x.csv"), "class_level": 1}, "--labels and --class-level both choose"),
        ("mnist", {"download": True, "dry_run": True}, "--dry-run downloads nothing"),
    ],
)
def test_invalid_settings_are_named(source, options, message):
    with pytest.raises(UsageError, match=message):
        open_source(replace(PrepareConfig(source), **options), SILENT)


@pytest.mark.parametrize(
    ("name", "words"),
    [("my photos", "folder --path 'my photos'"), ("photos.zip", "folder --path photos.zip"), ("x.npz", "array --path x.npz")],
)
def test_a_path_in_place_of_a_source_gets_the_command_that_reads_it(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=f"{name}: is a path, not a source; run 'genrev prepare-data {words}'"):
        check(PrepareConfig(name))


PUBLISHED = ["mnist", "fashion-mnist", "kmnist", "emnist", "cifar10", "cifar100", "svhn", "stl10", "celeba"]


def test_every_published_set_can_be_downloaded():
    assert list(download_module._SETS) == PUBLISHED
    assert set(PUBLISHED) == {source for source, options in USED.items() if "download" in options}


def test_the_help_names_every_source():
    assert not [source for source in USED if source not in prepare_data._SOURCES]


@pytest.mark.parametrize("source", PUBLISHED)
@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), RuntimeError("'gdown' is required"), TimeoutError("slow")])
def test_the_error_without_a_network_says_what_to_do(tmp_path, monkeypatch, source, error):
    def fail(*args, **kwargs):
        raise error

    for name in ("download_url", "download_file_from_google_drive"):
        monkeypatch.setattr(torchvision.datasets.utils, name, fail)
    with pytest.raises(UnavailableError, match=rf"{source}: could not be downloaded .* from http.* without --download"):
        open_source(PrepareConfig(source, tmp_path, download=True), SILENT)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("mnist", {f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")}),
        ("fashion-mnist", {f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")}),
        ("emnist", {"gzip.zip"}),
        ("cifar10", {"cifar-10-python.tar.gz"}),
        ("cifar100", {"cifar-100-python.tar.gz"}),
        ("svhn", {"train_32x32.mat", "test_32x32.mat"}),
        ("stl10", {"stl10_binary.tar.gz"}),
        ("celeba", {"img_align_celeba.zip", "list_eval_partition.txt", "list_attr_celeba.txt"}),
    ],
)
def test_only_needed_files_are_downloaded_and_stdout_stays_empty(tmp_path, monkeypatch, capsys, source, expected):
    fetched = []

    def fetch(where, root, name, md5):
        print("downloading", where)
        assert (root, len(md5)) == (tmp_path, 32)
        fetched.append(name)

    for name in ("download_url", "download_file_from_google_drive"):
        monkeypatch.setattr(torchvision.datasets.utils, name, fetch)
    download(source, tmp_path, SILENT)
    assert set(fetched) == expected
    assert capsys.readouterr().out == ""


def test_the_second_mirror_of_mnist_is_tried(tmp_path, monkeypatch):
    asked = []

    def fetch(url, root, name, md5):
        asked.append(url)
        if len(asked) == 1:
            raise urllib.error.URLError("down")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", fetch)
    download("mnist", tmp_path, SILENT)
    assert len(asked) == 5
    assert asked[0] != asked[1]
    assert asked[0].rsplit("/", 1)[1] == asked[1].rsplit("/", 1)[1]


def test_the_default_folder_is_data_raw(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match="data/raw/mnist: "):
        open_source(PrepareConfig("mnist"), SILENT)
