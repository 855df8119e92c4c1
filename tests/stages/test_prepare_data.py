from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from genrev_cli.data.source import TRAIN
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.hdf5 import read_digest
from genrev_cli.files.images import open_images
from genrev_cli.files.moments import Moments
from genrev_cli.progress import Progress, Task
from genrev_cli.settings.prepare import PrepareConfig
from genrev_cli.stages.prepare_data import prepare_data


class Listener(Progress):
    def __init__(self):
        self.tasks, self.notes = {}, []

    @contextmanager
    def task(self, title, total, unit="images", done=0):
        listener = self
        listener.tasks[title] = [0, total]

        class Bar(Task):
            def advance(self, units=1, **numbers):
                listener.tasks[title][0] += units

        yield Bar()

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def photos(tmp_path):
    """200 gray 4×4 PNGs in two classes; image i is filled with i."""
    for i in range(200):
        folder = tmp_path / "photos" / ("odd" if i % 2 else "even")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), i).save(folder / f"{i}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("channels", [1, 3])
def test_moments_are_those_of_numpy(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (50, channels, 5, 7), np.uint8)
    moments = Moments(channels)
    for start in (0, 20, 30):
        moments.add(pixels[start : {0: 20, 20: 30, 30: 50}[start]])
    mean, std = moments.mean_std()
    np.testing.assert_allclose(mean, (pixels / 255).mean((0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(std, (pixels / 255).std((0, 2, 3)), rtol=1e-12)


def test_digits(tmp_path):
    result = prepare_data(PrepareConfig("digits"), tmp_path / "digits.h5")
    images = open_images(result.out)
    pixels = images.read(images.rows("all"))
    train = images.read(images.rows("train")) / 255
    config = images.header.config
    assert images.image_shape == (1, 8, 8)
    assert pixels.dtype == np.uint8
    assert images.labels.dtype == np.int64
    assert images.split.dtype == np.uint8
    assert config["mean"] == pytest.approx([train.mean()])
    assert config["std"] == pytest.approx([train.std()])
    assert config["counts"] == {name: result.numbers[name] for name in ("train", "val", "test")} == {"train": 1442, "val": 0, "test": 355}
    assert config["classes"] == [str(i) for i in range(10)]
    assert config["source"]["name"] == "digits"
    assert set(config["source"]["checksums"]) == {"pixels_sha256"}
    assert (images.header.kind, "seed" in images.header.made_by) == ("data", False)
    assert images.header.sha256 == read_digest(result.out)
    assert (result.numbers["images"], result.numbers["classes"], result.numbers["damaged"]) == (1797, 10, 0)


def test_the_same_settings_make_the_same_content(tmp_path, photos):
    digests = {
        read_digest(prepare_data(PrepareConfig("folder", photos, size="2", split_seed=3, workers=n), tmp_path / f"{n}.h5").out)
        for n in (1, 2)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_images_are_skipped_counted_and_listed(tmp_path, photos, workers):
    whole = (photos / "odd" / "7.png").read_bytes()
    pixels = whole.index(b"IDAT") + 4
    (photos / "odd" / "7.png").write_bytes(whole[:pixels] + bytes(4) + whole[pixels + 4 :])  # its header is fine: found when it is decoded
    (photos / "even" / "8.png").write_bytes(b"")  # found by its header
    out, listener = tmp_path / "x.h5", Listener()
    with pytest.raises(FileError, match="not a usable image"):
        prepare_data(PrepareConfig("folder", photos, workers=workers), out)
    assert not out.exists()
    result = prepare_data(PrepareConfig("folder", photos, workers=workers, skip_damaged=True, split_seed=5), out, progress=listener)
    images = open_images(out)
    rows = [i for i in [*range(0, 200, 2), *range(1, 200, 2)] if i not in (7, 8)]
    assert images.read(images.rows("all"))[:, 0, 0, 0].tolist() == rows
    assert images.labels.tolist() == [i % 2 for i in rows]
    assert images.header.config["damaged"] == ["even/8.png", "odd/7.png"]
    assert (result.numbers["damaged"], result.numbers["images"]) == (2, 198)
    assert listener.tasks == {"scan": [200, 200], "decode": [199, 199]}
    assert any("2 damaged images were skipped" in note for note in listener.notes)
    assert images.header.made_by["seed"] == 5
    assert images.header.config["mean"] == pytest.approx([np.mean(np.array(rows)[images.split == TRAIN]) / 255])


def test_a_run_without_training_images_is_refused(tmp_path):
    (tmp_path / "set" / "test").mkdir(parents=True)
    Image.new("L", (4, 4)).save(tmp_path / "set" / "test" / "1.png")
    with pytest.raises(FileError, match="is in the train split"):
        prepare_data(PrepareConfig("folder", tmp_path / "set"), tmp_path / "x.h5")
    assert not list(tmp_path.glob("*.h5*"))


def test_contradictions_are_found_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError):
        prepare_data(PrepareConfig("digits", crop="108"), tmp_path / "new" / "x.h5")
    assert not (tmp_path / "new").exists()


def test_colour_is_channels_first(tmp_path):
    (tmp_path / "set").mkdir()
    Image.new("RGB", (5, 3), (1, 2, 3)).save(tmp_path / "set" / "1.png")
    prepare_data(PrepareConfig("folder", tmp_path / "set", val_fraction=0, test_fraction=0), tmp_path / "x.h5")
    images = open_images(tmp_path / "x.h5")
    assert images.image_shape == (3, 3, 5)
    assert images.read([0])[0, :, 0, 0].tolist() == [1, 2, 3]
