"""Folders that cannot be written to, inputs that disappear, two runs on one target, clocks that jump, and links."""

import ast
import os
import platform
import shutil
import time
from pathlib import Path

import pytest
from surroundings import left_behind, read_only, small_disk

import genrev_cli
from genrev_cli.errors import FileError
from genrev_cli.files.checkpoint import read_checkpoint, tensors_digest
from genrev_cli.files.lock import locked
from genrev_cli.files.targets import check_target
from genrev_cli.runs import run as training
from genrev_cli.runs.state import RunState
from genrev_cli.scoring import image_files
from genrev_cli.settings.pages import InfoSettings
from genrev_cli.stages import fit_ot
from genrev_cli.stages.info import info

TRAIN = "pretrain-recon --data {d} --recipe {s}/tiny.toml --device cpu --log-every 1 --save-minutes 1e-9 --steps 8 --out {o}/m.safetensors"

WRITERS = {
    "prepare-data": "prepare-data digits --limit 40 --out {o}/data.h5",
    "pretrain-recon": TRAIN,
    "fit-features": "fit-features --data {s}/data.h5 --recipe {s}/tiny.toml --device cpu --out {o}/c.safetensors",
    "encode": "encode --ckpt {s}/m.safetensors --device cpu --out {o}/codes.h5",
    "fit-ot": "fit-ot {s}/codes.h5 --target-error 0.9 --max-samples 100 --rule nearest --device cpu --out {o}/ot.safetensors",
    "fit-gmm": "fit-gmm {s}/codes.h5 --components 1 --out {o}/gmm.safetensors",
    "fit-flow": "fit-flow {s}/codes.h5 --steps 2 --width 8 --device cpu --out {o}/flow.safetensors",
    "sample": "sample --ckpt {s}/m.safetensors -n 2 --device cpu --out {o}/samples",
    "grid": "sample --ckpt {s}/m.safetensors -n 2 --device cpu --out {w}/samples --grid {o}/grid.png",
    "reconstruct": "reconstruct --ckpt {s}/m.safetensors --device cpu --out {o}/r.png",
    "fid": "fid {s}/samples --ref {s}/data.h5 --features pixel --no-cache --split all --out {o}/fid.json",
    "report": "report {s}/m.safetensors --out {o}/report.html",
    "explore": "explore --ckpt {s}/m.safetensors --images 1 --steps 3 --dims 1 --device cpu --record {o}/tour.html",
}

RUN = training._Run


def words(line, sound, out, data=None):
    return line.format(s=sound, d=data or sound / "data.h5", o=out, w=out.parent).split()


@pytest.fixture
def busy(monkeypatch):
    """A list that gets an entry for each training run that starts."""
    begun = []
    monkeypatch.setattr(training, "_Run", lambda *_: begun.append("a run"))
    return begun


@pytest.mark.parametrize("line", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("linked", [False, True], ids=["folder", "link"])
def test_a_read_only_disk_is_an_error_before_any_work(sound, run, tmp_path, busy, line, linked):
    """This also holds if the target is a link to such a disk."""
    there, out = tmp_path / "there", tmp_path / "out"
    there.mkdir()
    with read_only(tmp_path / "disk", there) as disk:
        target = Path(words(line, sound, disk)[-1]).name
        out.mkdir()
        (out / target).symlink_to(disk / target)
        outcome = run(*words(line, sound, out if linked else disk))
        assert outcome.code == 3
        assert f"/{target}: cannot be written: Read-only file system; choose another --" in outcome.error
        assert outcome.err == outcome.error + "\n"
    assert (busy, os.listdir(there), os.listdir(out)) == ([], [], [target])


@pytest.mark.parametrize("line", [WRITERS["pretrain-recon"], WRITERS["fit-ot"]], ids=["pretrain-recon", "fit-ot"])
def test_a_restart_on_a_read_only_disk_is_an_error_before_any_work(sound, run, tmp_path, busy, line):
    there = tmp_path / "there"
    there.mkdir()
    with pytest.MonkeyPatch.context() as whole:
        whole.setattr(training, "_Run", RUN)
        assert run(*words(line, sound, there)).code == 0
    with read_only(tmp_path / "disk", there) as disk:
        outcome = run(*words(line, sound, disk), "--restart")
        assert outcome.code == 3
        assert "cannot be written: Read-only file system" in outcome.error
    assert busy == []


def test_a_folder_without_permission_is_an_error(tmp_path, monkeypatch):
    """os.access is replaced, because the superuser may write anywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(FileError, match=r"a\.h5: cannot be written: Permission denied; choose another --out$"):
        check_target(tmp_path / "new" / "a.h5", "data", (".h5",), [])


@pytest.fixture
def large(tmp_path, write_images):
    """An image set that is too large for HDF5's cache."""
    return write_images(tmp_path / "large.h5", shape=(1, 32, 32), counts=(2000, 20, 20))


@pytest.mark.parametrize(("what", "code"), [("deleted", 0), ("cut short", 3)])
def test_training_survives_deleted_data_and_resumes_after_truncated_data(sound, run, tmp_path, large, monkeypatch, what, code):
    """An open file stays readable after it is deleted. If it is truncated, the run fails, and later resumes from its last state."""
    line, whole_line = (
        [*words(TRAIN, sound, tmp_path / name, large), "--resident-megabytes", 0, "--preview-every", 100] for name in ("out", "whole")
    )
    assert run(*whole_line).code == 0
    save, whole = RunState.save, large.read_bytes()

    def vanish(self, step):
        save(self, step)
        if step == 4:
            large.unlink() if what == "deleted" else os.truncate(large, len(whole) // 50)

    monkeypatch.setattr(RunState, "save", vanish)
    outcome, out = run(*line), tmp_path / "out" / "m.safetensors"
    assert outcome.code == code
    if code:
        assert f"{large}: damaged: a part of it cannot be read" in outcome.error
        assert read_checkpoint(tmp_path / "out" / "m.safetensors.run" / "state.safetensors")[0].step >= 4
        assert not out.exists()
        assert run(*line).code == 3
        large.write_bytes(whole)
        assert "resuming" in run(*line).err
    assert info(out, InfoSettings()).numbers["sha256"] == info(tmp_path / "whole" / "m.safetensors", InfoSettings()).numbers["sha256"]
    assert left_behind(tmp_path) == []


def test_codes_may_be_deleted_during_a_fit(sound, run, tmp_path, monkeypatch):
    """The fit has read them completely."""
    codes = shutil.copy(sound / "codes.h5", tmp_path)
    solve = fit_ot._Fit._solve

    def vanish(self, *arguments):
        Path(codes).unlink()
        return solve(self, *arguments)

    monkeypatch.setattr(fit_ot._Fit, "_solve", vanish)
    line = f"fit-ot {codes} --target-error 0.9 --max-samples 100 --rule nearest --device cpu --out {tmp_path}/o.safetensors"
    assert run(*line.split()).code == 0


def test_overwriting_a_checkpoint_does_not_change_tensors_that_were_read(sound, tmp_path):
    """Another program writes into the file itself, without a rename."""
    path = Path(shutil.copy(sound / "m.safetensors", tmp_path))
    _, tensors = read_checkpoint(path)
    digest = tensors_digest(tensors)
    with path.open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(bytes(1000))
    assert tensors_digest(tensors) == digest
    with pytest.raises(FileError, match="does not match the checksum"):
        read_checkpoint(path)


@pytest.mark.parametrize("what", ["deleted", "cut short"])
def test_images_that_disappear_during_a_score_are_an_error(sound, run, tmp_path, monkeypatch, what):
    shutil.copytree(sound / "samples", tmp_path / "samples")
    lost, survey = tmp_path / "samples" / "000001.png", image_files._survey

    def vanish(*arguments):
        found = survey(*arguments)
        lost.unlink() if what == "deleted" else os.truncate(lost, 20)
        return found

    monkeypatch.setattr(image_files, "_survey", vanish)
    outcome = run("fid", tmp_path / "samples", "--ref", sound / "data.h5", "--split", "all", "--features", "pixel", "--no-cache")
    assert outcome.code == 3
    assert str(lost) in outcome.error
    assert not (tmp_path / "fid.json").exists()


@pytest.mark.parametrize("line", [WRITERS["pretrain-recon"], WRITERS["fit-features"], WRITERS["fit-ot"]], ids=lambda line: line.split()[0])
def test_two_runs_on_one_target(sound, run, tmp_path, line):
    """The second run fails at once and changes nothing. It works when the first run has ended, even if its lock file is left."""
    out = Path(words(line, sound, tmp_path / "out")[-1])
    lock = out.with_name(out.name + ".run") / "lock"
    with locked(lock, out):
        outcome = run(*words(line, sound, tmp_path / "out"))
        assert outcome.code == 2
        assert f"{out}: process {os.getpid()} on {platform.node()} (since 20" in outcome.error
        assert outcome.err == outcome.error + "\n"
        assert [path.name for path in out.parent.rglob("*") if path.is_file()] == ["lock"]
    lock.parent.mkdir(exist_ok=True)
    lock.write_text('{"pid": 1, "host": "another", "since": "2020-01-01T00:00:00+00:00"}')
    assert run(*words(line, sound, tmp_path / "out")).code == 0
    assert left_behind(tmp_path) == []


PACKAGE = Path(genrev_cli.__file__).parent
DATES = {"files/header.py": "provenance", "files/lock.py": "start of a run", "report/page.py": "date of a page"}
"""Modules that read the time of day → what they use it for; it is only stored or shown."""

WALL = {
    "time",
    "time_ns",
    "ctime",
    "localtime",
    "gmtime",
    "strftime",
    "now",
    "today",
    "utcnow",
    "getmtime",
    "st_mtime",
    "st_mtime_ns",
    "st_ctime",
}


def _reads_the_time_of_day(path):
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    named = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "time" for alias in node.names}
    return (named | imported) & WALL


def test_no_decision_depends_on_the_time_of_day():
    """Durations use clocks that never go back: time.monotonic and time.perf_counter."""
    reading = {path.relative_to(PACKAGE).as_posix(): _reads_the_time_of_day(path) for path in PACKAGE.rglob("*.py")}
    # A cache key within one process; and the demo, which repeats stages as make does.
    of_files = {name: {"st_mtime_ns"} for name in ("files/hdf5.py", "settings/demo.py")}
    assert {name: found for name, found in reading.items() if found} == {name: {"now"} for name in DATES} | of_files


@pytest.mark.parametrize("then", [0, 4_000_000_000], ids=["1970", "2096"])
def test_a_run_does_not_depend_on_file_times_or_the_clock(sound, run, tmp_path, then, monkeypatch):
    """The run resumes and completes with any modification times of its files and any time of the clock."""
    data, line = tmp_path / "data.h5", TRAIN.replace("--steps 8", "--steps {n}")
    shutil.copy(sound / "data.h5", data)
    monkeypatch.setattr(time, "time", lambda: float(then))
    for steps, message in ((4, "L_x"), (8, "resuming"), (8, "nothing to do")):
        for path in tmp_path.rglob("*"):
            os.utime(path, (then, then))
        outcome = run(*words(line.replace("{n}", str(steps)), sound, tmp_path / "out", data))
        assert outcome.code == 0
        assert message in outcome.err
    assert info(tmp_path / "out" / "m.safetensors", InfoSettings()).numbers["made_by"]["seconds"] > 0
    assert (tmp_path / "out" / "m.safetensors").stat().st_mtime not in (0, 4_000_000_000)  # make compares it


LINKED = [name for name in WRITERS if name not in ("fit-features", "fit-gmm", "grid")]


@pytest.mark.parametrize("name", LINKED)
def test_a_target_may_be_a_link_to_another_disk(sound, run, tmp_path, name):
    """The link stays; its target is made and replaced on the other disk."""
    line, out = WRITERS[name], tmp_path / "out"
    out.mkdir()
    with small_disk(tmp_path / "disk") as disk:
        target = Path(words(line, sound, out)[-1]).name
        (out / target).symlink_to(disk / "deep" / target)
        restart = ["--restart"] if name in ("pretrain-recon", "fit-ot") else []
        for again in ([], restart):
            assert run(*words(line, sound, out), *again).code == 0
            assert (out / target).is_symlink()
            assert os.listdir(disk / "deep") == [target]
        assert info(disk / "deep" / target, InfoSettings(verify=True)).numbers["verified"]
        assert left_behind(tmp_path) == []


@pytest.mark.parametrize("line", WRITERS.values(), ids=WRITERS)
def test_a_file_in_place_of_the_folder_is_an_error_before_any_work(sound, run, tmp_path, busy, line):
    (tmp_path / "out").write_text("")
    outcome = run(*words(line, sound, tmp_path / "out"))
    assert outcome.code in (2, 3)
    assert f"{tmp_path}/out is no folder; choose another --" in outcome.error
    assert (busy, os.listdir(tmp_path)) == ([], ["out"])


@pytest.mark.parametrize("line", WRITERS.values(), ids=WRITERS)
def test_links_in_a_circle_are_an_error_before_any_work(sound, run, tmp_path, busy, line):
    out = tmp_path / "out"
    out.mkdir()
    target = Path(words(line, sound, out)[-1]).name
    (out / target).symlink_to(f"other-{target}")
    (out / f"other-{target}").symlink_to(target)
    outcome = run(*words(line, sound, out))
    assert outcome.code == 3
    assert f"/{target}: cannot be written: Too many levels of symbolic links; choose another --" in outcome.error
    assert (busy, sorted(os.listdir(out))) == ([], sorted([target, f"other-{target}"]))


def test_an_input_that_is_a_link_to_itself_is_an_error(sound, run, tmp_path):
    (tmp_path / "a.h5").symlink_to("a.h5")
    outcome = run(*words(TRAIN, sound, tmp_path / "out", tmp_path / "a.h5"))
    assert (outcome.code, outcome.error) == (3, f"genrev: error: {tmp_path}/a.h5: no such file")
