"""Score a folder of PNG files: pytorch-fid's command and `genrev fid`, from the files to the number."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file

from genrev_cli.bench.harness import Table
from genrev_cli.bench.random_inception import random_inception_weights
from genrev_cli.bench.sample_files import SIDE, pictures
from genrev_cli.bench.tasks.race import TARGET, Side, race
from genrev_cli.bench.tasks.words import answer, genrev
from genrev_cli.files.pictures import to_pil
from genrev_cli.metrics.weights import NAME, load_inception_weights, local_inception_weights
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions

IMAGES = 256
IMAGES_CUDA = 5000
FEATURES = 2048


def fid(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Compare a folder of 64×64 colour images with the statistics of a reference, with an empty cache of features and with a full one."""
    n = 4 if options.quick else options.images or (IMAGES if device.type == "cpu" else IMAGES_CUDA)
    with TemporaryDirectory() as scratch:
        folder, reference, cache = (Path(scratch, name) for name in ("images", "reference.npz", "cache"))
        write_folder(folder, n)
        write_reference(reference)
        real = local_inception_weights()
        weights = given_weights(Path(scratch), real)
        ours = genrev(
            "fid", folder, "--ref", reference, "--weights", weights, "--device", device, "--out", Path(scratch, "f.json"), "--json"
        )
        theirs = (sys.executable, "-m", "pytorch_fid", str(folder), str(reference), "--device", str(device))
        cold = Side("genrev, empty cache", ours, lambda text: {"fid": answer(text)["value"]}, clean=[cache], target=TARGET)
        cold = replace(cold, environment={"GENREV_CACHE": str(cache)})
        sides = [
            Side("pytorch-fid", theirs, _printed, needs={"pytorch_fid": "pytorch-fid"}, environment={"TORCH_HOME": scratch}),
            cold,
            replace(cold, name="genrev, full cache", clean=()),
        ]
        notes = [
            f"{n} images of {SIDE}×{SIDE}; " + ("fewer than 5,000, which would take hours on a CPU" if n < IMAGES_CUDA else "as in papers"),
            "published weights of Inception"
            if real
            else "Inception has random weights, because the published ones are not on this machine",
        ]
        return [race(f"FID of {n} PNG files on {device.type}", sides, options, progress, notes=notes)]


def _printed(stdout: str) -> dict[str, float]:
    """Return the FID that pytorch-fid prints."""
    found = re.search(r"FID:\s+(\S+)", stdout)
    return {"fid": float(found[1])} if found else {}


def write_folder(folder: Path, n: int) -> None:
    """Write n pictures as 000000.png, …"""
    folder.mkdir()
    for number, image in enumerate(pictures(n)):
        to_pil(image).save(folder / f"{number:06d}.png")


def write_reference(path: Path) -> None:
    """Write statistics of full rank as pytorch-fid does: mu (2048,), sigma (2048, 2048)."""
    rng = np.random.default_rng(derive(0, "task-fid"))
    rows = rng.standard_normal((2 * FEATURES, FEATURES)) @ np.diag(rng.uniform(0.1, 1, FEATURES))
    np.savez(path, mu=rows.mean(0), sigma=np.cov(rows, rowvar=False))


def given_weights(home: Path, real: Path | None) -> Path:
    """Return the weights for genrev: `real`, else random ones. The same are put where pytorch-fid looks if its TORCH_HOME is `home`."""
    hub = home / "hub" / "checkpoints" / NAME
    hub.parent.mkdir(parents=True)
    if real:
        torch.save(load_inception_weights(real)[0], hub)
        return real
    state = random_inception_weights(derive(0, "inception"))
    torch.save(state, hub)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, home / "inception.safetensors")
    return home / "inception.safetensors"
