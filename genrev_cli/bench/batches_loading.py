"""Time batches of training images: torchvision's ImageFolder in a DataLoader, which decodes files in every epoch, and genrev's Batches."""

import itertools
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from genrev_cli.bench.harness import Table, Variant, alternate, compared
from genrev_cli.errors import FileError
from genrev_cli.files.images import open_images
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.settings.prepare import PrepareConfig
from genrev_cli.shapes import Scalar
from genrev_cli.stages.prepare_data import prepare_data
from genrev_cli.training.batches import Batches

SIDE = 64
BATCH = 64
IMAGES = 1024
WIDTH, HEIGHT = 178, 218  # size of aligned CelebA images
WORKERS = 2
RESIDENT_MEGABYTES = 4096
TARGET = 20.0


def loading(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure images per second over epochs of shuffled batches, (B, 3, 64, 64) float in [0, 1] on the device; each batch is read once.

    Raises FileError for a folder with too few images for one batch.
    """
    n, batch = (32, 8) if options.quick else (options.images or IMAGES, options.batch or BATCH)
    batch = min(batch, n)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "files", "images")
        folder.mkdir(parents=True)
        n = link_images(options.path, folder, n, batch) if options.path else write_jpegs(folder, n // batch * batch)
        theirs = _torchvision(folder.parent, batch, device)
        ours = _resident(folder, Path(scratch, "images.h5"), batch, device, progress=progress)
        variants = [Variant(f"torchvision, {WORKERS} workers", theirs), Variant("genrev, resident", ours, TARGET)]
        title = f"epochs of {n} images in batches of {batch} on {device.type}"
        timings = alternate(variants, options.rounds, title, progress)
    rows = compared(timings, lambda mean: (mean - timings[0].result).abs().item())
    for row in rows:
        row["images_per_second"] = n / row["seconds"]
    source = "the given folder" if options.path else f"generated JPEGs of {WIDTH}×{HEIGHT}"
    notes = (
        f"{source}, resized to {SIDE}×{SIDE}; error: of the mean of all pixels, because crops and filters differ slightly",
        "genrev: prepare-data decodes the files once before timing starts; torchvision keeps its workers between epochs",
        "ratio_cpu does not include the CPU time of torchvision's workers",
    )
    return [Table(title, rows, notes)]


def write_jpegs(folder: Path, n: int) -> int:
    """Write n smooth colour images with some noise; their files are about as large as those of photographs."""
    rng = np.random.default_rng(derive(0, "batches"))
    for number in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        noisy = np.asarray(coarse, np.int16) + rng.integers(-8, 9, (HEIGHT, WIDTH, 1), dtype=np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:06}.jpg", quality=90)
    return n


def link_images(source: Path, folder: Path, most: int, batch: int) -> int:
    """Link the first images below `source`, in whole batches, and return their number.

    The links are numbered, so that both sides see the same order and no other files.
    """
    suffixes = {".jpg", ".jpeg", ".png"}
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in suffixes)[:most]
    files = files[: len(files) // batch * batch]
    if not files:
        if batch == 1:
            raise FileError(f"{source}: has no images (.jpg, .jpeg or .png); give a folder with some")
        raise FileError(f"{source}: has fewer than {batch} images (.jpg, .jpeg or .png); give a folder with more, or a smaller --batch")
    for number, path in enumerate(files):
        (folder / f"{number:06}{path.suffix.lower()}").symlink_to(path.resolve())
    return len(files)


def _torchvision(root: Path, batch: int, device: torch.device) -> Callable[[], Scalar]:
    lanczos = transforms.InterpolationMode.LANCZOS
    transform = transforms.Compose([transforms.Resize(SIDE, lanczos), transforms.CenterCrop(SIDE), transforms.ToTensor()])
    loader = DataLoader(
        datasets.ImageFolder(str(root), transform),
        batch,
        shuffle=True,
        generator=torch.Generator().manual_seed(derive(0, "order")),
        num_workers=WORKERS,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )

    def epoch() -> Scalar:
        return torch.stack([x.to(device, non_blocking=True).mean() for x, _ in loader]).mean()

    return epoch


def _resident(folder: Path, data: Path, batch: int, device: torch.device, *, progress: Progress) -> Callable[[], Scalar]:
    config = PrepareConfig("folder", folder, size=str(SIDE), channels=3, val_fraction=0.0, test_fraction=0.0)
    prepare_data(config, data, progress=progress)
    batches = Batches(
        open_images(data), "train", batch=batch, seed=derive(0, "order"), device=device, resident_megabytes=RESIDENT_MEGABYTES
    )
    per_epoch, epochs = len(batches) // batch, itertools.count()

    def epoch() -> Scalar:
        first = next(epochs) * per_epoch
        return torch.stack([batches(step)[0].mean() for step in range(first, first + per_epoch)]).mean()

    return epoch
