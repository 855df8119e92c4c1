"""Pictures of a model: reconstructions, interpolations, traversals (Schirrmeister et al. 2018, Figures 6 to 9 and 12)."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrev_cli.errors import UsageError
from genrev_cli.files.directions import DirectionSet, open_directions
from genrev_cli.files.sheets import sheet
from genrev_cli.latents import Distribution, Prior
from genrev_cli.latents.paths import eased
from genrev_cli.metrics.reconstruction import L1
from genrev_cli.models import Autoencoder
from genrev_cli.precision import autocast_in
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.scoring.exactness import Exactness, exact, filled
from genrev_cli.seeds import derive
from genrev_cli.settings.figures import InterpolateSettings, ReconstructSettings, TraverseSettings
from genrev_cli.shapes import Codes, Latents, Pixels, to_float, to_pixels
from genrev_cli.store.belonging import require_directions_of
from genrev_cli.store.class_names import class_numbers
from genrev_cli.store.coding import ALONG, TITLES, between, encoded, pictures_of
from genrev_cli.store.gaussian import flow_of_codes, moved
from genrev_cli.store.given import Given, require_pictures
from genrev_cli.store.showing import Figure, Look, drawn_at_random


def _look(settings: ReconstructSettings | InterpolateSettings | TraverseSettings) -> Look:
    return Look(scale=settings.scale, names=settings.names, force=settings.force)


@torch.no_grad()
def reconstruct(
    ckpt: Path,
    out: Path,
    settings: ReconstructSettings,
    *,
    data: Path | None = None,
    pictures: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> Result:
    """Write three rows: originals, reconstructions from the restricted and from the full latent (Figure 6); measure the whole split.

    pictures: files, folders or zips, instead of a split; the first `columns` are shown.
    Raises FileError for unusable files and for an image that does not come back to the bit where `verify_exact` is set, UsageError for
    a split without images and for `verify_exact` with a network that is not exact.
    """
    figure = Figure(
        ckpt=ckpt, out=out, shows="reconstructions", device=settings.device, look=_look(settings), data=data, precision=settings.precision
    )
    images, prior = figure.given(settings, pictures, progress), figure.model.prior
    autoencoder = exact(figure.model.autoencoder, settings.exact_bits) if settings.exact_bits else figure.model.autoencoder
    numbers = _measured(figure, images, settings, autoencoder, progress=progress)
    n, count = len(images), settings.columns
    shown = list(range(n))[:count] if pictures else drawn_at_random(n, count, settings.seed).tolist()
    with autocast_in(figure.place, settings.precision)():
        tiles = _three_rows(figure, images, shown, autoencoder)
    return figure.write(
        tiles, len(shown), rows=("original", f"restricted\n{prior.dim} of {prior.latent_dim}", "full"),
        heads=[images.names[row] if pictures else str(row) for row in shown], corner="picture" if pictures else f"{images.split} image",
        config={"shows": "reconstructions: original, restricted latent, full latent"}, numbers=numbers, seed=settings.seed,
    )  # fmt: skip


def _measured(
    figure: Figure, images: Given, settings: ReconstructSettings, autoencoder: Autoencoder, *, progress: Progress
) -> dict[str, Any]:
    """Return the errors of all images. Raises FileError where `verify_exact` is set and one does not come back to the bit."""
    batch, prior = settings.batch, figure.model.prior
    check = Exactness(autoencoder) if settings.verify_exact else None
    restricted, full, widest = L1(), L1(), 0.0
    with progress.task("reconstruct", len(images)) as bar, autocast_in(figure.place, settings.precision)():
        for first in range(0, len(images), batch):
            pixels = torch.from_numpy(images.read(first, first + batch)).to(figure.place)
            n, x = len(pixels), to_float(filled(pixels, min(batch, len(images))))
            z = autoencoder.encode(x)
            x_hat = autoencoder.decode(z)
            restricted.add(x[:n], autoencoder.decode(prior.restrict(z))[:n].clamp(0, 1))
            full.add(x[:n], x_hat[:n])
            widest = max(widest, z[:n].abs().max().item())
            if check:
                check.add(pixels, x[:n], x_hat[:n])
            bar.advance(n)
    if check:
        check.require(figure.ckpt)
    return {
        "images": len(images), **({"split": images.split} if images.split else {}), "l1_restricted": restricted.mean,
        "roundtrip_mean": full.mean, "roundtrip_max": full.max, "max_abs_z": widest, **(check.numbers() if check else {}),
    }  # fmt: skip


def _three_rows(figure: Figure, images: Given, shown: Sequence[int], autoencoder: Autoencoder) -> Pixels:
    """Return the images of the rows `shown`, and their reconstructions from the restricted and from the full latent, (3 n, C, H, W)."""
    pixels = torch.from_numpy(np.concatenate([images.read(row, row + 1) for row in shown])).to(figure.place)
    z = autoencoder.encode(to_float(pixels))
    return torch.cat([pixels, to_pixels(autoencoder.decode(figure.model.prior.restrict(z))), to_pixels(autoencoder.decode(z))])


@torch.no_grad()
def interpolate(
    ckpt: Path,
    out: Path,
    settings: InterpolateSettings,
    *,
    pairs: Sequence[tuple[str, str]] = (),
    data: Path | None = None,
    progress: Progress = SILENT,
) -> Result:
    """Write a row per pair: the two originals at the ends, and `steps` decoded points between them (Figures 7 and 8).

    pairs: two row numbers within the split, or image files; none draws `random_pairs` of the split. With a transport map, both ends are
    the codes nearest to the images' that the map was fitted to. Raises UsageError for an unknown row, FileError for unusable files.
    """
    latent, path, along, steps, split = settings.latent, settings.path, settings.sampler, settings.steps, settings.split
    figure = Figure(
        ckpt=ckpt, out=out, shows="interpolations", device=settings.device, look=_look(settings), data=data,
        sampler=along,
    )  # fmt: skip
    model = figure.model
    names = [end for pair in pairs for end in pair] or _drawn_ends(figure, settings)
    loaded = figure.named(names, split, settings, progress=progress)
    t = torch.linspace(0, 1, steps, device=figure.place)
    tiles = []
    for a, b in zip(loaded[::2], loaded[1::2], strict=True):
        z = model.autoencoder.encode(to_float(torch.stack([a, b])))
        line = between(model, z, t, path=ALONG[along.name] if along else path, full=latent == "full")
        tiles += [a[None], to_pixels(model.autoencoder.decode(line)), b[None]]
    latent, path = ("restricted", TITLES[ALONG[along.name]]) if along else (latent, path)
    shows = f"interpolations along the {path}" if along else f"interpolations in the {latent} latent"
    config = {"shows": shows, "path": path, "steps": steps, "split": split}
    numbers = {"pairs": len(names) // 2, "steps": steps, "latent": latent, "path": path}
    rows = [f"{Path(a).name}\nto {Path(b).name}" for a, b in zip(names[::2], names[1::2], strict=True)]
    heads = ["original", *(f"t = {share:.3g}" for share in t.tolist()), "original"]
    return figure.write(torch.cat(tiles), steps + 2, rows=rows, heads=heads, config=config, numbers=numbers, seed=settings.seed)


def _drawn_ends(figure: Figure, settings: InterpolateSettings) -> list[str]:
    """Return the numbers of images of the split, two for each pair. Raises UsageError for a split with one image."""
    images = figure.images()
    n = len(images.rows(settings.split))
    if n < 2:
        raise UsageError(f"{images.path}: split '{settings.split}' has one image, but an interpolation needs two")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(derive(settings.seed, "interpolate")))
    order = order[: 2 * settings.random_pairs]
    return [str(i) for i in order[: len(order) // 2 * 2].tolist()]


@torch.no_grad()
def traverse(ckpt: Path, out: Path, settings: TraverseSettings, *, data: Path | None = None, progress: Progress = SILENT) -> Result:
    """Write a row per active dimension, from −extent to +extent standard deviations of the prior (Figures 9 and 12), or per direction.

    A film shows all rows at once, on the way from one end to the other and back.

    Without `dims`, the widest of the prior are shown, at random where all are as wide. With `around`, the other dimensions are those of
    an image, and with `latent` 'full' the inactive ones too; else those of the prior's mean, or of each class's in turn.
    Raises UsageError for an unknown dimension, class or row, FileError for unusable files.
    """
    around, split, film = settings.around, settings.split, settings.is_film(out)
    figure = Figure(ckpt=ckpt, out=out, shows="traversals", device=settings.device, look=_look(settings), data=data, film=film)
    if settings.directions:
        return _along_directions(figure, settings, open_directions(settings.directions), progress)
    label = class_numbers((settings.label,), figure.model.header)[0] if settings.label else None
    prior = figure.model.prior
    settings = _within(settings, prior, progress)
    extent = settings.extent
    dims = list(settings.dims) or _widest(prior, settings.count, settings.seed)
    for dim in dims:
        if not 0 <= dim < prior.dim:
            raise UsageError(f"--dim {dim}: {ckpt} has active dimensions 0 to {prior.dim - 1}")
    priors: list[Distribution]
    if label is not None:
        priors = [prior.given(label)]
    else:
        priors = [prior.given(k) for k in range(prior.classes)] if prior.classes and not around else [prior]
    centre, z = None, None
    if around:
        x = to_float(torch.stack(figure.named([around], split, settings, progress=progress)))
        z = encoded(figure.model, x, full=True) if settings.latent == "full" else None
        centre = (encoded(figure.model, x, full=False) if z is None else prior.select(z))[0]
    else:
        require_pictures(settings, False)
    codes = [_line(one, centre, dim, _strengths(settings, film)) for one in priors for dim in dims]
    lines = [prior.embed(line) if z is None else z + prior.embed(line - prior.select(z)) for line in codes]
    classes = [label] if label is not None else list(range(len(priors))) if prior.classes and not around else []
    shows = f"traversals from −{extent:g} to +{extent:g} standard deviations"
    config = {"shows": shows, "dims": list(dims), "around": _centre_name(settings, "prior mean"), "classes": classes}
    rows = [_row_name(one, dim, label) for (one, dim), label in zip(product(priors, dims), _row_labels(classes, dims), strict=True)]
    return _traversed(figure, settings, lines, rows, config=config, numbers={"dims": list(dims), "extent": extent})


def _along_directions(figure: Figure, settings: TraverseSettings, directions: DirectionSet, progress: Progress) -> Result:
    """Write a row per direction, from −extent to +extent standard deviations of the codes, around their mean or an image.

    Directions of the full latent keep all details of an image; those of its active dimensions do with `latent` 'full'.
    Raises UsageError for an unknown direction, FileError for directions of another model.
    """
    model, full = figure.model, directions.full
    require_directions_of(model, directions, progress)
    flow, record = flow_of_codes(directions.header, directions.path, settings.flow, figure.place) or (None, {})
    names, z = list(settings.chosen) or directions.names, None
    if settings.around:
        x = to_float(torch.stack(figure.named([settings.around], settings.split, settings, progress=progress)))
        z = encoded(model, x, full=True)
        z = z if full or settings.latent == "full" else model.prior.restrict(z)
    else:
        require_pictures(settings, False)
    lines, rows = [], []
    for name in names:
        moves = torch.outer(_strengths(settings, figure.film), directions.move(name, 1.0)).to(figure.place)
        lines.append(moved(model.prior, z, directions=directions, moves=moves, flow=flow))
        about = directions.about[directions.number(name)]
        rows.append(
            f"{name}\n" + (f"accuracy {about['accuracy']:.0%}" if about.get("accuracy") is not None else f"sd {about['scale']:.3g}")
        )
    figure.inputs |= {**record, "directions": directions.header.as_input(directions.path)}
    extent = f"{settings.extent:g}"
    shows = f"traversals along directions from −{extent} to +{extent} standard deviations"
    config = {"shows": shows, "directions": names, "around": _centre_name(settings, "mean of the codes")}
    return _traversed(figure, settings, lines, rows, config=config, numbers={"directions": names, "extent": settings.extent})


def _traversed(
    figure: Figure,
    settings: TraverseSettings,
    lines: Sequence[Latents],
    rows: Sequence[str],
    *,
    config: dict[str, Any],
    numbers: dict[str, Any],
) -> Result:
    """Decode latents (n, D) for each row, and write the rows; or a film whose frames have a tile for each row."""
    tiles = [pictures_of(figure.model, line) for line in lines]
    if not figure.film:
        heads = [f"{strength:+.3g} sd" if strength else "0 sd" for strength in _strengths(settings, False).tolist()]
        numbers = {**numbers, "steps": settings.steps}
        return figure.write(torch.cat(tiles), settings.steps, rows=rows, heads=heads, config=config, numbers=numbers, seed=settings.seed)
    names = [row.partition("\n")[0] for row in rows] if settings.names else []
    frames = [sheet(frame, len(rows), scale=settings.scale, heads=names)[0] for frame in torch.stack(tiles, 1).numpy()]
    return figure.write_film(np.stack(frames), settings.fps, config={**config, "ease": settings.ease}, numbers=numbers)


def _within(settings: TraverseSettings, prior: Distribution, progress: Progress) -> TraverseSettings:
    """Return settings whose rows end where the support of the prior ends, if it does."""
    reach = prior.reach
    if abs(settings.extent) <= reach:
        return settings
    progress.note(f"the prior '{prior.config['name']}' ends {reach:.3g} standard deviations from its mean, so the rows end there")
    return replace(settings, extent=math.copysign(reach, settings.extent))


def _strengths(settings: TraverseSettings, film: bool) -> torch.Tensor:
    """Return how far each picture of a row goes in standard deviations, (n,); those of a film go from one end to the other and back."""
    if not film:
        return torch.linspace(-settings.extent, settings.extent, settings.steps)
    count = max(1, round(settings.seconds * settings.fps))
    t = torch.arange(count) / count
    there = settings.extent * (2 * (eased(t) if settings.ease else t) - 1)
    return torch.cat([there, -there])


def _centre_name(settings: TraverseSettings, otherwise: str) -> str:
    """Return what a traversal goes around."""
    around = settings.around
    return (f"code of image {around} of split {settings.split}" if around.isdigit() else f"code of {around}") if around else otherwise


def _row_labels(classes: Sequence[int], dims: Sequence[int]) -> list[str]:
    """Return the class of each row of a traversal, '' where the prior has none."""
    return [f"class {label}, " for label in classes for _ in dims] or [""] * len(dims)


def _row_name(prior: Distribution, dim: int, label: str) -> str:
    """Return the name of a row of a traversal: its dimension, and how far one standard deviation of the prior goes."""
    return f"{label}dim {dim}\nsd {prior.moments()[1][dim].item():.3g}"


def _widest(prior: Prior, count: int, seed: int) -> list[int]:
    _, std = prior.moments()
    order = torch.randperm(prior.dim, generator=torch.Generator().manual_seed(derive(seed, "traverse")))
    if (std != std[0]).any():
        return std.argsort(descending=True)[:count].tolist()
    return order[:count].sort().values.tolist()


def _line(prior: Distribution, centre: Codes | None, dim: int, strengths: torch.Tensor) -> Codes:
    """Return codes (n, d) along dimension `dim`; the others stay at `centre`, None being the prior's mean."""
    mean, std = prior.moments()
    codes = (mean if centre is None else centre).repeat(len(strengths), 1)
    codes[:, dim] = mean[dim] + std[dim] * strengths.to(codes.device)
    return codes
