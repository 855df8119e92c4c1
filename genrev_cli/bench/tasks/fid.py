"""Score a folder of PNG files: the commands of pytorch-fid and torch-fidelity and `genrev fid`, from the files to the number."""

import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
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
RESIZED = "torch-fidelity enlarges images to 299×299 as TensorFlow 1 did, so its FID is another"


def fid(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Compare a folder of 64×64 colour images with statistics as pytorch-fid does, and with another folder as torch-fidelity does."""
    n = 4 if options.quick else options.images or (IMAGES if device.type == "cpu" else IMAGES_CUDA)
    with TemporaryDirectory() as scratch:
        home = Path(scratch)
        real = local_inception_weights()
        files = Files(home, given_weights(home, real), device)
        drawn = pictures(n)
        for folder, images in (("images", drawn), ("one", drawn[: n // 2]), ("other", drawn[n // 2 :])):
            write_folder(home / folder, images)
        write_reference(home / "reference.npz")
        notes = [
            f"{n} images of {SIDE}×{SIDE}; " + ("fewer than 5,000, which would take hours on a CPU" if n < IMAGES_CUDA else "as in papers"),
            "published weights of Inception"
            if real
            else "Inception has random weights, because the published ones are not on this machine",
        ]
        cold, warm = _torch_fidelity(files)
        statistics = [_pytorch_fid(files), *_genrev(files, "images", "reference.npz")]
        folders = [cold, warm, *_genrev(files, "one", "other", against=warm.name)]
        return [
            race(f"FID of {n} PNG files on {device.type}", statistics, options, progress, notes=notes),
            race(f"FID between two folders, {n} PNG files in all, on {device.type}", folders, options, progress, notes=[*notes, RESIZED]),
        ]


@dataclass(frozen=True)
class Files:
    """The files of the task: folders, reference and caches in `home`, and the weights of Inception for genrev."""

    home: Path
    weights: Path
    device: torch.device


def _pytorch_fid(files: Files) -> Side:
    words = ("-m", "pytorch_fid", str(files.home / "images"), str(files.home / "reference.npz"), "--device", str(files.device))
    home = {"TORCH_HOME": str(files.home)}
    return Side("pytorch-fid", (sys.executable, *words), _printed, needs={"pytorch_fid": "pytorch-fid"}, environment=home)


def _torch_fidelity(files: Files) -> tuple[Side, Side]:
    cache, names = files.home / "fidelity", ("one", "other")
    words = [sys.executable, "-m", "torch_fidelity.fidelity", "--fid", "--json", "--silent", "--cache-root", str(cache)]
    words += ["--feature-extractor-weights-path", str(hub(files.home)), *(["--cpu"] if files.device.type == "cpu" else ["--gpu", "0"])]
    for number, name in enumerate(names, 1):
        words += [f"--input{number}", str(files.home / name), f"--input{number}-cache-name", name]
    needs = {"torch_fidelity": "torch-fidelity"}
    cold = Side("torch-fidelity, empty cache", words, _fidelity, clean=[cache], needs=needs)
    return cold, replace(cold, name="torch-fidelity, full cache", clean=())


def _genrev(files: Files, images: str, reference: str, against: str = "") -> list[Side]:
    """Return genrev with an empty cache and with a full one. against: what the latter is compared with."""
    cache, home = files.home / "cache", files.home
    words = genrev("fid", home / images, "--ref", home / reference, "--weights", files.weights, "--device", files.device)
    words = (*words, "--out", str(home / "f.json"), "--json")
    cold = Side("genrev, empty cache", words, lambda text: {"fid": answer(text)["value"]}, clean=[cache], target=TARGET)
    cold = replace(cold, environment={"GENREV_CACHE": str(cache)})
    return [cold, replace(cold, name="genrev, full cache", clean=(), against=against)]


def _fidelity(stdout: str) -> dict[str, float]:
    """Return the FID in the JSON object that torch-fidelity prints."""
    return {"fid": json.loads(stdout[stdout.index("{") :])["frechet_inception_distance"]}


def _printed(stdout: str) -> dict[str, float]:
    """Return the FID that pytorch-fid prints."""
    found = re.search(r"FID:\s+(\S+)", stdout)
    return {"fid": float(found[1])} if found else {}


def write_folder(folder: Path, images: NDArray[np.uint8]) -> None:
    """Write images (n, 3, H, W) as 000000.png, …"""
    folder.mkdir()
    for number, image in enumerate(images):
        to_pil(image).save(folder / f"{number:06d}.png")


def write_reference(path: Path) -> None:
    """Write statistics of full rank as pytorch-fid does: mu (2048,), sigma (2048, 2048)."""
    rng = np.random.default_rng(derive(0, "task-fid"))
    rows = rng.standard_normal((2 * FEATURES, FEATURES)) @ np.diag(rng.uniform(0.1, 1, FEATURES))
    np.savez(path, mu=rows.mean(0), sigma=np.cov(rows, rowvar=False))


def given_weights(home: Path, real: Path | None) -> Path:
    """Return the weights for genrev: `real`, else random ones. The same are put where pytorch-fid looks if its TORCH_HOME is `home`."""
    hub(home).parent.mkdir(parents=True)
    if real:
        torch.save(load_inception_weights(real)[0], hub(home))
        return real
    state = random_inception_weights(derive(0, "inception"))
    torch.save(state, hub(home))
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, home / "inception.safetensors")
    return home / "inception.safetensors"


def hub(home: Path) -> Path:
    """Return the file of weights that PyTorch's hub reads if TORCH_HOME is `home`."""
    return home / "hub" / "checkpoints" / NAME
