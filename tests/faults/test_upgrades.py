"""Files and half-finished runs of earlier commits (formats/COMMIT.tar.xz, by earlier_files.py) are opened, used and gone on with."""

import json
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from earlier_files import FOLDER, LINES

from genrev_cli.cli import main
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.training.log import read_log

EARLIER = sorted(FOLDER.glob("*.tar.xz"))

USES = {
    "recon.safetensors": (
        "sample --ckpt recon.safetensors -n 2 --out new.h5 --device cpu", "card recon.safetensors --data data.h5 --out card --device cpu"),
    "codes.h5": (
        "decode codes.h5 --ckpt recon.safetensors --out decoded --device cpu", "fit-gmm codes.h5 --components 1 --out new.safetensors"),
    "map.safetensors": ("sample --ckpt recon.safetensors --ot map.safetensors -n 2 --out drawn.h5 --device cpu",),
    "gmm.safetensors": ("sample --ckpt recon.safetensors --gmm gmm.safetensors -n 2 --out drawn-gmm.h5 --device cpu",),
    "flow.safetensors": ("sample --ckpt recon.safetensors --flow flow.safetensors -n 2 --out drawn-flow.h5 --device cpu",),
    "directions.safetensors": ("traverse --ckpt recon.safetensors --directions directions.safetensors --out new.png --device cpu",),
    "samples.npz": ("fid samples.npz --ref data.h5 --split train --features pixel --no-cache --out new.json",),
    "samples": ("fid samples --ref data.h5 --split train --features pixel --no-cache --out newer.json",),
    "fid.json": ("report recon.safetensors fid.json grid.png samples --out new.html",),
}  # fmt: skip
"""File → commands that read it."""


@pytest.fixture(params=EARLIER, ids=lambda path: path.name.partition(".")[0])
def earlier(request, tmp_path, monkeypatch):
    """The current folder, with the files of an earlier commit."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def succeeds(line, capfd):
    code = main(line.split())
    assert code == 0, f"{line}: {capfd.readouterr().err}"


def test_there_are_files_of_both_formats():
    """The format of headers, by the header of a score."""
    found = set()
    for path in EARLIER:
        with tarfile.open(path) as archive:
            found.add(json.load(archive.extractfile("fid.json"))["genrev"]["format"])
    assert found == {1, 2}


def test_every_file_is_read(earlier, capfd):
    own = [path for path in sorted(earlier.iterdir()) if path.suffix not in (".toml", ".run")]
    assert len(own) >= 7
    for path in own:
        succeeds(f"info {path.name}", capfd)
        for line in USES.get(path.name, ()):
            succeeds(line, capfd)


def test_a_network_still_gives_the_same_codes(earlier, capfd):
    succeeds("encode --ckpt recon.safetensors --data data.h5 --split all --out again.h5 --device cpu", capfd)
    with h5py.File("codes.h5") as old, h5py.File("again.h5") as new:
        assert np.allclose(old["codes"], new["codes"], rtol=0, atol=1e-6)


def test_half_finished_runs_go_on(earlier, capfd):
    halves = sorted(earlier.glob("half-*.run"))
    assert halves
    for folder in halves:
        out = folder.name.removesuffix(".run")
        (line,) = [line for line in LINES if f" {out} " in line]
        before = (folder / "state.safetensors").stat().st_mtime_ns
        # the oldest checkpoint does not name its recipe
        asked = " --data data.h5 --recipe tiny.toml" if line.startswith("train-adversarial") else ""
        succeeds(f"{line} --steps 4{asked}", capfd)
        assert "resuming" in capfd.readouterr().err
        assert (folder / "state.safetensors").stat().st_mtime_ns > before
        assert read_checkpoint_header(Path(out)).step == 4
        assert [record["step"] for record in read_log(folder / "log.jsonl") if record["kind"] == "loss"] == [1, 2, 3, 4]
