"""encode: images → latent codes (Schirrmeister et al. 2018, section 2.2 and footnote 1; An et al. 2020, section 3.1)."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from genrev_cli.errors import DivergedError
from genrev_cli.files.codes import GAUSSIAN, SPACE, writing_codes
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.space import announce, hdf5_bytes
from genrev_cli.files.targets import check_target
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.scoring.exactness import exact, filled, require_in_range
from genrev_cli.settings.codes import EncodeSettings
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.shapes import to_float
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.coding import encoded, flow_of
from genrev_cli.store.gaussian import flow_record, require_flow_fits
from genrev_cli.store.given import Given, given_images
from genrev_cli.store.samplers import open_model
from genrev_cli.training.devices import resolve_device
from genrev_cli.training.distributed import dealt, follow, rank


@torch.no_grad()
def encode(
    ckpt: Path,
    out: Path,
    settings: EncodeSettings,
    *,
    data: Path | None = None,
    pictures: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> Result:
    """Encode every image of a split, or pictures, and write the codes.

    The codes are y, the active dimensions of clip(E(x)); with `full` z = E(x), all dimensions and not clipped. A full latent of a network
    on a grid is exact; then every block has `batch` images, so that `decode` can run the same blocks. With a flow the Gaussian codes of
    these codes are written, and the header says so.
    data: prepared images, None for those that the checkpoint was trained on. pictures: files, folders or zips, instead of a split.
    Raises FileError for unusable files, UsageError for a split without images and for a flow of other codes, DivergedError when a code is
    not finite.
    """
    start, place = time.perf_counter(), resolve_device(settings.device)
    full, batch = settings.full, settings.batch
    model = open_model(ckpt, place, SamplerFile(settings.flow, "flow") if settings.flow else None)
    if settings.exact_bits:
        model = replace(model, autoencoder=exact(model.autoencoder, settings.exact_bits))
    grid = _grid(model, settings)
    images = given_images(model, settings, data=data, pictures=pictures, progress=progress)
    require_flow_fits(model, images.labels, full=full)
    n, dim = len(images), model.autoencoder.latent_dim if full else model.prior.dim
    check_target(out, "codes", (".h5",), [*filter(None, (ckpt, settings.flow)), *images.sources])
    announce(out, hdf5_bytes([((n, dim), 4), ((n,), 8), ((n,), 8)]), progress.note)
    parts = [range(first, min(first + batch, n)) for first in range(0, n, batch)]
    made = dealt(parts, lambda part: _codes(model, images, part, place, full=full, block=min(batch, n) if grid else 0))
    if rank():
        follow(made)
        return Result(None)
    inputs = {"ckpt": model.header.as_input(model.path), **flow_record(model), images.role: images.record()}
    named = {"attributes": list(images.attribute_names)} if images.attribute_names else {}
    space = {SPACE: GAUSSIAN} if model.sampler else {}
    config = {"latent": "full" if full else "restricted", "dim": dim, "split": images.split, **space, **grid, **named}
    header = Header("codes", config, "", model.header.step, inputs=inputs)
    with (
        writing_codes(out, header, labels=images.labels, rows=images.rows, names=images.names, attributes=images.attributes) as writer,
        progress.task("encode", n) as bar,
    ):
        for codes in made:
            writer.add(codes.numpy())
            bar.advance(len(codes))
        writer.header = replace(header, made_by=provenance(seconds=time.perf_counter() - start, device=str(place)))
    seconds = time.perf_counter() - start
    source = {"split": images.split} if images.split else {}
    return Result(out, {"codes": n, "dim": dim, **source, **space, "images_per_second": round(n / seconds, 1)})


def _grid(model: Checkpoint, settings: EncodeSettings) -> dict[str, int]:
    """Return what `decode` needs to know of exact codes: the bits of the grid and the images per block; {} for other codes."""
    bits = getattr(model.autoencoder, "exact_bits", 0) if settings.full else 0
    return {"exact_bits": bits, "batch": settings.batch} if bits else {}


def _codes(model: Checkpoint, images: Given, part: range, device: torch.device, *, full: bool, block: int) -> Tensor:
    """Return the codes of some images, (k, d). block: fill up to this number of images; 0: as they are."""
    pixels = torch.from_numpy(images.read(part.start, part.stop)).to(device)
    codes = encoded(model, to_float(filled(pixels, block) if block else pixels), full=full)[: len(part)]
    if not codes.isfinite().all():
        rows = images.rows[part.start : part.stop]
        raise DivergedError(f"{model.path}: the code of an image among rows {rows[0]} to {rows[-1]} is not finite; the model has diverged")
    if block:
        require_in_range(model.autoencoder)
    if model.sampler:
        codes = flow_of(model).gaussian(codes, torch.from_numpy(images.labels[part.start : part.stop]))
    return codes.float().cpu()
