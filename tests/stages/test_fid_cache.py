"""The cache of features: results are equal to the bit whatever it holds, and it is never stale."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from fid_files import Notes, h5, npy, pngs, zipped
from PIL import Image

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.checkpoint import read_checkpoint, tensors_digest, write_checkpoint
from genrev_cli.metrics.features import Extractor
from genrev_cli.progress import Progress, Task
from genrev_cli.scoring import features
from genrev_cli.scoring import generated as generated_input
from genrev_cli.scoring.features import features_of
from genrev_cli.scoring.images import open_image_input
from genrev_cli.settings.sampling import Draw
from genrev_cli.store.checkpoints import load_checkpoint

SHAPE = (1, 4, 4)
N = 22


class Costly(Extractor):
    """A random projection that counts images and raises KeyboardInterrupt after `lives` of them."""

    name, label, kernel_label, dims, any_size, costly = "costly", "FD-costly", "KD-costly", 5, True, True

    def __init__(self, weights="w", lives=10**9):
        self.weights = torch.randn(16, self.dims, generator=torch.Generator().manual_seed(len(weights)))
        self.identity = {"extractor": self.name, "weights_sha256": weights, "dims": self.dims}
        self.lives, self.seen = lives, 0

    def __call__(self, pixels):
        self.seen += len(pixels)
        if self.seen > self.lives:
            raise KeyboardInterrupt
        return pixels.float().flatten(1) @ self.weights


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Use an empty cache with shards of 4 images, and return its folder."""
    monkeypatch.setattr(features, "SHARD", 4)
    monkeypatch.setenv("GENREV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def images(tmp_path):
    return written(tmp_path / "x.npy")


def written(path, seed=0, n=N):
    np.save(path, np.random.default_rng(seed).integers(0, 256, (n, *SHAPE), np.uint8))
    return path


def rows(path, extractor, progress=None, n=0, **options):
    progress = progress or Progress()
    return features_of(open_image_input(path, "", n, progress), extractor, progress, "x", **options).rows()


def shards(cache):
    return sorted(cache.rglob("*.safetensors"))


def test_a_killed_run_continues_and_equals_an_uninterrupted_one(images, cache):
    straight = rows(images, Costly(), cache=False)
    assert not cache.exists()
    with pytest.raises(KeyboardInterrupt):
        rows(images, Costly(lives=11))
    assert len(shards(cache)) == 2
    second = Costly()
    assert (rows(images, second) == straight).all()
    assert second.seen == N - 8
    assert (rows(images, Costly(lives=0)) == straight).all()


def test_statistics_are_those_of_the_images(images):
    made = features_of(open_image_input(images, "", 0, Progress()), Costly(), Progress(), "x")
    read = features_of(open_image_input(images, "", 0, Progress()), Costly(lives=0), Progress(), "x")
    first, second = made.statistics(), read.statistics()
    assert (first.covariance == second.covariance).all()
    assert first.covariance == pytest.approx(np.cov(read.rows().astype(float).T), rel=1e-10)
    assert (made.n, made.dims, made.rows().dtype) == (N, 5, np.float32)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_damaged_shard_is_made_again(images, cache, damage):
    straight, notes = rows(images, Costly()), Notes()
    broken = shards(cache)[2]
    whole = broken.read_bytes()
    broken.write_bytes(damage(whole))
    again = Costly()
    assert (rows(images, again, notes) == straight).all()
    assert again.seen == 4
    assert "is made again" in notes
    assert rows(images, Costly(lives=0)) is not None


class Bar(Progress, Task):
    """Record the number of images done after every step."""

    @contextmanager
    def task(self, title, total, unit="images", done=0):
        self.total, self.done = total, [done]
        yield self

    def advance(self, units=1, **numbers):
        self.done.append(self.done[-1] + units)


@pytest.mark.parametrize("touched", ["damaged", "missing", "written by another run"])
def test_every_image_is_counted_once(images, cache, touched):
    rows(images, Costly())
    path = shards(cache)[2]
    whole, bar = path.read_bytes(), Bar()
    path.write_bytes(whole[:-9]) if touched == "damaged" else path.unlink()
    blocks = features_of(open_image_input(images, "", 0, bar), Costly(), bar, "x").blocks()
    next(blocks)  # the first of six shards; their digests decide which one was touched
    if touched == "written by another run":
        path.write_bytes(whole)
    list(blocks)
    assert bar.done[-1] == bar.total == N
    assert max(bar.done) <= N


def test_the_key_is_the_content_not_the_name(images, cache):
    before = rows(images, Costly())
    copy = images.with_name("copy.npy")
    copy.write_bytes(images.read_bytes())
    assert (rows(copy, Costly(lives=0)) == before).all()
    written(images, seed=1)
    assert (rows(images, Costly()) != before).any()
    assert (rows(copy, Costly(weights="other")) != before).any()
    elsewhere = Costly()
    elsewhere.device = torch.device("cuda")  # its sums must not be mixed with the CPU's
    rows(copy, elsewhere)
    assert elsewhere.seen == N
    assert len(list(cache.iterdir())) == 3  # one folder per extractor
    assert len(shards(cache)) == 4 * 6


def test_another_schema_gives_another_cache_key(images, monkeypatch):
    rows(images, Costly())
    monkeypatch.setattr(features, "SCHEMA", features.SCHEMA + 1)
    again = Costly()
    rows(images, again)
    assert again.seen == N


@pytest.mark.parametrize("write", [npy, h5, pngs, zipped])
def test_more_files_reuse_the_shards_of_fewer(tmp_path, images, write):
    path = write(tmp_path / f"x.{write.__name__}".replace(".zipped", ".zip"), np.load(images))
    before, more = rows(path, Costly(), n=10), Costly()
    assert (rows(path, more, n=N)[:10] == before).all()
    assert more.seen == N - 8  # the last shard of the ten was not whole


def test_equal_pixels_share_features_across_file_formats(tmp_path, images, data, write_images):
    found = rows(images, Costly())
    assert (rows(h5(tmp_path / "x.h5", np.load(images)), Costly(lives=0)) == found).all()
    first = rows_of(data, "all", 0, Costly16())
    other_splits = write_images(tmp_path / "other.h5", counts=(10, 10, 10))
    assert (rows_of(other_splits, "all", 0, Costly16(lives=0)) == first).all()


def test_gray_files_become_other_images_when_a_coloured_one_is_added(tmp_path):
    folder = pngs(tmp_path / "f", [*np.zeros((4, 1, 4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8)])
    gray, coloured = (open_image_input(folder, "", n, Progress()) for n in (4, 5))
    assert (gray.image_shape, coloured.image_shape) == ((1, 4, 4), (3, 4, 4))
    assert gray.digest(0, 4) != coloured.digest(0, 4)


def test_one_image_is_refused_before_it_is_read(tmp_path):
    with pytest.raises(UsageError, match="one.npy: has one image"):
        rows(npy(tmp_path / "one.npy", np.zeros((1, *SHAPE), np.uint8)), Costly(lives=0))


def test_more_images_reuse_the_shards_of_fewer(data):
    before = rows_of(data, "train", 10, Costly16())
    more = Costly16()
    assert (rows_of(data, "train", 22, more)[:10] == before).all()
    assert more.seen == 22 - 8  # the last shard of the ten was not whole
    other = Costly16()
    assert (rows_of(data, "val", 5, other) != before[:5]).any()
    assert other.seen == 5


class Costly16(Costly):
    """The same for 8×8 images."""

    def __call__(self, pixels):
        return super().__call__(pixels[:, :, ::2, ::2])


def rows_of(path, split, n, extractor):
    return features_of(open_image_input(path, split, n, Progress()), extractor, Progress(), "x").rows()


def test_without_the_cache_nothing_is_read_or_written(images, cache):
    rows(images, Costly())
    kept = {path: path.stat().st_mtime_ns for path in shards(cache)}
    again = Costly()
    rows(images, again, cache=False)
    assert again.seen == N
    assert {path: path.stat().st_mtime_ns for path in shards(cache)} == kept


def test_cheap_features_are_not_cached(images, cache):
    extractor = Costly()
    extractor.costly = False
    rows(images, extractor)
    assert not cache.exists()


def test_a_checkpoint_samples_only_what_is_missing(tmp_path, recon, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 64)
    model = load_checkpoint(recon(tmp_path / "m.safetensors", steps=1).out, torch.device("cpu"))
    decoded = []

    def counted(model, drawing, numbers, original=generated_input.decode_samples):
        decoded.append((drawing.draw.seed, numbers[0]))
        return original(model, drawing, numbers)

    monkeypatch.setattr(generated_input, "decode_samples", counted)

    def made(n, seed=0, temperature=1.0):
        images = generated_input.generated_images(model, n, Draw(seed, temperature), torch.device("cpu"))
        return features_of(images, Costly16(), Progress(), "x").rows()

    few, many = made(64), made(150)
    assert decoded == [(0, 0), (0, 64), (0, 128)]
    assert (few == many[:64]).all()
    assert (made(150) == many).all()
    assert len(decoded) == 3
    assert (made(64, seed=1) != few).any()
    assert (made(64, temperature=0.5) != few).any()


def test_two_runs_may_fill_the_cache_at_once(images, cache):
    """A second run starts and finishes while the first computes its first shard. Both read only whole files."""

    class Overtaken(Costly):
        def __call__(self, pixels):
            if self.seen == 0:
                self.other = rows(images, Costly())
            return super().__call__(pixels)

    first = Overtaken()
    found = rows(images, first)
    assert (found == first.other).all()
    assert first.seen == 4
    assert (rows(images, Costly(lives=0)) == found).all()
    assert all(path.suffix == ".safetensors" for path in cache.rglob("*") if path.is_file())


def test_an_unreadable_image_leaves_no_partial_shard(tmp_path, cache):
    folder = tmp_path / "f"
    folder.mkdir()
    for i in range(6):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (4, 4), np.uint8)).save(folder / f"{i}.png")
    whole = (folder / "5.png").read_bytes()
    (folder / "5.png").write_bytes(whole[:-30])
    with pytest.raises(FileError, match=r"5\.png"):
        rows(folder, Costly())
    assert len(shards(cache)) <= 1


def test_a_read_only_cache_is_reported_before_any_work(images, cache, monkeypatch):
    """Existing shards are still read."""
    extractor = Costly()
    wanted = rows(images, extractor)
    monkeypatch.setattr("os.access", lambda *_: False)
    np.testing.assert_array_equal(rows(images, Costly()), wanted)
    extractor = Costly("other")
    with pytest.raises(FileError, match="cannot be written: Permission denied; set GENREV_CACHE to another folder, or pass --no-cache"):
        rows(images, extractor)
    assert extractor.seen == 0


@pytest.mark.parametrize("wrong", ["images", "network", "kind", "float64", "bool", "no features"])
def test_a_shard_of_something_else_under_the_right_name_is_made_again(images, cache, tmp_path, wrong):
    """Its name is what the cache looks for, but its header says what it holds."""
    straight = rows(images, Costly())
    if wrong == "images":
        rows(written(tmp_path / "y.npy", seed=1), Costly())
    one = next(path for path in shards(cache) if read_checkpoint(path)[1]["features"].shape[0] == 4)
    header, tensors = read_checkpoint(one)
    if wrong == "images":
        other = next(path for path in shards(cache) if read_checkpoint(path)[0].config != header.config)
        header, tensors = read_checkpoint(other)
    elif wrong == "network":
        header = replace(header, config={**header.config, "extractor": {"extractor": "another"}})
    elif wrong == "kind":
        header = replace(header, kind="state")
    else:
        changed = {"float64": tensors["features"].double(), "bool": tensors["features"] > 0}
        tensors = {"features": changed[wrong]} if wrong in changed else {"other": tensors["features"]}
    write_checkpoint(one, tensors, replace(header, sha256=tensors_digest(tensors)))
    notes = Notes()
    assert (rows(images, Costly(), notes) == straight).all()
    assert any("made again" in said for said in notes.said)
    assert (rows(images, Costly(lives=0)) == straight).all()
