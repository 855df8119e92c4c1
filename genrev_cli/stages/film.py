"""interpolate --out film.gif: a film that goes from picture to picture through the latent space, and back to the first."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch

from genrev_cli.errors import UsageError
from genrev_cli.files.sheets import LEAST_SIDE
from genrev_cli.latents.paths import eased
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.settings.figures import InterpolateSettings
from genrev_cli.shapes import Pixels, to_float
from genrev_cli.store.coding import ALONG, TITLES, between, pictures_of
from genrev_cli.store.showing import Figure, Look


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
    figure = Figure(
        ckpt=ckpt, out=out, shows="a film", device=settings.device, look=Look(scale=settings.scale, force=settings.force), data=data,
        sampler=settings.sampler, film=True,
    )  # fmt: skip
    loaded = figure.named(names, settings.split, settings, progress=progress)
    z = figure.model.autoencoder.encode(to_float(torch.stack(loaded)))
    count = max(1, round(settings.seconds * settings.fps))
    t = torch.arange(count, device=figure.place) / count
    t = eased(t) if settings.ease else t
    path, full = ALONG[settings.sampler.name] if settings.sampler else settings.path, settings.latent == "full"
    stops = [*range(len(names)), *([0] if settings.loop else [])]
    frames: list[Pixels] = []
    with progress.task("interpolate", len(stops) - 1, "transitions") as bar:
        for a, b in pairwise(stops):
            times = t if settings.loop or b != stops[-1] else torch.cat([t, torch.ones_like(t[:1])])
            line = between(figure.model, z[[a, b]], times, path=path, full=full)
            frames.append(pictures_of(figure.model, line))
            bar.advance()
    shown = torch.cat(frames).numpy()
    scale = settings.scale or -(-LEAST_SIDE // min(shown.shape[2:]))
    config = {
        "shows": "a film of interpolations", "scale": scale, "path": TITLES.get(path, path), "ease": settings.ease,
        "loop": settings.loop,
    }  # fmt: skip
    numbers = {"pictures": len(names), "latent": settings.latent}
    return figure.write_film(shown.repeat(scale, axis=2).repeat(scale, axis=3), settings.fps, config=config, numbers=numbers)
