"""sample: a checkpoint → images drawn from its prior (Schirrmeister et al. 2018, Figure 5)."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from genrev_cli.files.header import Header, provenance
from genrev_cli.files.pictures import pixels_digest, write_picture
from genrev_cli.files.samples import samples_bytes, writing_samples
from genrev_cli.files.sheets import sheet
from genrev_cli.files.space import announce
from genrev_cli.files.targets import check_target, require_remake
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.settings.sample import SampleSettings
from genrev_cli.settings.sampling import Draw
from genrev_cli.store.around import Around, around_picture
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.class_names import class_numbers
from genrev_cli.store.drawing import Drawing, decode_samples
from genrev_cli.store.samplers import open_model
from genrev_cli.training.devices import resolve_device
from genrev_cli.training.distributed import dealt, follow, rank, size

GRID, GRID_COLUMNS = 64, 8
ROLES = ("ckpt", "sampler", "like")
"""Inputs of samples."""


@torch.no_grad()
def sample(ckpt: Path, out: Path, settings: SampleSettings, *, progress: Progress = SILENT) -> Result:
    """Draw n images; number i depends on what is drawn and on i alone.

    out: a folder of PNGs, or a .h5 or .npz file. The grid is a PNG of the first 64, with a column for each class where classes take
    turns. Images are decoded in blocks of `batch` whose last one is filled up, so that n does not change any of them to the bit.
    Raises FileError for an unusable checkpoint or target, DivergedError when an image is not finite.
    """
    n, sampler, batch = settings.n, settings.sampler, settings.batch
    inputs = [ckpt, *([sampler.path] if sampler else []), *([settings.like] if settings.like else [])]
    check_target(out, "samples", ("", ".h5", ".npz"), inputs)
    if settings.grid:
        check_target(settings.grid, "picture", (".png",), [*inputs, out])
    start, place = time.perf_counter(), resolve_device(settings.device)
    model = open_model(ckpt, place, sampler)
    draw = Draw(settings.seed, settings.temperature, class_numbers(settings.labels, model.header, progress.note))
    around, made_from = _around(model, settings, place, progress)
    require_remake(out, made_from, ROLES, force=settings.force)
    if settings.grid:
        require_remake(settings.grid, made_from, ROLES, shows="samples", force=settings.force, option="--grid")
    config = {"n": n, **vars(draw), "image_shape": list(model.autoencoder.image_shape), "sampler": model.drawn_from}
    config |= {"like": settings.like.name, "spread": settings.spread} if settings.like else {}
    header = Header("samples", config, "", model.header.step, inputs=made_from)
    needed, say = samples_bytes(out, (n, *model.autoencoder.image_shape))
    announce(out, needed, progress.note, say=say)
    blocks = [range(begin, begin + batch) for begin in range(0, n, batch)]
    drawing = Drawing(model.prior, draw, place, blocks[rank() :: size()], around=around)
    made = dealt(blocks, lambda numbers: decode_samples(model, drawing, numbers)[: n - numbers.start].cpu())
    if rank():
        follow(made)
        return Result(None)
    first: list[torch.Tensor] = []
    with writing_samples(out, (n, *model.autoencoder.image_shape), header) as writer, progress.task("sample", n) as bar:
        for pixels in made:
            if writer.count < GRID:
                first.append(pixels)
            writer.add(pixels.numpy())
            bar.advance(len(pixels))
        header = writer.header = replace(header, made_by=provenance(seconds=time.perf_counter() - start, seed=draw.seed, device=str(place)))
    if settings.grid:
        _write_grid(settings.grid, torch.cat(first), settings, replace(header, kind="picture", config={"shows": "samples", **config}))
    speed = round(n / (time.perf_counter() - start), 1)
    numbers = {"images": n, "seed": draw.seed, "sampler": model.drawn_from, "images_per_second": speed}
    return Result(out, numbers | ({"grid": str(settings.grid)} if settings.grid else {}))


def _around(
    model: Checkpoint, settings: SampleSettings, place: torch.device, progress: Progress
) -> tuple[Around | None, dict[str, dict[str, Any]]]:
    """Return the surroundings of the picture of --like, None without one, and the records of all inputs."""
    if settings.like is None:
        return None, model.inputs
    around, record = around_picture(model, settings.like, settings.spread, settings, device=place, progress=progress)
    return around, {**model.inputs, "like": record}


def _write_grid(path: Path, pixels: torch.Tensor, settings: SampleSettings, header: Header) -> None:
    """Write the first samples in whole rows, with a column for each class where classes take turns."""
    labels = header.config["labels"]
    turns = len(labels)
    columns, most = (turns, max(turns, GRID // turns * turns)) if turns > 1 else (GRID_COLUMNS, GRID)
    shown = pixels[:most].numpy()
    rows = [f"{begin} to {min(begin + columns, len(shown)) - 1}" for begin in range(0, len(shown), columns)]
    heads = [f"class {label}" for label in labels] if turns > 1 else []
    picture, layout = sheet(
        shown, columns, scale=settings.scale, rows=rows if settings.names else (), heads=heads if settings.names else ()
    )
    write_picture(path, picture, replace(header, config={**header.config, "layout": layout}, sha256=pixels_digest(picture)))
