"""decode: latent codes → images, the way back from encode (Schirrmeister et al. 2018, section 2)."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from genrev_cli.errors import DivergedError, FileError, UsageError
from genrev_cli.files.codes import CodeFile, open_code_file
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.samples import samples_bytes, writing_samples
from genrev_cli.files.space import announce
from genrev_cli.files.targets import check_target, require_remake
from genrev_cli.latents.flow import Flow
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.scoring.exactness import exact, filled
from genrev_cli.settings.codes import DecodeSettings
from genrev_cli.shapes import Pixels
from genrev_cli.store.belonging import require_codes_of
from genrev_cli.store.checkpoints import Checkpoint, load_checkpoint
from genrev_cli.store.coding import decoded, same_dims
from genrev_cli.store.drawing import finite_pixels
from genrev_cli.store.gaussian import flow_of_codes, require_classes
from genrev_cli.training.devices import resolve_device
from genrev_cli.training.distributed import dealt, follow, rank

BLOCK = 64


@torch.no_grad()
def decode(codes: Path, ckpt: Path, out: Path, settings: DecodeSettings, *, progress: Progress = SILENT) -> Result:
    """Decode every code of a file and write the images, with the names of the codes if they have some.

    out: a folder of PNGs, or a .h5 or .npz file. Codes are decoded in blocks of one size whose last one is filled up; blocks of exact codes
    are those in which they were encoded, because the last bits of a kernel's result depend on the batch size. Gaussian codes go through
    their flow first.
    Raises FileError for unusable files and for codes of another checkpoint or flow, UsageError for another number of dimensions and for
    exact bits or a flow that the codes do not have, DivergedError when an image is not finite.
    """
    start, place = time.perf_counter(), resolve_device(settings.device)
    check_target(out, "samples", ("", ".h5", ".npz"), filter(None, (codes, ckpt, settings.flow)))
    given = open_code_file(codes)
    model = load_checkpoint(ckpt, place)
    require_codes_of(model, given.header.inputs, codes, progress)
    flow, record = flow_of_codes(given.header, codes, settings.flow, place) or (None, {})
    if flow:
        require_classes(flow, given.labels, codes)
    bits, batch = _grid(given, settings)
    if bits:
        model = replace(model, autoencoder=exact(model.autoencoder, bits))
    n, image_shape = len(given), model.autoencoder.image_shape
    inputs = {**model.inputs, **record, "codes": given.header.as_input(codes)}
    require_remake(out, inputs, ("ckpt", "codes"), force=settings.force)
    latent = given.header.config.get("latent", "restricted")
    config = {"n": n, "image_shape": list(image_shape), "sampler": "codes", "latent": latent, "exact_bits": bits}
    header = Header("samples", config, "", model.header.step, inputs=inputs)
    needed, say = samples_bytes(out, (n, *image_shape))
    announce(out, needed, progress.note, say=say)
    blocks = [range(first, min(first + batch, n)) for first in range(0, n, batch)]
    made = dealt(blocks, lambda part: _pixels(model, given, part, flow, batch=min(batch, n), device=place).cpu())
    if rank():
        follow(made)
        return Result(None)
    with writing_samples(out, (n, *image_shape), header, names=given.names) as writer, progress.task("decode", n) as bar:
        for pixels in made:
            writer.add(pixels.numpy())
            bar.advance(len(pixels))
        writer.header = replace(header, made_by=provenance(seconds=time.perf_counter() - start, device=str(place)))
    exactly = {"exact_bits": bits} if bits else {}
    return Result(out, {"images": n, "latent": latent, **exactly, "images_per_second": round(n / (time.perf_counter() - start), 1)})


def _grid(codes: CodeFile, settings: DecodeSettings) -> tuple[int, int]:
    """Return the bits of the grid (0: none) and the number of images per block.

    Raises UsageError for bits that the codes were not encoded with, and for another block of exact codes than that of their encoding;
    FileError for a header without valid numbers.
    """
    bits, batch = (codes.header.config.get(name, 0) for name in ("exact_bits", "batch"))
    if not (isinstance(bits, int) and isinstance(batch, int)) or (bits and batch < 1):
        raise FileError(f"{codes.path}: damaged: its header has no valid 'exact_bits' and 'batch'; run 'genrev encode' again")
    asked = settings.exact_bits
    if asked and asked != bits:
        found = f"with --exact-bits {bits}" if bits else "without exact bits"
        cure = f"leave it out, or encode again with --full --exact-bits {asked}"
        raise UsageError(f"--exact-bits {asked}: {codes.path} was encoded {found}; {cure}")
    if not bits:
        return 0, settings.batch or BLOCK
    if settings.batch and settings.batch != batch:
        raise UsageError(f"--batch {settings.batch}: {codes.path} was encoded {batch} at a time, and is exact only so; leave --batch out")
    return bits, batch


def _pixels(model: Checkpoint, codes: CodeFile, part: range, flow: Flow | None, *, batch: int, device: torch.device) -> Pixels:
    """Return the images of a range of codes, (k, C, H, W) uint8. flow: of Gaussian codes."""
    block = torch.from_numpy(codes.read(np.arange(part.start, part.stop))).to(device)
    if flow:
        block = flow.codes(same_dims(flow, block), torch.from_numpy(codes.labels[part.start : part.stop]))
    try:
        return finite_pixels(decoded(model, filled(block, batch))[: len(part)], part)
    except DivergedError as error:
        raise DivergedError(f"{codes.path}: {error}") from error
