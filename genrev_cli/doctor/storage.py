"""Checks of the disk."""

import os
import time
from pathlib import Path

import torch

from genrev_cli.doctor.finding import Outcome, info
from genrev_cli.doctor.images import smooth_images, write_images
from genrev_cli.doctor.subject import Subject
from genrev_cli.files.header import Header
from genrev_cli.files.images import open_images
from genrev_cli.files.samples import writing_samples
from genrev_cli.training.batches import Batches

MEGABYTES = 16
MOST_IMAGES = 4000
PNGS = 512
BATCH = 64


def streamed(subject: Subject) -> Outcome:
    """Measure the speed of writing a prepared file, and of reading it in shuffled batches as training does with --resident-megabytes 0."""
    one = int(torch.Size(subject.image_shape).numel())
    n = min(max(MEGABYTES * 2**20 // one, 2 * BATCH), MOST_IMAGES)
    path = subject.scratch / "streamed.h5"
    began = time.perf_counter()
    write_images(path, n, subject.image_shape)
    written = time.perf_counter() - began
    cold = _uncached(path)
    images = open_images(path)
    batches = Batches(images, "train", batch=BATCH, seed=0, device=subject.device, resident_megabytes=0)
    steps = max(len(batches) // BATCH, 1)
    began = time.perf_counter()
    for number in range(steps):
        batches(number)[0].sum().item()
    read = time.perf_counter() - began
    batches.close()
    path.unlink()
    numbers = {
        "images": n, "image_bytes": one, "write_mb_per_second": n * one / written / 1e6, "cold": cold,
        "images_per_second": steps * BATCH / read, "read_mb_per_second": steps * BATCH * one / read / 1e6,
    }  # fmt: skip
    place = "" if cold else ", from the system's cache"
    return info(
        f"reads {numbers['images_per_second']:,.0f} images/s ({numbers['read_mb_per_second']:,.0f} MB/s) in shuffled batches{place}, "
        f"writes {numbers['write_mb_per_second']:,.0f} MB/s",
        numbers,
    )


def _uncached(path: Path) -> bool:
    """Ask the system to drop a file from its cache; return False if that is not possible."""
    if not hasattr(os, "posix_fadvise"):
        return False
    number = os.open(path, os.O_RDWR)
    try:
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        return False
    finally:
        os.close(number)
    return True


def png_writing(subject: Subject) -> Outcome:
    """Measure how fast genrev sample writes a folder of PNGs."""
    shape = (PNGS, *subject.image_shape)
    images = smooth_images(PNGS, subject.image_shape)
    began = time.perf_counter()
    with writing_samples(subject.scratch / "pngs", shape, Header("samples", {}, "")) as writer:
        for start in range(0, PNGS, BATCH):
            writer.add(images[start : start + BATCH])
    speed = PNGS / (time.perf_counter() - began)
    return info(f"{speed:,.0f} images/s", {"images_per_second": speed})
