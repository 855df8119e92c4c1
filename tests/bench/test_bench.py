"""Benchmarks: both sides do the same work, and ratios, memory and threads are right. Times are not tested."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from genrev_cli.bench import fid_extraction, fid_frechet, fid_moments, run
from genrev_cli.bench.harness import Table, Timing, Variant, alternate, compared
from genrev_cli.bench.machine import conditions, threads
from genrev_cli.bench.memory import extra_peak_mb
from genrev_cli.bench.random_inception import pytorch_fid_network, random_inception_weights
from genrev_cli.cli import main
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.pictures import read_json
from genrev_cli.metrics.features import InceptionExtractor, inception_trunk
from genrev_cli.metrics.frechet import frechet_distance
from genrev_cli.progress import SILENT
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.training.devices import has_bf16

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights():
    return random_inception_weights(3)


def test_variants_take_turns():
    order = []
    variants = [Variant(name, lambda name=name: order.append(name) or name * 2) for name in "ab"]
    timings = alternate(variants, 3, "", SILENT)
    assert order == list("ab") * 4  # the first turn is the warm-up
    assert [timing.result for timing in timings] == ["aa", "bb"]
    assert all(len(timing.seconds) == len(timing.cpu_seconds) == 3 for timing in timings)


def test_the_clock_waits_for_the_gpu(monkeypatch):
    order = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: order.append("wait"))
    alternate([Variant("a", lambda: order.append("run"))], 2, "", SILENT)
    assert order == ["run", *["wait", "run", "wait"] * 2]


def test_ratios_are_medians_over_rounds():
    # The machine was 10 times slower in the second round. The ratio of medians would be 2, unlike the ratio in any round.
    slow = Timing(Variant("slow", print), (4.0, 30.0, 6.0), (8.0, 8.0, 8.0), 1.0)
    fast = Timing(Variant("fast", print, target=2.5), (1.0, 10.0, 3.0), (4.0, 2.0, 1.0), 1.5)
    baseline, row = compared([slow, fast], lambda value: abs(value - 1))
    assert row == {
        "variant": "fast", "seconds": 3.0, "ratio": 3.0, "ratio_min": 2.0, "ratio_max": 4.0, "ratio_cpu": 4.0,
        "ratio_cpu_min": 2.0, "ratio_cpu_max": 8.0, "target": 2.5, "error": 0.5,
    }  # fmt: skip
    assert (baseline["ratio"], baseline["error"]) == (1, 0)


def test_peak_memory_counts_the_work_only():
    here = np.ones(40_000_000)  # 320 MB of this process must not hide the child's
    assert extra_peak_mb(partial, np.ones, 8_000_000) == pytest.approx(64, abs=8)
    assert len(here)


def test_threads_are_set_within_the_block():
    before = torch.get_num_threads()
    with threads(2):
        found = conditions(CPU)["threads"]
        assert found["torch"] == 2
        assert set(found.values()) <= {1, 2}  # a library built for one thread stays at one
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("flags", "expected"), [("sse avx2", False), ("avx2 avx512_bf16", True), ("amx_bf16", True), ("", False)])
def test_bf16_is_read_from_the_flags(tmp_path, monkeypatch, flags, expected):
    path = tmp_path / "cpuinfo"
    path.write_text(f"model name\t: A\nflags\t\t: {flags}\n\n")
    monkeypatch.setattr("genrev_cli.training.devices._CPUINFO", path)
    assert has_bf16(CPU) is expected


def test_random_weights_keep_activations_in_range(weights):
    trunk = inception_trunk(weights)
    spread = []
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _, __, out: spread.append((out.mean().item(), out.std().item())))
    trunk(2 * torch.rand((1, 3, 299, 299), generator=torch.Generator().manual_seed(5)) - 1)
    assert len(spread) == 94
    assert all(abs(mean) < 0.5 and 0.3 < sd < 2 for mean, sd in spread)


def test_the_same_seed_gives_the_same_weights(weights):
    generator = torch.Generator().manual_seed(0)
    name = "Mixed_6c.branch7x7_2.conv.weight"
    assert weights[name].std() == pytest.approx((2 / weights[name][0].numel()) ** 0.5, rel=0.02)
    assert not torch.equal(weights[name], torch.empty_like(weights[name]).normal_(generator=generator))


def test_extraction_does_the_same_work_on_both_sides(weights):
    images = torch.randint(0, 256, (3, 3, 20, 20), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    theirs = fid_extraction.pytorch_fid_features(images, pytorch_fid_network(weights), CPU)
    ours = InceptionExtractor(weights, weights_sha256="")(images).numpy()
    assert np.linalg.norm(ours - theirs) <= 1e-4 * np.linalg.norm(theirs - theirs.mean(0))


@pytest.mark.parametrize(("n", "d"), [(80, 20), (12, 20)])
def test_every_formula_gives_the_closed_form(n, d):
    given = fid_frechet.problem(n, d, 1)
    first, second = (fid_frechet._matrices(rows) for rows in (given.x, given.y))
    commutator = first[1] @ second[1] - second[1] @ first[1]
    assert np.abs(commutator).max() > 1e-3
    ours = frechet_distance(*(fid_frechet._moments(rows) for rows in (given.x, given.y)))
    assert ours == pytest.approx(given.truth, rel=1e-12)
    for formula in (fid_frechet.by_square_root, fid_frechet.by_eigenvalues):
        assert formula(*first, *second) == pytest.approx(given.truth, rel=1e-9 if n > d else 1e-5)


def test_the_square_root_without_disp(monkeypatch):
    first, second = (fid_frechet._matrices(rows) for rows in fid_frechet.problem(60, 10, 2)[:2])
    before = fid_frechet.by_square_root(*first, *second)
    monkeypatch.setattr(fid_frechet, "sqrtm", lambda a, real=fid_frechet.sqrtm: real(a))  # as SciPy 1.18 has it
    assert fid_frechet.by_square_root(*first, *second) == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize("n", [fid_moments.POOL_ROWS + 130, 75])
def test_both_methods_give_the_same_moments(n):
    pool = fid_moments._pool(30)
    rows = np.concatenate(list(fid_moments._batches(pool, n)))
    assert len(rows) == n
    for way in fid_moments.WAYS.values():
        mu, sigma = way(pool, n)
        np.testing.assert_allclose(mu, rows.astype(np.float64).mean(0), rtol=1e-12)
        np.testing.assert_allclose(sigma, np.cov(rows.astype(np.float64), rowvar=False), atol=1e-13)


@pytest.fixture
def fast(monkeypatch):
    """Replace the sections by fast ones."""
    rows = [{"variant": "theirs", "ratio": 1.0, "target": None}, {"variant": "ours", "ratio": 3.25, "target": 2.0, "extra": 7}]
    seen = []
    section = lambda options, device, progress: seen.append(options) or [Table("a table", rows, ("a note",))]  # noqa: E731
    monkeypatch.setitem(run.BENCHES, "fid", {"one": section, "two": section})
    return seen


def test_the_command_writes_the_tables_and_their_conditions(fast, tmp_path, capsys):
    out = tmp_path / "b.json"
    assert main(["bench", "fid", "--out", str(out), "--only", "two", "--rounds", "4", "--quick", "--threads", "1", "--device", "cpu"]) == 0
    stdout, stderr = capsys.readouterr()
    assert stdout == f"{out}\n"
    lines = [line.split() for line in stderr.splitlines()]
    assert ["variant", "ratio", "target", "extra"] in lines
    assert ["ours", "3.25", "2", "7"] in lines
    header, numbers = read_json(out)
    assert (header.kind, header.config["rounds"], header.config["sections"]) == ("bench", 4, ["two"])
    assert len(numbers["tables"]) == len(fast) == 1
    assert numbers["conditions"]["threads"]["torch"] == 1
    assert {"cpu", "flags", "versions", "device"} <= set(numbers["conditions"])
    assert main(["bench", "fid", "--out", str(out), "--json", "--device", "cpu"]) == 0  # its own results may be replaced
    assert len(json.loads(capsys.readouterr()[0])["tables"]) == 2


@pytest.mark.parametrize(
    ("name", "only", "says"),
    [
        ("fd", (), "bench fd: unknown; choose batches, fid"),
        ("fid", ("speed",), "bench fid has no such section; choose extraction, frechet, moments"),
    ],
)
def test_unknown_names_are_refused(tmp_path, name, only, says):
    with pytest.raises(UsageError, match=says):
        run.bench(name, tmp_path / "b.json", BenchOptions(only=only, device="cpu"))


@pytest.mark.parametrize(
    ("name", "option"), [("ot", {"images": 3}), ("fid", {"batch": 2}), ("revnet", {"path": "x"}), ("inn", {"images": 9})]
)
def test_an_option_that_the_benchmark_does_not_use_is_refused(tmp_path, name, option):
    with pytest.raises(UsageError, match=f"--{next(iter(option))}: bench {name} does not use it"):
        run.bench(name, tmp_path / "b.json", BenchOptions(device="cpu", **option))


def test_a_file_of_another_kind_is_not_overwritten(fast, tmp_path):
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(FileError, match="choose another --out"):
        run.bench("fid", tmp_path / "b.json", BenchOptions(device="cpu"))
    assert not fast


def test_the_sections_run(tmp_path, monkeypatch):
    monkeypatch.setattr(fid_moments, "extra_peak_mb", lambda *_: 1.0)  # its processes are tested above
    options = BenchOptions(only=("frechet", "moments"), rounds=1, quick=True, device="cpu", threads=1)
    full, few, moments = run.bench("fid", tmp_path / "b.json", options).numbers["tables"]
    assert full["rows"][2]["error"] < 1e-12 * 1e3
    assert few["rows"][3]["error"] < 1e-12 * 1e3 < few["rows"][0]["error"]
    assert moments["rows"][1]["error"] < 1e-12
