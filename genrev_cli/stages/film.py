"""interpolate --out film.gif: a film that goes from picture to picture through the latent space, and back to the first."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from genrev_cli.errors import UsageError
from genrev_cli.files.films import FILMS, require_writer, write_film
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.samples import writing_samples
from genrev_cli.files.sheets import LEAST_SIDE
from genrev_cli.files.strip import stripped
from genrev_cli.latents.paths import eased
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.settings.figures import InterpolateSettings
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.shapes import Pixels, to_float, to_pixels
from genrev_cli.store.coding import ALONG_MAP, between
from genrev_cli.store.showing import Figure, Look

_BLOCK = 64  # frames that are decoded at once


@torch.no_grad()
def film(
    ckpt: Path, out: Path, settings: InterpolateSettings, names: Sequence[str], *, data: Path | None = None, progress: Progress = SILENT
) -> Result:
    """Write a film through images, each a row number within the split or a picture file, in their order.

    out: a .gif, .webp or .mp4 file, else a folder of frames. Each transition takes `seconds`; with `loop` the last one leads back.
    Raises UsageError for fewer than two images, UnavailableError for an .mp4 without its package, else as `interpolate`.
    """
    if len(names) < 2:
        raise UsageError(f"--out {out}: a film needs at least two pictures, or row numbers of the split")
    folder = out.suffix.lower() not in FILMS
    require_writer(out)
    figure = Figure(
        ckpt=ckpt, out=out, shows="a film", device=settings.device, look=Look(scale=settings.scale, force=settings.force), data=data,
        sampler=SamplerFile(settings.ot, "ot") if settings.ot else None, kind="samples" if folder else "film", suffixes=("", *FILMS),
    )  # fmt: skip
    loaded = figure.named(names, settings.split, as_is=settings.as_is, progress=progress)
    z = figure.model.autoencoder.encode(to_float(torch.stack(loaded)))
    count = max(1, round(settings.seconds * settings.fps))
    t = torch.arange(count, device=figure.place) / count
    t = eased(t) if settings.ease else t
    path, full = ALONG_MAP if settings.ot else settings.path, settings.latent == "full"
    stops = [*range(len(names)), *([0] if settings.loop else [])]
    frames: list[Pixels] = []
    with progress.task("interpolate", len(stops) - 1, "transitions") as bar:
        for a, b in pairwise(stops):
            times = t if settings.loop or b != stops[-1] else torch.cat([t, torch.ones_like(t[:1])])
            line = between(figure.model, z[[a, b]], times, path=path, full=full)
            frames += [to_pixels(figure.model.autoencoder.decode(part)).cpu() for part in line.split(_BLOCK)]
            bar.advance()
    return _written(figure, settings, torch.cat(frames).numpy(), names, folder=folder)


def _written(figure: Figure, settings: InterpolateSettings, frames: np.ndarray, names: Sequence[str], *, folder: bool) -> Result:
    """Magnify the frames and write them."""
    scale = settings.scale or -(-LEAST_SIDE // min(frames.shape[2:]))
    frames = frames.repeat(scale, axis=2).repeat(scale, axis=3)
    seconds = len(frames) / settings.fps
    numbers = {"pictures": len(names), "frames": len(frames), "film_seconds": round(seconds, 2), "latent": settings.latent}
    config = {
        "shows": "a film of interpolations", "n": len(frames), "image_shape": list(frames.shape[1:]), "fps": settings.fps, "scale": scale,
        "path": "OT map" if settings.ot else settings.path, "ease": settings.ease, "loop": settings.loop, "numbers": numbers,
    }  # fmt: skip
    made_by = provenance(seconds=figure.seconds, device=str(figure.place))
    header = Header("samples" if folder else "film", config, "", step=figure.model.header.step, inputs=figure.inputs, made_by=made_by)
    if folder:
        with writing_samples(figure.out, frames.shape, replace(header, config={**config, "sampler": "film"})) as writer:
            writer.add(frames)
    else:
        write_film(figure.out, frames, settings.fps, stripped(header))
    return Result(figure.out, numbers)
