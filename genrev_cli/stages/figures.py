"""Pictures of a model: reconstructions, interpolations, traversals (Schirrmeister et al. 2018, Figures 6 to 9 and 12)."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import torch

from genrev_cli.data.pixels import DamagedImage, decode, to_array
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.images import ImageSet
from genrev_cli.latents import Distribution, Prior
from genrev_cli.latents.paths import PATHS
from genrev_cli.latents.samplers import Resampled
from genrev_cli.latents.transport import TransportMap
from genrev_cli.metrics.reconstruction import L1
from genrev_cli.precision import autocast_in
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.scoring.exactness import Exactness, exact, filled
from genrev_cli.seeds import derive
from genrev_cli.settings.figures import InterpolateSettings, ReconstructSettings, TraverseSettings
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.shapes import Codes, Latents, Pixels, to_float, to_pixels
from genrev_cli.store.class_names import class_numbers
from genrev_cli.store.showing import Figure, Look, drawn_at_random


def _look(settings: ReconstructSettings | InterpolateSettings | TraverseSettings) -> Look:
    return Look(scale=settings.scale, names=settings.names, force=settings.force)


@torch.no_grad()
def reconstruct(ckpt: Path, out: Path, settings: ReconstructSettings, *, data: Path | None = None, progress: Progress = SILENT) -> Result:
    """Write three rows: originals, reconstructions from the restricted and from the full latent (Figure 6); measure the whole split.

    Raises FileError for unusable files and for an image that does not come back to the bit where `verify_exact` is set, UsageError for
    a split without images and for `verify_exact` with a network that is not exact.
    """
    split, batch, seed = settings.split, settings.batch, settings.seed
    figure = Figure(
        ckpt=ckpt, out=out, shows="reconstructions", device=settings.device, look=_look(settings), data=data, precision=settings.precision
    )
    images, prior = figure.images(), figure.model.prior
    autoencoder = exact(figure.model.autoencoder, settings.exact_bits) if settings.exact_bits else figure.model.autoencoder
    autocast = autocast_in(figure.place, settings.precision)
    check = Exactness(autoencoder) if settings.verify_exact else None
    rows = images.rows(split)
    restricted, full, widest = L1(), L1(), 0.0
    with progress.task("reconstruct", len(rows)) as bar, autocast():
        for first in range(0, len(rows), batch):
            pixels = figure.read(images, rows[first : first + batch])
            n, x = len(pixels), to_float(filled(pixels, min(batch, len(rows))))
            z = autoencoder.encode(x)
            x_hat = autoencoder.decode(z)
            restricted.add(x[:n], autoencoder.decode(prior.restrict(z))[:n])
            full.add(x[:n], x_hat[:n])
            widest = max(widest, z[:n].abs().max().item())
            if check:
                check.add(pixels, x[:n], x_hat[:n])
            bar.advance(n)
    if check:
        check.require(ckpt)
    chosen = drawn_at_random(images, split, settings.columns, seed)
    pixels = figure.read(images, rows[chosen])
    with autocast():
        z = autoencoder.encode(to_float(pixels))
        shown = [pixels, to_pixels(autoencoder.decode(prior.restrict(z))), to_pixels(autoencoder.decode(z))]
    numbers = {
        "images": len(rows), "split": split, "l1_restricted": restricted.mean,
        "roundtrip_mean": full.mean, "roundtrip_max": full.max, "max_abs_z": widest, **(check.numbers() if check else {}),
    }  # fmt: skip
    return figure.write(
        torch.cat(shown), len(pixels), rows=("original", f"restricted\n{prior.dim} of {prior.latent_dim}", "full"),
        heads=list(map(str, chosen)), corner=f"{split} image",
        config={"shows": "reconstructions: original, restricted latent, full latent"}, numbers=numbers, seed=seed,
    )  # fmt: skip


@torch.no_grad()
def interpolate(
    ckpt: Path,
    out: Path,
    settings: InterpolateSettings,
    *,
    pairs: Sequence[tuple[str, str]] = (),
    data: Path | None = None,
) -> Result:
    """Write a row per pair: the two originals at the ends, and `steps` decoded points between them (Figures 7 and 8).

    pairs: two row numbers within the split, or image files; none draws `random_pairs` of the split. With a transport map, both ends are
    the codes nearest to the images' that the map was fitted to. Raises UsageError for an unknown row, FileError for unusable files.
    """
    latent, path, ot, steps, split = settings.latent, settings.path, settings.ot, settings.steps, settings.split
    figure = Figure(
        ckpt=ckpt, out=out, shows="interpolations", device=settings.device, look=_look(settings), data=data,
        sampler=SamplerFile(ot, "ot") if ot else None,
    )  # fmt: skip
    model = figure.model
    names = [end for pair in pairs for end in pair] or _drawn_ends(figure, settings)
    loaded = _images_named(figure, names, split)
    t = torch.linspace(0, 1, steps, device=figure.place)
    tiles = []
    for a, b in zip(loaded[::2], loaded[1::2], strict=True):
        z = model.autoencoder.encode(to_float(torch.stack([a, b])))
        if ot:
            line = _along_the_map(model.prior, z, t)
        else:
            z = model.prior.restrict(z) if latent == "restricted" else z
            line = PATHS[path](z[0], z[1], t)
        tiles += [a[None], to_pixels(model.autoencoder.decode(line)), b[None]]
    latent, path = ("restricted", "OT map") if ot else (latent, path)
    shows = "interpolations along the OT map" if ot else f"interpolations in the {latent} latent"
    config = {"shows": shows, "path": path, "steps": steps, "split": split}
    numbers = {"pairs": len(names) // 2, "steps": steps, "latent": latent, "path": path}
    rows = [f"{Path(a).name}\nto {Path(b).name}" for a, b in zip(names[::2], names[1::2], strict=True)]
    heads = ["original", *(f"t = {share:.3g}" for share in t.tolist()), "original"]
    return figure.write(torch.cat(tiles), steps + 2, rows=rows, heads=heads, config=config, numbers=numbers, seed=settings.seed)


def _along_the_map(prior: Prior, z: Latents, t: torch.Tensor) -> Latents:
    """Return the path between two latents through codes that the transport map in the prior's place can make: (2, D), (n,) → (n, D)."""
    assert isinstance(prior, Resampled)
    assert isinstance(prior.sampler, TransportMap)
    y = prior.select(prior.restrict(z))
    return prior.embed(prior.sampler.between(y[0], y[1], t))


def _drawn_ends(figure: Figure, settings: InterpolateSettings) -> list[str]:
    """Return the numbers of images of the split, two for each pair. Raises UsageError for a split with one image."""
    images = figure.images()
    n = len(images.rows(settings.split))
    if n < 2:
        raise UsageError(f"{images.path}: split '{settings.split}' has one image, but an interpolation needs two")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(derive(settings.seed, "interpolate")))
    order = order[: 2 * settings.random_pairs]
    return [str(i) for i in order[: len(order) // 2 * 2].tolist()]


def _images_named(figure: Figure, names: Sequence[str], split: str) -> list[Pixels]:
    """Read images (C, H, W) uint8, each the row number within the split or an image file. The data is opened only for row numbers."""
    images = figure.images() if any(name.isdigit() for name in names) else None
    return [_row(figure, images, split, int(name)) if images and name.isdigit() else _picture(figure, Path(name)) for name in names]


def _row(figure: Figure, images: ImageSet, split: str, number: int) -> Pixels:
    rows = images.rows(split)
    if number >= len(rows):
        raise UsageError(f"{images.path}: has no image {number} in split '{split}' (0 to {len(rows) - 1})")
    return figure.read(images, rows[[number]])[0]


def _picture(figure: Figure, path: Path) -> Pixels:
    channels, height, width = figure.model.autoencoder.image_shape
    try:
        picture = decode(path.read_bytes(), channels)
    except (OSError, DamagedImage) as error:
        raise FileError(f"{path}: not a readable image ({error})") from error
    if picture.size != (width, height):
        raise FileError(
            f"{path}: is {picture.width}×{picture.height}, {figure.ckpt} takes {width}×{height}; crop and resize it as the data was"
        )
    return torch.from_numpy(to_array(picture).copy()).to(figure.place)


@torch.no_grad()
def traverse(ckpt: Path, out: Path, settings: TraverseSettings, *, data: Path | None = None) -> Result:
    """Write a row per active dimension, from −extent to +extent standard deviations of the prior (Figures 9 and 12).

    Without `dims`, the widest of the prior are shown, at random where all are as wide. With `around`, the other dimensions are those of
    an image, else those of the prior's mean, or of each class's in turn where it has classes.
    Raises UsageError for an unknown dimension, class or row, FileError for unusable files.
    """
    steps, extent, around, split = settings.steps, settings.extent, settings.around, settings.split
    figure = Figure(ckpt=ckpt, out=out, shows="traversals", device=settings.device, look=_look(settings), data=data)
    label = class_numbers((settings.label,), figure.model.header)[0] if settings.label else None
    prior = figure.model.prior
    dims = list(settings.dims) or _widest(prior, settings.count, settings.seed)
    for dim in dims:
        if not 0 <= dim < prior.dim:
            raise UsageError(f"--dim {dim}: {ckpt} has active dimensions 0 to {prior.dim - 1}")
    priors: list[Distribution]
    if label is not None:
        priors = [prior.given(label)]
    else:
        priors = [prior.given(k) for k in range(prior.classes)] if prior.classes and not around else [prior]
    centre = None
    if around:
        x = to_float(torch.stack(_images_named(figure, [around], split)))
        centre = prior.select(prior.restrict(figure.model.autoencoder.encode(x)))[0]
    lines = [prior.embed(_line(one, centre, dim, extent, steps=steps)) for one in priors for dim in dims]
    tiles = [to_pixels(figure.model.autoencoder.decode(line)) for line in lines]
    classes = [label] if label is not None else list(range(len(priors))) if prior.classes and not around else []
    config = {
        "shows": f"traversals from −{extent:g} to +{extent:g} standard deviations",
        "dims": list(dims),
        "around": (f"code of image {around} of split {split}" if around.isdigit() else f"code of {around}") if around else "prior mean",
        "classes": classes,
    }
    numbers = {"dims": list(dims), "steps": steps, "extent": extent}
    heads = [f"{share:+.3g} sd" if share else "0 sd" for share in torch.linspace(-extent, extent, steps).tolist()]
    rows = [_row_name(one, dim, label) for (one, dim), label in zip(product(priors, dims), _row_labels(classes, dims), strict=True)]
    return figure.write(torch.cat(tiles), steps, rows=rows, heads=heads, config=config, numbers=numbers, seed=settings.seed)


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


def _line(prior: Distribution, centre: Codes | None, dim: int, extent: float, *, steps: int) -> Codes:
    """Return codes (steps, d) along dimension `dim`; the others stay at `centre`, None being the prior's mean."""
    mean, std = prior.moments()
    codes = (mean if centre is None else centre).repeat(steps, 1)
    codes[:, dim] = mean[dim] + std[dim] * torch.linspace(-extent, extent, steps, device=codes.device)
    return codes
