"""bench task: costs of processes, ratios, programs that are missing or fail, and what each task's two sides make. Times are not tested."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_fid import inception as pytorch_fid
from safetensors.torch import load_file

from genrev_cli.bench import run
from genrev_cli.bench.harness import Table
from genrev_cli.bench.tasks import chart, fid, minibatch, pictures, program_minibatch, race, sampling, theirs_transport, transport, words
from genrev_cli.bench.tasks.race import Cost, Side
from genrev_cli.cli import main
from genrev_cli.errors import FileError, UnavailableError
from genrev_cli.files.pictures import read_json, read_picture
from genrev_cli.metrics.weights import NAME
from genrev_cli.progress import SILENT
from genrev_cli.settings.bench import BenchOptions

CPU = torch.device("cpu")
QUICK = BenchOptions(quick=True, rounds=1, device="cpu", threads=1)
BURN = "import time\nwhile time.process_time() < {}: pass"


def python(code):
    return (sys.executable, "-I", "-S", "-c", code)


def side(name, code="print(1)", judge=lambda stdout: {"said": stdout.strip()}, **more):
    return Side(name, python(code), judge, **more)


def test_the_cost_is_that_of_all_processes_of_the_program(tmp_path):
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN.format(0.4)!r}])\nx = bytearray(10**8)\nprint('done')"
    cost = race.spend(side("a", code), 0, tmp_path)
    assert 0.4 <= cost.cpu_seconds < 4
    assert cost.seconds >= 0.4
    assert cost.stdout == "done\n"
    assert 100 < cost.peak_mb < 150  # not the hundreds of MB of this process


def test_earlier_results_are_moved_away_before_a_run(tmp_path):
    here, earlier = tmp_path / "here", tmp_path / "earlier"
    earlier.mkdir()
    clean = [here / "folder", here / "file", here / "never"]
    code = f"import os\nprint(os.listdir({str(here)!r}))"
    for number in range(1, 3):
        (here / "folder").mkdir(parents=True)
        (here / "file").touch()
        assert race.spend(side("a", code, clean=clean), 0, earlier).stdout == "[]\n"
        assert sorted(path.name for path in earlier.glob("*/*")) == ["file"] * number + ["folder"] * number


@pytest.mark.parametrize(("threads", "said"), [(3, "3 x"), (0, "7 x")])
def test_programs_get_the_same_threads(monkeypatch, tmp_path, threads, said):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    code = "import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ['MINE'])"
    assert race.spend(side("a", code, environment={"MINE": "x"}), threads, tmp_path).stdout.strip() == said


def test_ratios_are_medians_over_rounds_of_cpu_time_and_of_wall_time():
    theirs = [Cost(4, 8, 100, "a"), Cost(30, 8, 300, "b"), Cost(6, 8, 200, "c")]
    ours = [Cost(1, 4, 50, "x"), Cost(10, 2, 60, "y"), Cost(3, 1, 40, "z")]
    baseline, row = race.compared([(side("theirs"), theirs), (side("ours", target=2.0), ours)])
    assert row == {
        "variant": "ours", "cpu_seconds": 2, "seconds": 3, "peak_mb": 60, "against": "theirs", "ratio_cpu": 4,
        "ratio_cpu_min": 2, "ratio_cpu_max": 8, "target": 2.0, "ratio": 3, "ratio_min": 2, "ratio_max": 4, "said": "z",
    }  # fmt: skip
    assert (baseline["ratio_cpu"], baseline["peak_mb"]) == (1, 300)


def test_a_side_is_compared_with_the_one_that_it_names_or_else_with_the_first():
    sides = [side("theirs"), side("theirs, warm"), side("ours, warm", against="theirs, warm"), side("ours", against="not installed")]
    rows = race.compared([(one, [Cost(cpu, cpu, 1, "")]) for one, cpu in zip(sides, (8, 4, 2, 1), strict=True)])
    assert [(row["against"], row["ratio_cpu"]) for row in rows] == [("theirs", 1), ("theirs", 2), ("theirs, warm", 2), ("theirs", 8)]


def test_a_program_that_is_not_installed_is_left_out_with_the_command_that_installs_it():
    absent = side("theirs", needs={"json": "never", "no_such_module": "its-name"})
    table = race.race("t", [absent, side("ours"), side("ours, again")], QUICK, SILENT)
    assert [row["variant"] for row in table.rows] == ["ours", "ours, again"]
    assert "theirs left out because it is not installed; run pip install its-name" in table.notes
    assert not any(name.startswith("ratio") for row in table.rows for name in row)  # genrev is not compared with itself


def test_a_program_of_others_that_fails_is_left_out_but_genrev_must_not_fail():
    broken = "import sys\nsys.exit('first\\nwhat went wrong')"
    table = race.race("t", [side("theirs", broken, needs={"json": "x"}), side("ours")], BenchOptions(rounds=2, device="cpu"), SILENT)
    assert [row["variant"] for row in table.rows] == ["ours"]
    assert "theirs left out: theirs ended with exit code 1: what went wrong" in table.notes
    with pytest.raises(UnavailableError, match="ours ended with exit code 1: what went wrong"):
        race.race("t", [side("theirs"), side("ours", broken)], QUICK, SILENT)


def test_the_programs_take_turns(tmp_path):
    log = tmp_path / "log"
    both = [side(name, f"open({str(log)!r}, 'a').write({name!r})") for name in "ab"]
    race.race("t", both, BenchOptions(rounds=3, device="cpu"), SILENT)
    assert log.read_text() == "ababab"


@pytest.fixture
def stand_in(monkeypatch):
    """Replace the tasks by one with two programs that start at once."""
    sides = [side("theirs", BURN.format(0.1)), side("ours", target=2.0)]
    found = {name: lambda options, device, progress: [race.race("a task", sides, options, progress)] for name in ("one", "two")}
    monkeypatch.setitem(run.BENCHES, "task", found)


def test_the_command_writes_tables_and_bars(stand_in, tmp_path, capsys):
    out = tmp_path / "t.json"
    words = ["bench", "task", "two", "--out", str(out), "--rounds", "2", "--device", "cpu", "--json"]
    assert main(words) == 0
    (table,) = json.loads(capsys.readouterr()[0])["tables"]
    assert [row["variant"] for row in table["rows"]] == ["theirs", "ours"]
    assert table["rows"][1]["ratio_cpu"] > 1
    header, numbers = read_json(out)
    assert (header.config["sections"], header.config["rounds"]) == (["two"], 2)
    assert "versions" in numbers["conditions"]
    header, pixels = read_picture(out.with_suffix(".png"))
    assert (header.kind, pixels.shape[0]) == ("bench", 3)
    assert main(words) == 0  # its own results may be replaced


def test_sections_are_named_once(stand_in, tmp_path, capsys):
    assert main(["bench", "task", "two", "--only", "one", "--out", str(tmp_path / "t.json")]) == 2
    assert "two and --only one: give the sections once" in capsys.readouterr()[1]


def test_bars_show_the_rows_with_a_target():
    theirs = {"variant": "theirs", "ratio_cpu": 1.0, "ratio_cpu_min": 1.0, "ratio_cpu_max": 1.0, "target": None}
    ours = {"variant": "ours", "against": "theirs", "ratio_cpu": 0.3, "ratio_cpu_min": 0.2, "ratio_cpu_max": 40.0, "target": 2.0}
    one, also, two = (chart.bars([Table("t", rows)]) for rows in ([theirs, ours], [theirs, theirs, ours], [theirs, ours, ours]))
    assert one.shape == also.shape
    assert two.shape[1] > one.shape[1]
    assert chart.bars([Table("t", [theirs])]) is None
    assert chart.bars([Table("t", [{"variant": "alone", "target": 2.0}])]) is None


def test_both_prepare_the_same_pictures(here):
    (table,) = here(pictures, pictures.pictures)
    theirs, ours = table.rows
    assert theirs["images"] == ours["images"] == 8
    assert theirs["mean"] == pytest.approx(ours["mean"], abs=0.5)


def test_a_zip_of_pictures_is_unpacked_first(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("deep/one.jpg", b"1")
    folder = pictures.unpacked(tmp_path / "a.zip", tmp_path / "raw")
    assert [path.read_bytes() for path in folder.rglob("*.jpg")] == [b"1"]
    assert pictures.unpacked(tmp_path, tmp_path / "raw") == tmp_path


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(FileError, match="has no images"):
        pictures.pictures(BenchOptions(path=tmp_path, device="cpu"), CPU, SILENT)


def test_both_draw_as_many_pictures(here):
    (table,) = here(sampling, sampling.sampling)
    theirs, ours = table.rows
    assert theirs["images"] == ours["images"] == 8
    assert theirs["mean"] == pytest.approx(ours["mean"], abs=20)  # other random numbers, the same distribution


def test_both_descend_the_same_loss(here):
    (table,) = here(minibatch, minibatch.minibatch)
    theirs, ours = table.rows
    assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-5)
    assert min(theirs["cpu_of_steps"], ours["cpu_of_steps"]) > 0


def test_the_gradients_of_both_are_equal():
    generator = torch.Generator().manual_seed(1)
    x, s = torch.randn(20, 5, generator=generator).requires_grad_(), torch.randn(20, 5, generator=generator)
    both = [torch.autograd.grad(loss()(x, s), x)[0] for loss in (program_minibatch.pot_loss, program_minibatch.genrev_loss)]
    torch.testing.assert_close(*both)


def test_both_reach_the_masses(here):
    tables = here(transport, transport.transport)
    for table, goal in zip(tables, transport.GOALS, strict=True):
        assert table.rows[-1]["chi2"] < 1.5 * goal
        assert all(row["drawn"] == 50 for row in table.rows)


def test_chi2_of_equal_cells_is_zero_and_of_one_cell_is_n_minus_one():
    y = np.array([[-1.0], [1.0]], np.float32)
    x = np.linspace(-0.5, 0.5, 2000, dtype=np.float32)[:, None]
    assert theirs_transport.chi2(y, np.zeros(2), x) == pytest.approx(0, abs=2e-3)
    assert theirs_transport.chi2(y, np.array([9.0, 0.0]), x) == pytest.approx(1)


def test_pytorch_fid_finds_the_weights_that_genrev_gets(tmp_path):
    given = load_file(fid.given_weights(tmp_path, None))
    with torch.device("meta"):
        expected = pytorch_fid._inception_v3(num_classes=1008, aux_logits=False, weights=None).state_dict()
    theirs = torch.load(tmp_path / "hub" / "checkpoints" / NAME, weights_only=True)
    assert theirs.keys() == given.keys() == expected.keys()
    assert all(torch.equal(theirs[name], given[name]) and given[name].shape == like.shape for name, like in expected.items())


def test_the_reference_of_the_fid_has_full_rank(tmp_path, monkeypatch):
    monkeypatch.setattr(fid, "FEATURES", 40)
    fid.write_reference(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as found:
        assert np.linalg.matrix_rank(found["sigma"]) == 40
        assert found["mu"].shape == (40,)


def test_the_sides_of_the_fid(monkeypatch):
    seen = []
    monkeypatch.setattr(fid, "random_inception_weights", lambda seed: {"a": torch.zeros(1)})
    monkeypatch.setattr(fid, "local_inception_weights", lambda: None)
    monkeypatch.setattr(fid, "write_reference", Path.touch)
    monkeypatch.setattr(fid, "race", lambda title, sides, *_, notes: seen.extend(sides) or Table(title, [], tuple(notes)))
    statistics, folders = fid.fid(QUICK, CPU, SILENT)
    theirs, cold, warm = seen[:3]
    assert theirs.judge("warning\nFID:  12.5\n") == {"fid": 12.5}
    assert cold.judge('{"value": 3.5}') == {"fid": 3.5}
    assert cold.clean == [Path(cold.environment["GENREV_CACHE"])]
    assert (warm.clean, warm.environment, warm.command) == ((), cold.environment, cold.command)
    assert all(any("random weights" in note for note in table.notes) for table in (statistics, folders))


def test_torch_fidelity_and_genrev_compare_the_same_folders_with_the_same_weights(monkeypatch):
    seen = []
    monkeypatch.setattr(fid, "random_inception_weights", lambda seed: {"a": torch.zeros(1)})
    monkeypatch.setattr(fid, "local_inception_weights", lambda: None)
    monkeypatch.setattr(fid, "write_reference", Path.touch)
    monkeypatch.setattr(fid, "race", lambda title, sides, *_, notes: seen.append((sides, _held(sides))) or Table(title, [], tuple(notes)))
    fid.fid(QUICK, CPU, SILENT)
    (cold, warm, *ours), held = seen[1]
    assert cold.judge('a warning\n{\n  "frechet_inception_distance": 7.5\n}') == {"fid": 7.5}
    assert warm.command == cold.command
    assert (cold.clean, warm.clean) == ([Path(cold.command[cold.command.index("--cache-root") + 1])], ())
    assert held == [{"one": 2, "other": 2}] * 4
    assert [side.against for side in ours] == ["", warm.name]


def _held(sides):
    """Return, for each side, its folders and how many files they hold: the folders are gone after the task."""
    paths = [{Path(word) for word in side.command if Path(word).is_dir() and Path(word).name in {"one", "other"}} for side in sides]
    return [{path.name: len(list(path.glob("*.png"))) for path in folders} for folders in paths]


def test_the_last_line_is_the_answer():
    assert words.answer('a warning\n{"loss": 2}\n') == {"loss": 2}
