"""encode: images → latent codes (Schirrmeister et al. 2018, section 2.2 and footnote 1; An et al. 2020, section 3.1)."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genrev_cli.errors import DivergedError
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.images import ImageSet
from genrev_cli.files.space import announce, hdf5_bytes
from genrev_cli.files.targets import check_target
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.settings.codes import EncodeSettings
from genrev_cli.shapes import to_float
from genrev_cli.store.checkpoints import Checkpoint, data_of, load_checkpoint
from genrev_cli.training.devices import resolve_device
from genrev_cli.training.distributed import dealt, follow, rank


@torch.no_grad()
def encode(ckpt: Path, out: Path, settings: EncodeSettings, *, data: Path | None = None, progress: Progress = SILENT) -> Result:
    """Encode every image of a split and write the codes.

    The codes are y, the active dimensions of clip(E(x)); with `full` z = E(x), all dimensions and not clipped.
    data: prepared images, None for those that the checkpoint was trained on.
    Raises FileError for unusable files, UsageError for a split without images, DivergedError when a code is not finite.
    """
    start, place = time.perf_counter(), resolve_device(settings.device)
    split, full, batch = settings.split, settings.full, settings.batch
    model = load_checkpoint(ckpt, place)
    images = data_of(model.header, data, ckpt)
    check_target(out, "codes", (".h5",), [ckpt, images.path])
    rows = images.rows(split)
    dim = model.autoencoder.latent_dim if full else model.prior.dim
    inputs = {"ckpt": model.header.as_input(ckpt), "data": images.header.as_input(images.path)}
    header = Header("codes", {"latent": "full" if full else "restricted", "dim": dim, "split": split}, "", model.header.step, inputs)
    announce(out, hdf5_bytes([((len(rows), dim), 4), ((len(rows),), 8), ((len(rows),), 8)]), progress.note)
    parts = [rows[first : first + batch] for first in range(0, len(rows), batch)]
    made = dealt(parts, lambda part: _codes(model, images, part, place, full=full))
    if rank():
        follow(made)
        return Result(None)
    with hdf5.writing(out, header) as writer, progress.task("encode", len(rows)) as bar:
        writer.create("codes", (len(rows), dim), "float32")
        first = 0
        for codes in made:
            writer.write("codes", first, codes.numpy())
            first += len(codes)
            bar.advance(len(codes))
        for name, values in {"labels": images.labels[rows], "rows": rows}.items():
            writer.create(name, (len(rows),), "int64")
            writer.write(name, 0, values)
        writer.header = replace(header, made_by=provenance(seconds=time.perf_counter() - start, device=str(place)))
    return Result(
        out, {"codes": len(rows), "dim": dim, "split": split, "images_per_second": round(len(rows) / (time.perf_counter() - start), 1)}
    )


def _codes(model: Checkpoint, images: ImageSet, rows: np.ndarray, device: torch.device, *, full: bool) -> Tensor:
    z = model.autoencoder.encode(to_float(torch.from_numpy(images.read(rows)).to(device)))
    codes = z if full else model.prior.select(model.prior.restrict(z))
    if not codes.isfinite().all():
        raise DivergedError(f"{model.path}: the code of an image among rows {rows[0]} to {rows[-1]} is not finite; the model has diverged")
    return codes.float().cpu()
