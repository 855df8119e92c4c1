"""A disk that fills up during a command: one error, an unchanged old target, no partial files, and the same command works later."""

import resource
import subprocess
import sys
from collections import namedtuple

import pytest
from surroundings import PAGE, content, fill, filled, left_behind, limited, small_disk

from genrev_cli.files.checkpoint import read_checkpoint
from genrev_cli.runs.state import RunState
from genrev_cli.settings.pages import InfoSettings
from genrev_cli.stages.info import info

Usage = namedtuple("Usage", "total used free")

WRITERS = {
    "sampler": ("fit-gmm {s}/codes.h5 --components 2 --out {o}", "gmm.safetensors"),
    "codes": ("encode --ckpt {s}/m.safetensors --split all --device cpu --out {o}", "codes.h5"),
    "data": ("prepare-data digits --limit 200 --out {o}", "data.h5"),
    "samples": ("sample --ckpt {s}/m.safetensors -n 200 --device cpu --out {o}", "samples.h5"),
    "npz": ("sample --ckpt {s}/m.safetensors -n 200 --device cpu --out {o}", "samples.npz"),
    "folder": ("sample --ckpt {s}/m.safetensors -n 20 --device cpu --out {o}", "samples"),
    "grid": ("reconstruct --ckpt {s}/m.safetensors --device cpu --out {o}", "grid.png"),
    "score": ("fid {s}/samples --ref {s}/data.h5 --features pixel --no-cache --split all --out {o}", "fid.json"),
    "statistics": (
        "fid {s}/samples --ref {s}/data.h5 --features pixel --no-cache --split all --out {s}/other.json --save-stats {o}", "s.npz"),
    "page": ("report {s}/m.safetensors {s}/fid.json --out {o}", "report.html"),
    "classifier": ("fit-features --data {s}/data.h5 --recipe {s}/tiny.toml --device cpu --restart --out {o}", "c.safetensors"),
}  # fmt: skip


@pytest.fixture(params=["no room", "no large file"])
def disk(request, tmp_path, monkeypatch):
    """Yield a folder and a function that fills its disk or limits its files. The check of the free space beforehand sees a large disk."""
    monkeypatch.setattr("genrev_cli.files.space.shutil.disk_usage", lambda path: Usage(1 << 40, 0, 1 << 40))
    if request.param == "no room":
        with small_disk(tmp_path / "disk") as folder:
            yield folder, filled
    else:
        yield tmp_path, limited


@pytest.mark.parametrize(("line", "name"), WRITERS.values(), ids=WRITERS)
def test_a_full_disk_keeps_the_old_target(sound, disk, run, line, name):
    (folder, short_of_room), words = disk, line.format(s=sound, o=disk[0] / name).split()
    assert run(*words).code == 0
    old = content(folder / name)
    largest = max(map(len, old.values())) if isinstance(old, dict) else len(old)
    with short_of_room(folder, largest // 2) as reason:
        outcome = run(*words)
        assert outcome.code == 3
        assert f"{name}" in outcome.error
        assert reason in outcome.error
        assert content(folder / name) == old
        assert left_behind(folder) == []
    assert run(*words).code == 0
    assert run("info", folder / name, "--verify").code == 0


@pytest.fixture
def training(sound, tmp_path):
    """A function (folder) → arguments of a training stage that saves after each of its eight steps."""

    def words(folder):
        line = f"pretrain-recon --data {sound}/data.h5 --recipe {sound}/tiny.toml --steps 8 --device cpu --log-every 1 --save-minutes 1e-9"
        return [*line.split(), "--out", str(folder / "out.safetensors")]

    return words


def test_a_run_resumes_from_its_last_state(training, tmp_path, run, monkeypatch):
    assert run(*training(tmp_path)).code == 0
    save = RunState.save

    def short_of_room(self, step):
        if step == 5:
            fill(folder)
        save(self, step)

    with small_disk(tmp_path / "disk") as folder:
        monkeypatch.setattr(RunState, "save", short_of_room)
        outcome, state = run(*training(folder)), folder / "out.safetensors.run" / "state.safetensors"
        assert (outcome.code, outcome.error) == (3, f"genrev: error: {state}: cannot be written: No space left on device")
        assert read_checkpoint(state)[0].step == 4
        assert not (folder / "out.safetensors").exists()
        assert left_behind(folder) == []
        monkeypatch.undo()
        (folder / "balloon").unlink()
        assert "resuming" in (again := run(*training(folder))).err
        assert again.code == 0
        assert (
            info(folder / "out.safetensors", InfoSettings()).numbers["sha256"]
            == info(tmp_path / "out.safetensors", InfoSettings()).numbers["sha256"]
        )


def test_a_log_that_cannot_be_written_is_an_error(training, tmp_path, run):
    words = [*training(tmp_path), "--steps", "40", "--save-minutes", "60"]
    with limited(tmp_path, PAGE) as reason:
        outcome = run(*words)
    assert (outcome.code, outcome.error) == (3, f"genrev: error: {tmp_path}/out.safetensors.run/log.jsonl: cannot be written: {reason}")
    assert left_behind(tmp_path) == []
    assert run(*words).code == 0


def test_the_error_is_the_last_output_of_the_process(sound, tmp_path):
    """HDF5's library would keep what it could not write, and try again when the process ends."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (PAGE, PAGE))  # noqa: E731
    words = f"-m genrev_cli prepare-data folder --path {sound}/images --size 64 --test-fraction 0 --out {tmp_path}/data.h5".split()
    done = subprocess.run([sys.executable, *words], preexec_fn=limit, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-1] == f"genrev: error: {tmp_path}/data.h5: cannot be written: File too large"
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_an_error_before_the_first_step(training, tmp_path, run):
    with small_disk(tmp_path / "disk") as folder, filled(folder, 3 * PAGE):
        outcome = run(*training(folder))
        assert outcome.code == 3
        assert "are free; make room, or choose another --out" in outcome.error
        assert left_behind(folder) == []
