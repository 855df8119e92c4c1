"""Prepare pictures once: torchvision's ImageFolder in a DataLoader, and `genrev prepare-data`, from JPEGs to one array."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy

from genrev_cli.bench.batches_loading import SIDE, link_images, write_jpegs
from genrev_cli.bench.harness import Table
from genrev_cli.bench.tasks.race import TARGET, Side, race
from genrev_cli.bench.tasks.words import genrev, program
from genrev_cli.data.container import image_names, open_container
from genrev_cli.files.images import open_images
from genrev_cli.invocation import cores
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions

IMAGES = 6000


def pictures(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Decode, resize (shorter side, Lanczos) and crop (centre) to 64×64, and write one file. The device is not used.

    Raises FileError for a folder or zip without pictures.
    """
    n = 8 if options.quick else options.images or IMAGES
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "files", "images")
        folder.mkdir(parents=True)
        n = link_images(unpacked(options.path, Path(scratch, "raw")), folder, n, 1) if options.path else write_jpegs(folder, n)
        array, prepared, workers = Path(scratch, "images.npy"), Path(scratch, "images.h5"), options.threads or cores()
        whole = ("--val-fraction", 0, "--test-fraction", 0, "--workers", workers)
        sides = [
            Side(
                "torchvision",
                program("theirs_pictures", folder=folder.parent, out=array, side=SIDE, workers=workers),
                lambda _: _seen(npy.open_memmap(array, mode="r")),
                clean=[array],
            ),
            Side(
                "genrev",
                genrev("prepare-data", "folder", "--path", folder, "--size", SIDE, "--channels", 3, *whole, "--out", prepared),
                lambda _: _seen(open_images(prepared).images[:]),
                clean=[prepared],
                target=TARGET,
            ),
        ]
        notes = [
            f"{workers} decoding processes on each side; mean: of all pixels, 0 to 255",
            "genrev also reads every file's bytes for its digest, groups and checks the pictures, and flushes the file to the disk",
        ]
        return [race(f"{n} pictures to one array of {SIDE}×{SIDE}", sides, options, progress, notes=notes)]


def unpacked(path: Path, folder: Path) -> Path:
    """Return a folder of pictures: `path`, or `folder` with what the zip `path` holds."""
    if not path.is_file():
        return path
    archive = open_container(path, "give a folder or a zip of pictures")
    folder.mkdir(parents=True)
    with archive.reader() as read:
        for number, name in enumerate(image_names(archive)[0]):
            (folder / f"{number:06}{Path(name).suffix}").write_bytes(read(name))
    return folder


def _seen(pixels: np.ndarray) -> dict[str, Any]:
    return {"images": len(pixels), "mean": float(pixels.mean())}
