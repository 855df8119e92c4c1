"""Change one value in a header, sign it anew, and read the file by every command that reads headers.

    python tests/faults/header_mutations.py --n 2000

prints each failure: a file, the changed key, its new value, the command, and what it said. A header with a right checksum comes from
another version, another program or an attacker. A reader must refuse it in one sentence or ignore what it does not need.
"""

import argparse
import contextlib
import io
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from sound_files import build

from genrev_cli.cli import main
from genrev_cli.files.any import read_any_header
from genrev_cli.files.checkpoint import read_checkpoint, write_checkpoint
from genrev_cli.files.header import KEY, Header
from genrev_cli.files.page import read_page, write_page
from genrev_cli.files.pictures import read_json, read_picture, write_json, write_picture
from genrev_cli.files.samples import MARK

VALUES = (5, -1, 1.5, True, None, "x", "", [], [1], ["x"], {}, {"x": 1}, {"x": {"x": "x"}}, 10**30)

FILES = {
    "m.safetensors": ("info {f}", "report {f} --out {w}/out.html", "card {f} --out {w}/card.md", "sample -n 1 --ckpt {f} --out {w}/out.h5"),
    "ot.safetensors": ("info {f}", "sample -n 1 --ckpt {s}/m.safetensors --ot {f} --out {w}/out.h5"),
    "gmm.safetensors": ("info {f}", "sample -n 1 --ckpt {s}/m.safetensors --gmm {f} --out {w}/out.h5"),
    "flow.safetensors": ("info {f}", "sample -n 1 --ckpt {s}/m.safetensors --flow {f} --out {w}/out.h5"),
    "c.safetensors": ("info {f}", "fid {s}/samples.h5 --ref {s}/data.h5 --split all --no-cache --features {f} --out {w}/out.json"),
    "m.safetensors.run/state.safetensors": (
        "pretrain-recon --data {s}/data.h5 --recipe {s}/tiny.toml --steps 3 --out {w}/m.safetensors --device cpu",
    ),
    "directions.safetensors": ("info {f}", "traverse --ckpt {s}/m.safetensors --directions {f} --count 1 --split all --out {w}/out.png"),
    "data.h5": ("info {f}", "pretrain-recon --data {f} --recipe {s}/tiny.toml --out {w}/a.safetensors --dry-run --device cpu"),
    "codes.h5": ("info {f}", "report {f} --out {w}/out.html", "decode {f} --ckpt {s}/m.safetensors --out {w}/out.h5"),
    "samples.h5": ("info {f}", "report {f} --out {w}/out.html"),
    "samples.npz": (
        "info {f}",
        "report {f} --out {w}/out.html",
        "fid {f} --ref {s}/data.h5 --split all --features pixel --out {w}/out.json",
    ),
    "samples": ("info {f}", "report {f} --out {w}/out.html"),
    "statistics.npz": ("info {f}", "fid {s}/samples.h5 --ref {f} --features pixel --out {w}/out.json"),
    "report.html": ("info {f}", "report {s}/m.safetensors {s}/fid.json --out {f}"),
    "grid.png": ("info {f}", "report {f} --out {w}/out.html"),
    "fid.json": ("info {f}", "report {f} --out {w}/out.html", "report {s}/m.safetensors {f} --out {w}/out.html"),
}
"""File → commands that read it: {f} is the changed file, {w} its folder, {s} that of the intact files."""


def places(value: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the keys of all values in nested tables."""
    for name, inner in value.items():
        yield (*key, name)
        if isinstance(inner, dict):
            yield from places(inner, (*key, name))


def changed(header: Header, rng: random.Random) -> tuple[Header, str]:
    """Return the header with one value replaced, and what was replaced by what. Kind, digest and format stay."""
    fields = asdict(header)
    found = [key for key in places(fields) if key[0] not in ("kind", "sha256", "format")]
    key, value = rng.choice(found), rng.choice(VALUES)
    table = fields
    for name in key[:-1]:
        table = table[name]
    table[key[-1]] = value
    return Header(**fields), f"{'.'.join(key)} = {value!r}"


def write(source: Path, target: Path, header: Header) -> None:
    """Copy a file with another header."""
    target.parent.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
        (target / MARK).write_text(header.to_json())
    elif source.suffix == ".npz":
        with np.load(source) as arrays:
            np.savez(target, **{**arrays, KEY: np.array(header.to_json())})
    elif source.suffix == ".html":
        write_page(target, read_page(source)[1], header)
    elif source.suffix == ".safetensors":
        write_checkpoint(target, read_checkpoint(source)[1], header)
    elif source.suffix == ".h5":
        target.write_bytes(source.read_bytes())
        with h5py.File(target, "r+") as file:
            text = header.to_json().encode()
            file.attrs.create(KEY, text, dtype=h5py.string_dtype("utf-8", len(text)))
    elif source.suffix == ".png":
        write_picture(target, read_picture(source)[1], header)
    else:
        write_json(target, read_json(source)[1], header)


def attack(sound: Path, n: int, seed: int) -> list[str]:
    """Read n changed files and return the failures, one sentence each."""
    rng, failures = random.Random(seed), []
    headers = {name: read_any_header(sound / name) for name in FILES}
    for _ in range(n):
        name = rng.choice(list(FILES))
        header, what = changed(headers[name], rng)
        line = rng.choice(FILES[name])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            write(sound / name, path, replace(header))
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = main([word.format(f=path, w=folder, s=sound) for word in line.split()])
            if code not in (0, 2, 3) or "Traceback" in said.getvalue():
                failures.append(f"{name}: {what}: {line.split()[0]}: exit code {code}: {said.getvalue()[-300:].strip()}")
    return failures


def run() -> int:
    """Print the failures. Return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sound", type=Path, help="folder of intact files from an earlier run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sound = options.sound or Path(temporary, "sound")
        if not (sound / "m.safetensors").exists():
            with contextlib.redirect_stdout(io.StringIO()):
                build(sound)
        failures = attack(sound, options.n, options.seed)
    print(*failures, f"{options.n} changed headers, {len(failures)} failures", sep="\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(run())
