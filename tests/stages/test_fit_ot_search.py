"""fit-ot with a search among clusters: when it starts, and what it writes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from genrev_cli.errors import InterruptedRun, UsageError
from genrev_cli.files import hdf5
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header
from genrev_cli.files.header import Header
from genrev_cli.ot.cells import judge
from genrev_cli.runs.resume import run_folder
from genrev_cli.settings.transport_map import FitOtOptions
from genrev_cli.stages import fit_ot as stage
from genrev_cli.stages.fit_ot import fit_ot
from genrev_cli.training.log import read_log

pytestmark = pytest.mark.usefixtures("coarse_maps")

OPTIONS = FitOtOptions(target_error=0.35, precision="fp32", device="cpu")


@pytest.fixture
def codes(tmp_path):
    """120 codes in eight dimensions: four clusters, in two classes of 80 and 40."""
    rng = np.random.default_rng(0)
    values = {
        "codes": (rng.normal(0, 3, (4, 8)).repeat(30, 0) + rng.normal(0, 0.3, (120, 8))).astype(np.float32),
        "labels": np.repeat([0, 1], [80, 40]),
        "rows": np.arange(120),
    }
    path = tmp_path / "codes.h5"
    with hdf5.writing(path, Header("codes", {"latent": "restricted", "dim": 8, "split": "train"}, "")) as writer:
        for name, array in values.items():
            writer.create(name, array.shape, str(array.dtype))
            writer.write(name, 0, array)
    return path


def identity(out):
    return read_checkpoint_header(out).config["identity"]


def tensors(out):
    return read_checkpoint(out)[1]


def same(one, other):
    return all(torch.equal(tensors(one)[name], tensor) for name, tensor in tensors(other).items())


def test_it_starts_with_many_codes_on_a_cpu(codes, tmp_path, monkeypatch):
    few = fit_ot(codes, tmp_path / "few.safetensors", OPTIONS)
    assert "search_above" not in identity(few.out)
    assert "empty" in few.numbers
    monkeypatch.setattr(stage, "MANY_CODES", 119)
    many = fit_ot(codes, tmp_path / "many.safetensors", OPTIONS)
    assert identity(many.out)["search_above"] == 119
    assert "empty" not in many.numbers
    exact = fit_ot(codes, tmp_path / "exact.safetensors", replace(OPTIONS, search="exact"))
    assert same(exact.out, few.out)
    assert not same(many.out, few.out)


def test_only_maps_with_many_codes_search(codes, tmp_path, monkeypatch):
    built, build = [], stage.build_solver
    monkeypatch.setattr(stage, "build_solver", lambda *words, **settings: built.append(build(*words, **settings)) or built[-1])
    monkeypatch.setattr(stage, "MANY_CODES", 50)
    fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, per_class=True))
    assert [solver.search is not None for solver in built] == [True, False]


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_that_began_with_all_codes_goes_on_so(codes, tmp_path, monkeypatch, finished):
    """So do runs of earlier versions, in whose files there is no search."""
    whole, out = (tmp_path / name for name in ("whole.safetensors", "ot.safetensors"))
    fit_ot(codes, whole, replace(OPTIONS, target_error=0.1))
    if finished:
        fit_ot(codes, out, OPTIONS)
    else:
        with pytest.raises(InterruptedRun):
            fit_ot(codes, out, replace(OPTIONS, time_limit=1e-4))
    monkeypatch.setattr(stage, "MANY_CODES", 0)
    fit_ot(codes, out, replace(OPTIONS, target_error=0.1))
    assert same(out, whole)
    fit_ot(codes, out, replace(OPTIONS, restart=True))
    assert identity(out)["search_above"] == 0


def test_another_search_needs_a_restart(codes, tmp_path):
    out = fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, search="clusters")).out
    with pytest.raises(UsageError, match=r"other settings \(search_above: 0 → None\); use --restart"):
        fit_ot(codes, out, replace(OPTIONS, search="exact"))
    assert fit_ot(codes, out, OPTIONS).numbers["samples"] == read_checkpoint_header(out).step  # auto goes on as it began


def test_the_last_error_is_measured_on_all_codes(codes, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(stage, "judge", lambda *words, **settings: asked.append(settings.get("search")) or judge(*words, **settings))
    result = fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, search="clusters", target_error=0.1))
    assert asked[-1] is None
    assert [one is None for one in asked].count(True) <= 2  # earlier ones use the search
    assert len(asked) > 4
    assert result.numbers["rel"] == read_log(run_folder(result.out) / "log.jsonl")[-1]["rel"] < 0.1


def test_interrupted_with_a_search_is_the_same_to_the_bit(codes, tmp_path):
    options = replace(OPTIONS, search="clusters", target_error=0.2)
    whole = fit_ot(codes, tmp_path / "whole.safetensors", options).out
    broken = tmp_path / "broken.safetensors"
    for _ in range(3):
        with pytest.raises(InterruptedRun):
            fit_ot(codes, broken, replace(options, time_limit=1e-4))
    fit_ot(codes, broken, options)
    assert same(broken, whole)


def test_a_search_off_the_cpu_is_refused(codes, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "searched_by_host", lambda device: False)
    with pytest.raises(UsageError, match="--search clusters: searches on a CPU only"):
        fit_ot(codes, tmp_path / "ot.safetensors", replace(OPTIONS, search="clusters"))
    monkeypatch.setattr(stage, "MANY_CODES", 0)
    assert "search_above" not in identity(fit_ot(codes, tmp_path / "ot.safetensors", OPTIONS).out)
