"""Draw images from a checkpoint into PNG files: the usual loop with torchvision's save_image, and `genrev sample`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from genrev_cli.bench.harness import Table
from genrev_cli.bench.tasks.race import TARGET, Side, race
from genrev_cli.bench.tasks.words import genrev, program
from genrev_cli.progress import Progress
from genrev_cli.settings.bench import BenchOptions

IMAGES = 5000
BATCH = 64
CKPT = "mnist"


def sampling(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Draw images from the prior of the model that comes with genrev, with the same network and the same batch on both sides."""
    n = 8 if options.quick else options.images or IMAGES
    with TemporaryDirectory() as scratch:
        theirs, ours = Path(scratch, "theirs"), Path(scratch, "ours")
        sides = [
            Side(
                "loop with save_image",
                program("theirs_sampling", ckpt=CKPT, n=n, batch=BATCH, out=theirs, device=device),
                lambda _: seen(theirs),
                clean=[theirs],
            ),
            Side(
                "genrev",
                genrev("sample", "--ckpt", CKPT, "-n", n, "--batch", BATCH, "--out", ours, "--device", device),
                lambda _: seen(ours),
                clean=[ours],
                target=TARGET,
            ),
        ]
        notes = [
            f"mean: of all pixels, 0 to 255; both draw {n} images, but with other random numbers",
            "genrev draws every image with a generator of its own, flushes every file to the disk and computes a digest; the loop does not",
        ]
        return [race(f"{n} PNG files of 28×28 from the prior of {CKPT} on {device.type}", sides, options, progress, notes=notes)]


def seen(folder: Path) -> dict[str, Any]:
    """Return the number of PNG files, and the mean of their pixels."""
    files = sorted(folder.glob("*.png"))
    return {"images": len(files), "mean": float(np.mean([np.asarray(Image.open(file).convert("L")).mean() for file in files]))}
