"""bench growth: exponents are fitted right, and every curve runs. Times are not tested."""

import numpy as np
import pytest
import torch

from genrev_cli.bench import growth, run
from genrev_cli.bench.growth import Curve, exponent, measured
from genrev_cli.progress import SILENT
from genrev_cli.settings.bench import BenchOptions

CURVES = [*growth.TRAINING, *growth.METRICS, *growth.TRANSPORT, *growth.STAGES]
QUICK = BenchOptions(rounds=1, threads=1, device="cpu", quick=True)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_exponents_are_slopes(power):
    sizes = np.array([3.0, 12.0, 48.0])
    assert exponent(sizes, 7 * sizes**power) == pytest.approx(power, abs=1e-12)


def test_peaks_are_fitted_and_shown(monkeypatch):
    monkeypatch.setattr(growth, "extra_peak_mb", lambda _, prepare, least, size, threads: 0.5 * size**2)
    (row,) = measured("squares", [Curve("square", "side", (4, 8, 16), lambda side: lambda: None, seconds=2, memory=2)], QUICK, SILENT).rows
    assert row["exponent_mb"] == pytest.approx(2, abs=1e-12)
    assert row["peak_mb"] == "8 32 128"


def test_the_process_that_is_measured_runs_the_least_size_first():
    ran = []
    measure = growth._warm(lambda size: lambda: ran.append((size, torch.get_num_threads())), 2, 8, 1)
    assert ran == [(2, 1)]
    measure()
    assert ran == [(2, 1), (8, 1)]


def test_no_exponent_of_memory_that_is_not_used(monkeypatch):
    monkeypatch.setattr(growth, "extra_peak_mb", lambda *_: growth.LEAST_MB - 0.1)
    (row,) = measured("nothing", [Curve("nothing", "n", (2, 4, 8), lambda n: lambda: None, seconds=0, memory=0)], QUICK, SILENT).rows
    assert row["exponent_mb"] is None


def test_every_curve_runs(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(growth, "extra_peak_mb", lambda _, prepare, least, size, threads: asked.append((least, size)) or 9.0)
    tables = run.bench("growth", tmp_path / "b.json", QUICK).numbers["tables"]
    rows = [row for table in tables for row in table["rows"]]
    assert [row["work"] for row in rows] == [curve.name for curve in CURVES]
    assert len(asked) == 3 * len(CURVES)
    assert all(least <= size for least, size in asked)
    for row, curve in zip(rows, CURVES, strict=True):
        assert len(set(row["sizes"].split())) == 3
        assert np.isfinite(row["exponent"])
        assert row["expected"] == curve.seconds
