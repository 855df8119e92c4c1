"""Time writing a folder of PNG files: by Pillow one after another, and by the writer of `genrev sample`."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from genrev_cli.bench.harness import Table, Variant, alternate, compared
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import to_pil
from genrev_cli.files.samples import writing_samples
from genrev_cli.invocation import cores
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions

BATCH = 64
IMAGES = 2000
SIDE = 64
TARGET = 1.8  # with two cores


def writing(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure PNG files of 64×64 colour images per second. The device is not used."""
    n, batch = (16, 8) if options.quick else (options.images or IMAGES, options.batch or BATCH)
    pixels = pictures(n)
    with TemporaryDirectory() as scratch:
        variants = [
            Variant("Pillow, one file after another", _one_by_one(Path(scratch), pixels)),
            Variant("genrev, to the disk", _own(Path(scratch), pixels, batch), TARGET),
        ]
        title = f"{n} images of {SIDE}×{SIDE} as PNG files on {cores()} cores"
        timings = alternate(variants, options.rounds, title, progress)
    rows = compared(timings, lambda files: float(files != timings[0].result))
    for row in rows:
        row["images_per_second"] = n / row["seconds"]
    notes = (
        "error: 0 if all files are equal to the bit",
        "genrev also flushes every file to the disk and computes the folder's digest; the loop with Pillow does neither",
    )
    return [Table(title, rows, notes)]


def pictures(n: int) -> np.ndarray:
    """Return smooth images with a little noise, (n, 3, SIDE, SIDE) uint8; their files are about as large as those of photographs."""
    rng = np.random.default_rng(derive(0, "sample-files"))
    coarse = torch.from_numpy(rng.random((n, 3, 8, 8), np.float32) * 255)
    smooth = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").numpy()
    return (smooth + rng.integers(-8, 9, (n, 1, SIDE, SIDE))).clip(0, 255).astype(np.uint8)


def _one_by_one(folder: Path, pixels: np.ndarray) -> Callable[[], dict[str, bytes]]:
    runs = count()

    def run() -> dict[str, bytes]:
        out = folder / f"pillow-{next(runs)}"
        out.mkdir()
        for number, image in enumerate(pixels):
            to_pil(image).save(out / f"{number:06d}.png", compress_level=1)
        return _content(out)

    return run


def _own(folder: Path, pixels: np.ndarray, batch: int) -> Callable[[], dict[str, bytes]]:
    runs = count()

    def run() -> dict[str, bytes]:
        out = folder / f"genrev-{next(runs)}"
        with writing_samples(out, pixels.shape, Header("samples", {}, "")) as writer:
            for start in range(0, len(pixels), batch):
                writer.add(pixels[start : start + batch])
        return _content(out)

    return run


def _content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.png"))}
