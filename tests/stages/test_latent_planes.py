"""Planes of real and generated codes in the report, from a code file and the checkpoint that made it."""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.progress import SILENT, Progress
from genrev_cli.report.chain import Record
from genrev_cli.report.clouds import SIDE, figure
from genrev_cli.scoring.latent_planes import code_clouds
from genrev_cli.settings.codes import EncodeSettings, FitGmmSettings
from genrev_cli.settings.pages import ReportSettings
from genrev_cli.stages.encode import encode
from genrev_cli.stages.fit_gmm import fit_gmm
from genrev_cli.stages.report import report


@pytest.fixture
def model(tmp_path, recon):
    return recon(tmp_path / "recon.safetensors", steps=1).out


@pytest.fixture
def codes(tmp_path, model):
    """Return a function that encodes 22 images; `full`: all 64 dimensions."""

    def write(full=False):
        path = encode(model, tmp_path / "codes.h5", EncodeSettings(full=full)).out
        return Record(path, hdf5.read_header(path))

    return write


def moved(model, name):
    """Rename the checkpoint."""
    there = model.with_name(name)
    shutil.move(model, there)
    return Record(there, read_checkpoint_header(there))


@pytest.mark.parametrize(("full", "dim"), [(False, 4), (True, 64)])
def test_equal_numbers_of_prior_codes_and_real_codes(codes, full, dim):
    (found,) = code_clouds(codes(full), [], [], SILENT)
    assert found.dim == dim
    assert [cloud.title for cloud in found.clouds] == ["PCA", "t-SNE"]
    assert {cloud.real.shape for cloud in found.clouds} | {cloud.generated.shape for cloud in found.clouds} == {(22, 2)}
    with h5py.File(found.record.path) as file:
        assert found.classes == [str(label) for label in file["labels"][:]]


def test_every_point_lies_in_the_frame_and_both_axes_have_the_same_scale(codes):
    """Distances on the page are proportional to those in the plane. Each class is named once."""
    (clouds,) = code_clouds(codes(), [], [], SILENT)
    drawn = figure(clouds)
    flat, near = drawn.plots
    for plot, cloud in zip(drawn.plots, clouds.clouds, strict=True):
        points = [tuple(map(int, dot[:-2].split())) for _, path in plot.layers for dot in path.split("M")[1:]]
        assert len(points) == 44
        assert all(0 < place < SIDE for point in points for place in point)
        real, _ = (np.array([p for colour, path in plot.layers for p in path.split("M")[1:] if colour == which]) for which in (0, 1))
        assert len(real) == 22
        spread = np.ptp(np.array(points), axis=0) / np.ptp(np.concatenate([cloud.real, cloud.generated]), axis=0)
        assert spread[0] == pytest.approx(spread[1], rel=0.01)
    assert not flat.names
    assert sorted(name for *_, name in near.names) == sorted(set(clouds.classes))


def test_a_moved_checkpoint_is_found_by_its_content(codes, model):
    record = codes()
    (before,) = code_clouds(record, [], [], SILENT)
    there = moved(model, "elsewhere.safetensors")
    (after,) = code_clouds(record, [there], [], SILENT)
    np.testing.assert_array_equal(after.clouds[0].generated, before.clouds[0].generated)


def test_without_the_checkpoint_there_is_a_note_and_no_plot(codes, model, recon, tmp_path):
    """Another model at the same path is not used instead."""
    record, notes = codes(), []
    moved(model, "elsewhere.safetensors")
    shutil.copy(recon(tmp_path / "other.safetensors", steps=1, seed=5).out, model)

    class Listener(Progress):
        def note(self, message):
            notes.append(message)

    report([record.path], tmp_path / "report.html", ReportSettings(), progress=Listener())
    assert '<section id="codes">' not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(notes) == 1
    assert "codes.h5" in notes[0]


def test_the_report_describes_the_plots(codes, model, tmp_path):
    report([codes().path, model], tmp_path / "report.html", ReportSettings())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    section = page[page.index('<section id="codes">') : page.index("</section>", page.index('<section id="codes">'))]
    for fact in (
        "22 codes of real images",
        "22 codes drawn from the prior",
        "active dimensions: 4",
        "perplexity 14.3",
        "seed 0",
        "split train",
    ):
        assert fact in section, fact


def test_codes_of_a_given_sampler(codes, tmp_path):
    """They replace those of the prior, but only if the sampler was fitted to these codes."""
    record = codes()
    gmm = fit_gmm(record.path, tmp_path / "gmm.safetensors", FitGmmSettings(components=2)).out
    sampler = Record(gmm, read_checkpoint_header(gmm))
    (found,) = code_clouds(record, [], [sampler], SILENT)
    assert found.source == "gmm.safetensors"
    assert "22 codes drawn from gmm.safetensors" in [text for _, text in figure(found).legend]
    other = Record(gmm, replace(sampler.header, inputs={}))
    assert [cloud.source for cloud in code_clouds(record, [], [other], SILENT)] == ["the prior"]
