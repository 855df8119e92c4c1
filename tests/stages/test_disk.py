"""Disk space: the estimate is what is written, and nothing starts when there is too little."""

import os
import re
from collections import namedtuple
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from fid_files import Notes, h5

from genrev_cli.cli import main
from genrev_cli.errors import FileError
from genrev_cli.files import hdf5, space
from genrev_cli.files.header import Header
from genrev_cli.files.samples import samples_bytes, writing_samples
from genrev_cli.files.space import announce, shown
from genrev_cli.latents import transport_maps
from genrev_cli.metrics.features import Extractor
from genrev_cli.progress import SILENT
from genrev_cli.runs import run as training
from genrev_cli.scoring import features as cache
from genrev_cli.scoring.images import open_image_input
from genrev_cli.settings.codes import EncodeSettings
from genrev_cli.settings.evaluation import EvalOptions
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.stages import encode as encoding
from genrev_cli.stages import fit_features as classifying
from genrev_cli.stages import fit_ot as fitting
from genrev_cli.stages import prepare_data as preparing

pytestmark = pytest.mark.usefixtures("coarse_maps")

RUN = RunOptions(device="cpu", log_every=1, preview_every=1, save_minutes=1e-9)
Usage = namedtuple("Usage", "total used free")


def on_disk(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def most(tmp_path, monkeypatch):
    """Return a function for the largest disk use above that at the start; it is measured whenever a file replaces another."""
    seen, rename = [0], os.replace

    def watched(*paths):
        seen.append(on_disk(tmp_path))
        return rename(*paths)

    monkeypatch.setattr(os, "replace", watched)

    def so_far(before):
        seen.append(on_disk(tmp_path))
        found = max(seen) - before
        seen.clear()
        return found

    return so_far


@pytest.fixture
def told(monkeypatch):
    """Return a list of the sizes that stages announce."""
    found = []
    for module in (encoding, cache, fitting, preparing, training):
        monkeypatch.setattr(module, "announce", lambda target, needed, note, **words: found.append(needed))
    return found


def assert_close(needed, written, slack=0):
    assert written <= needed <= 1.2 * written + slack


@pytest.fixture
def wide(tmp_path, perceptual):
    """Return a recipe for a network of more than a megabyte."""
    path = tmp_path / "wide.toml"
    path.write_text((tmp_path / "strided" / "tiny.toml").read_text().replace("dense = 8", "dense = 6000"))
    return str(path)


class Costly(Extractor):
    """Has as many features as ten images have pixels."""

    name, label, kernel_label, dims, any_size, costly = "costly", "FD-costly", "KD-costly", 160, True, True
    identity: ClassVar[dict[str, str]] = {"extractor": "costly"}

    def __call__(self, pixels):
        return pixels.float().flatten(1).repeat(1, 10)


SCORED = EvalOptions(every=1, n=8, features="pixel")


@pytest.mark.parametrize(
    ("run", "settings"), [({}, {}), ({}, {"ema_halflife_images": 100}), ({"evaluation": SCORED}, {})], ids=["plain", "averaged", "scored"]
)
def test_training(tmp_path, perceptual, wide, most, told, run, settings):
    """With more than a megabyte of weights: a new run, a resumed one, and a restarted one."""
    out, run = tmp_path / "out.safetensors", replace(RUN, **run)
    for steps, restart in ((2, False), (3, False), (2, True)):
        again = {"steps": steps, "recipe": wide, **settings, "run": replace(run, restart=restart)}
        before = on_disk(tmp_path)
        asked = perceptual(out, **{**again, "run": replace(again["run"], dry_run=True)}).numbers["disk_bytes"]
        perceptual(out, **again)
        assert told.pop() == asked
        assert_close(asked, most(before))


@pytest.mark.parametrize("name", ["recon", "adversarial", "transport", "perceptual", "variational"])
def test_small_training(tmp_path, request, most, told, name):
    """The estimate is never too small, also when headers and pictures are the largest part."""
    stage, out = request.getfixturevalue(name), tmp_path / "out.safetensors"
    before = on_disk(tmp_path)
    most(0), told.clear()
    stage(out, steps=5, run=RUN)
    assert most(before) <= told[0]


def test_momentum_of_a_classifier(tmp_path, learnable, most, told):
    before, out = on_disk(tmp_path), tmp_path / "c.safetensors"
    classifying.fit_features(learnable, out, overrides={"fit-features": {"steps": 2, "batch": 8}}, run=RUN, progress=SILENT)
    assert_close(told[0], most(before))


@pytest.mark.parametrize(("n", "dim"), [(600, 64), (600, 1)])
def test_fit_ot(tmp_path, most, told, monkeypatch, n, dim):
    monkeypatch.setattr(fitting, "LEAST_JUDGES", 1000)
    monkeypatch.setattr(transport_maps, "LEAST_CENTRES", 1000)
    path = tmp_path / "codes.h5"
    values = {"codes": np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32), "labels": np.zeros(n, int), "rows": np.arange(n)}
    with hdf5.writing(path, Header("codes", {"latent": "restricted", "dim": dim, "split": "train"}, "")) as writer:
        for name, array in values.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    before = on_disk(tmp_path)
    most(0)
    fitting.fit_ot(path, tmp_path / "ot.safetensors", fitting.FitOtOptions(max_samples=1, save_minutes=1e-9, device="cpu", theta="0.5"))
    assert_close(told[0], most(before), slack=1 << 15)


def test_encode(tmp_path, write_images, model, most, told):
    data = write_images(tmp_path / "many.h5", counts=(20_000, 5, 3))
    before = on_disk(tmp_path)
    most(0), told.clear()
    encoding.encode(model, tmp_path / "codes.h5", EncodeSettings(full=True, batch=4096, device="cpu"), data=data)
    assert_close(told[0], most(before))


def test_prepare_data(tmp_path, most, told):
    preparing.prepare_data(preparing.PrepareConfig("digits", size="64"), tmp_path / "data.h5")
    assert_close(told[0], most(0), slack=1 << 18)


@pytest.mark.parametrize("name", ["s.h5", "s.npz", "s"])
@pytest.mark.parametrize("shape", [(500, 3, 32, 32), (40, 1, 101, 67)])
def test_samples_of_noise(tmp_path, name, shape):
    out, images = tmp_path / name, np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with writing_samples(out, shape, Header("samples", {}, "")) as writer:
        writer.add(images)
    files = [out] if out.is_file() else list(out.iterdir())
    written = sum(-(-file.stat().st_size // 4096) * 4096 for file in files)
    needed, say = samples_bytes(out, shape)
    assert_close(needed, written, slack=1 << 18)
    assert say == ("at most" if name == "s" else "some")


def test_features(tmp_path, monkeypatch, most, told):
    monkeypatch.setenv("GENREV_CACHE", str(tmp_path / "cache"))
    images = open_image_input(h5(tmp_path / "x.h5", np.random.default_rng(0).integers(0, 256, (3000, 1, 4, 4), np.uint8)), "all", 0, SILENT)
    before = on_disk(tmp_path)
    for _ in range(2):
        cache.features_of(images, Costly(), SILENT, "x").rows()
    assert_close(told[0], most(before))
    assert told[1] == 0  # all of it is there


def test_the_note_on_disk_space(tmp_path, monkeypatch):
    notes, target = Notes(), tmp_path / "not" / "yet" / "there.h5"
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: Usage(0, 0, 45_200_000_000))
    announce(target, 2_340_000_000, notes.note)
    announce(target, 9_999_999, notes.note)
    announce(target, 10_000_000, notes.note, say="at most")
    assert notes.said == [
        f"{target}: some 2.3 GB will be written (45 GB free)",
        f"{target}: at most 10 MB will be written (45 GB free)",
    ]
    with pytest.raises(FileError, match=r"some 46 GB will be written, but only 45 GB are free; make room, or choose another --out"):
        announce(target, 46_000_000_000, notes.note)
    assert len(notes.said) == 2


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (12_345_678, "12 MB"), (5e16, "50000 TB")],
)
def test_sizes_in_words(count, words):
    assert shown(count) == words


def test_unknown_free_space_is_no_error(tmp_path, monkeypatch):
    def unknown(path):
        raise OSError

    monkeypatch.setattr(space.shutil, "disk_usage", unknown)
    said = []
    announce(tmp_path / "x", 10**15, said.append)
    assert said == []


@pytest.mark.parametrize(
    "line", ["prepare-data digits --out {w}/o.h5", "encode --ckpt {m} --out {w}/o.h5", "sample --ckpt {m} --out {w}/o"]
)
def test_a_full_disk_is_an_error_of_one_line(tmp_path, model, monkeypatch, capsys, line):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: Usage(0, 0, 100))
    assert main(line.format(w=tmp_path / "new", m=model).split()) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"genrev: error: .*/o.*: (some|at most) .* will be written, but only 100 bytes are free; make room.*\n", err)
    assert not (tmp_path / "new").exists()


def test_a_full_disk_stops_a_run_before_it_begins(tmp_path, stage, monkeypatch):
    out = tmp_path / "out" / "x.safetensors"
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: Usage(0, 0, 0))
    with pytest.raises(FileError, match=rf"^{re.escape(str(out))}: some .* will be written, but only 0 bytes are free"):
        stage(out, steps=2, run=RUN)
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] in ([], [out.parent])
