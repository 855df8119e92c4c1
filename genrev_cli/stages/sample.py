"""sample: a checkpoint → images drawn from its prior (A5, Fig. 5)."""

import math
import time
from dataclasses import replace
from pathlib import Path

import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.pictures import grid, pixels_digest, write_picture
from genrev_cli.files.samples import writing_samples
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.stages.checkpoints import Checkpoint, load_checkpoint
from genrev_cli.stages.devices import resolve_device
from genrev_cli.stages.drawing import draw_pixels
from genrev_cli.stages.targets import check_target

GRID = 64


@torch.no_grad()
def sample(
    ckpt: Path,
    out: Path,
    *,
    n: int = 64,
    seed: int = 0,
    temperature: float = 1.0,
    grid_file: Path | None = None,
    batch: int = 64,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Result:
    """Draw n images; number i depends on (seed, i) alone.

    out: a folder of PNGs, or a .h5 or .npz file. grid_file: a PNG of the first 64. temperature scales the codes.
    Images are decoded in blocks of `batch` whose last one is filled up, so that n does not change any of them to the bit.
    Raises FileError for an unusable checkpoint or target, DivergedError when an image is not finite.
    """
    if not math.isfinite(temperature):
        raise UsageError(f"--temperature {temperature}: a finite number is needed")
    if n < 1:
        raise UsageError(f"-n {n}: at least one image is needed")
    check_target(out, "samples", ("", ".h5", ".npz"), [ckpt])
    if grid_file:
        check_target(grid_file, "picture", (".png",), [ckpt, out])
    start, place = time.perf_counter(), resolve_device(device)
    model = load_checkpoint(ckpt, place)
    config = {"n": n, "seed": seed, "temperature": temperature, "image_shape": list(model.autoencoder.image_shape), "sampler": "prior"}
    header = Header("samples", config, "", model.header.step, {"ckpt": model.header.as_input(ckpt)})
    first: list[torch.Tensor] = []
    with writing_samples(out, (n, *model.autoencoder.image_shape), header) as writer, progress.task("sample", n) as bar:
        for begin in range(0, n, batch):
            pixels = decode_samples(model, seed, range(begin, begin + batch), place, temperature)[: n - begin].cpu()
            writer.add(pixels.numpy())
            if begin < GRID:
                first.append(pixels)
            bar.advance(len(pixels))
        header = writer.header = replace(header, made_by=provenance(seconds=time.perf_counter() - start, seed=seed, device=str(place)))
    if grid_file:
        picture = grid(torch.cat(first)[:GRID].numpy(), 8)
        write_picture(
            grid_file,
            picture,
            Header("picture", {"shows": "samples", **config}, pixels_digest(picture), header.step, header.inputs, header.made_by),
        )
    seconds = time.perf_counter() - start
    return Result(
        out, {"images": n, "seed": seed, "images_per_second": round(n / seconds, 1), **({"grid": str(grid_file)} if grid_file else {})}
    )


def decode_samples(model: Checkpoint, seed: int, numbers: range, device: torch.device, temperature: float = 1.0) -> torch.Tensor:
    """Samples `numbers` as pixels (n, C, H, W) uint8 on the device.

    Raises DivergedError when an image is not finite.
    """
    try:
        return draw_pixels(model.autoencoder, model.prior, seed, numbers, device, temperature)
    except DivergedError as error:
        raise DivergedError(f"{model.path}: {error}") from error
