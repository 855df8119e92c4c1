"""The cache of features: whatever was in it, the numbers are the same to the bit, and no name makes it stale."""

import numpy as np
import pytest
import torch
from fid_files import Notes
from PIL import Image

from genrev_cli.errors import FileError
from genrev_cli.metrics.features import Extractor
from genrev_cli.progress import Progress
from genrev_cli.stages import features, generated_input
from genrev_cli.stages.checkpoints import load_checkpoint
from genrev_cli.stages.features import features_of
from genrev_cli.stages.image_inputs import open_image_input

SHAPE = (1, 4, 4)
N = 22


class Costly(Extractor):
    """A random projection that counts, and dies after so many images."""

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
    """An empty cache with shards of 4 images."""
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


def test_killed_and_gone_on_with_equals_straight(images, cache):
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


def test_content_is_the_key_and_not_the_name(images, cache):
    before = rows(images, Costly())
    copy = images.with_name("copy.npy")
    copy.write_bytes(images.read_bytes())
    assert (rows(copy, Costly(lives=0)) == before).all()
    written(images, seed=1)
    assert (rows(images, Costly()) != before).any()
    assert (rows(copy, Costly(weights="other")) != before).any()
    elsewhere = Costly()
    elsewhere.device = torch.device("cuda")  # whose sums are not to be mixed with the CPU's
    rows(copy, elsewhere)
    assert elsewhere.seen == N
    assert len(list(cache.iterdir())) == 4


def test_more_images_go_on_from_fewer(data):
    before = rows_of(data, "train", 10, Costly16())
    more = Costly16()
    assert (rows_of(data, "train", 22, more)[:10] == before).all()
    assert more.seen == 22 - 8  # the last shard of the ten was not whole
    other = Costly16()
    assert (rows_of(data, "val", 5, other) != before[:5]).any()
    assert other.seen == 5


class Costly16(Costly):
    """Of 8×8 images."""

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


def test_cheap_features_are_not_kept(images, cache):
    extractor = Costly()
    extractor.costly = False
    rows(images, extractor)
    assert not cache.exists()


def test_a_checkpoint_samples_only_what_is_missing(tmp_path, recon, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 64)
    model = load_checkpoint(recon(tmp_path / "m.safetensors", steps=1).out, torch.device("cpu"))
    decoded = []

    def counted(model, seed, numbers, *rest, original=generated_input.decode_samples):
        decoded.append((seed, numbers[0]))
        return original(model, seed, numbers, *rest)

    monkeypatch.setattr(generated_input, "decode_samples", counted)

    def made(n, seed=0, temperature=1.0):
        images = generated_input.generated_images(model, n, seed, temperature, torch.device("cpu"))
        return features_of(images, Costly16(), Progress(), "x").rows()

    few, many = made(64), made(150)
    assert decoded == [(0, 0), (0, 64), (0, 128)]
    assert (few == many[:64]).all()
    assert (made(150) == many).all()
    assert len(decoded) == 3
    assert (made(64, seed=1) != few).any()
    assert (made(64, temperature=0.5) != few).any()


def test_two_at_once(images, cache):
    """While the first makes its first shard another one starts and finishes; both go by whole files alone."""

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


def test_an_unreadable_image_is_no_reason_to_keep_half(tmp_path, cache):
    folder = tmp_path / "f"
    folder.mkdir()
    for i in range(6):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (4, 4), np.uint8)).save(folder / f"{i}.png")
    whole = (folder / "5.png").read_bytes()
    (folder / "5.png").write_bytes(whole[:-30])
    with pytest.raises(FileError, match=r"5\.png"):
        rows(folder, Costly())
    assert len(shards(cache)) <= 1
