"""The pictures of A5: reconstructions in three rows, interpolations, traversals."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrev_cli.data.pixels import DamagedImage, decode, to_array
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.images import ImageSet
from genrev_cli.files.pictures import grid, pixels_digest, write_picture
from genrev_cli.files.targets import check_target
from genrev_cli.latents import Prior
from genrev_cli.latents.paths import PATHS
from genrev_cli.metrics.reconstruction import L1
from genrev_cli.precision import autocast_in
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.scoring.exactness import Exactness, exact, filled
from genrev_cli.seeds import derive
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.shapes import Codes, Pixels, to_float, to_pixels
from genrev_cli.store.checkpoints import Checkpoint, data_of
from genrev_cli.store.samplers import open_model
from genrev_cli.training.devices import resolve_device

LATENTS = ("restricted", "full")


@dataclass
class _Figure:
    """One picture in the making: the model, its data and the clock."""

    ckpt: Path
    out: Path
    device: str
    data: Path | None = None
    sampler: SamplerFile | None = None
    precision: str = "fp32"

    def __post_init__(self) -> None:
        check_target(self.out, "picture", (".png",), [self.ckpt, *([self.sampler.path] if self.sampler else [])])
        self.start, self.place = time.perf_counter(), resolve_device(self.device, self.precision)
        self.model: Checkpoint = open_model(self.ckpt, self.place, self.sampler)
        self.inputs = self.model.inputs

    def images(self) -> ImageSet:
        """The image set, recorded as an input of the picture."""
        images = data_of(self.model.header, self.data, self.ckpt)
        self.inputs["data"] = images.header.as_input(images.path)
        return images

    def read(self, images: ImageSet, rows: Sequence[int] | np.ndarray) -> Pixels:
        return torch.from_numpy(images.read(rows)).to(self.place)

    def write(self, tiles: Pixels, columns: int, config: dict[str, Any], numbers: dict[str, Any], seed: int | None = None) -> Result:
        """Lay the tiles out in rows of `columns` and write the picture with its header."""
        picture = grid(tiles.cpu().numpy(), columns)
        made_by = provenance(seconds=time.perf_counter() - self.start, seed=seed, device=str(self.place))
        header = Header("picture", {**config, "numbers": numbers}, pixels_digest(picture), self.model.header.step, self.inputs, made_by)
        write_picture(self.out, picture, header)
        return Result(self.out, numbers)


@torch.no_grad()
def reconstruct(
    ckpt: Path,
    out: Path,
    *,
    data: Path | None = None,
    split: str = "test",
    columns: int = 16,
    exact_bits: int = 0,
    verify_exact: bool = False,
    precision: str = "fp32",
    seed: int = 0,
    batch: int = 256,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Result:
    """Fig. 6, three rows: originals, reconstructions from the restricted latent, from the full latent; and the errors over the whole split.

    columns: how many images, drawn at random by `seed`. exact_bits: of the network, 0 being its own. verify_exact: that the full round
    trip gives back every image to the bit. Raises FileError for unusable files and where a network does not keep that, UsageError for an
    unknown split and for a network that promises no such thing.
    """
    figure = _Figure(ckpt, out, device, data, precision=precision)
    images, prior = figure.images(), figure.model.prior
    autoencoder = exact(figure.model.autoencoder, exact_bits) if exact_bits else figure.model.autoencoder
    autocast = autocast_in(figure.place, precision)
    check = Exactness(autoencoder) if verify_exact else None
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
    chosen = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(derive(seed, "reconstruct")))[:columns].numpy()]
    pixels = figure.read(images, np.sort(chosen))
    with autocast():
        z = autoencoder.encode(to_float(pixels))
        shown = [pixels, to_pixels(autoencoder.decode(prior.restrict(z))), to_pixels(autoencoder.decode(z))]
    numbers = {
        "images": len(rows), "split": split, "l1_restricted": restricted.mean,
        "roundtrip_mean": full.mean, "roundtrip_max": full.max, "max_abs_z": widest, **(check.numbers() if check else {}),
    }  # fmt: skip
    return figure.write(
        torch.cat(shown), len(pixels), {"shows": "reconstructions: original, restricted latent, full latent"}, numbers, seed
    )


@torch.no_grad()
def interpolate(
    ckpt: Path,
    out: Path,
    *,
    pairs: Sequence[tuple[str, str]] = (),
    data: Path | None = None,
    split: str = "test",
    latent: str = "restricted",
    path: str = "linear",
    ot: Path | None = None,
    steps: int = 9,
    random_pairs: int = 6,
    seed: int = 0,
    device: str = "auto",
) -> Result:
    """Figs. 7 and 8: a row per pair, the two originals at the ends and `steps` decoded points between them.

    pairs: two of row numbers within the split, or image files; none draws `random_pairs` of the split. latent: 'restricted' goes
    between clip(E(a)) and clip(E(b)), 'full' between E(a) and E(b). path: 'linear' or 'spherical'. ot: a map of fit-ot, along which
    the path goes straight in the map's cube, and so only through codes that the map can make; both ends are then the codes nearest to
    the images' that it was fitted to. Raises UsageError for an unknown choice or row, FileError for unusable files.
    """
    if latent not in LATENTS or path not in PATHS:
        raise UsageError(f"--latent {latent} --path {path}: choose {' or '.join(LATENTS)}, and {' or '.join(PATHS)}")
    if steps < 2:
        raise UsageError(f"--steps {steps}: at least 2 are needed, the codes of both ends")
    if ot and (latent, path) != ("restricted", "linear"):
        raise UsageError(f"--ot {ot}: the path is that of the map; leave --latent and --path out")
    figure = _Figure(ckpt, out, device, data, SamplerFile(ot, "ot") if ot else None)
    model = figure.model
    ends = _ends(figure, pairs, split, random_pairs, seed)
    t = torch.linspace(0, 1, steps, device=figure.place)
    tiles = []
    for a, b in ends:
        z = model.autoencoder.encode(to_float(torch.stack([a, b])))
        if ot:
            y = model.prior.select(model.prior.restrict(z))
            line = model.prior.embed(model.prior.sampler.between(y[0], y[1], t))
        else:
            z = model.prior.restrict(z) if latent == "restricted" else z
            line = PATHS[path](z[0], z[1], t)
        tiles += [a[None], to_pixels(model.autoencoder.decode(line)), b[None]]
    latent, path = ("restricted", "OT map") if ot else (latent, path)
    shows = "interpolations along the OT map" if ot else f"interpolations in the {latent} latent"
    config = {"shows": shows, "path": path, "steps": steps, "split": split}
    return figure.write(torch.cat(tiles), steps + 2, config, {"pairs": len(ends), "steps": steps, "latent": latent, "path": path}, seed)


def _ends(figure: _Figure, pairs: Sequence[tuple[str, str]], split: str, random_pairs: int, seed: int) -> list[tuple[Pixels, Pixels]]:
    named = [end for pair in pairs for end in pair]
    images = figure.images() if not pairs or any(end.isdigit() for end in named) else None
    if not pairs:
        rows = images.rows(split)
        if len(rows) < 2:
            raise UsageError(f"{images.path}: split '{split}' has one image, an interpolation needs two")
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(derive(seed, "interpolate")))[: 2 * random_pairs]
        named = [str(i) for i in order[: len(order) // 2 * 2].tolist()]
    loaded = [_end(figure, images, split, end) for end in named]
    return list(zip(loaded[::2], loaded[1::2], strict=True))


def _end(figure: _Figure, images: ImageSet | None, split: str, end: str) -> Pixels:
    """(C, H, W) uint8 of a row number within the split, or of an image file."""
    if end.isdigit():
        rows = images.rows(split)
        if int(end) >= len(rows):
            raise UsageError(f"{images.path}: has no image {end} in split '{split}' (0 to {len(rows) - 1})")
        return figure.read(images, rows[[int(end)]])[0]
    channels, height, width = figure.model.autoencoder.image_shape
    try:
        picture = decode(Path(end).read_bytes(), channels)
    except (OSError, DamagedImage) as error:
        raise FileError(f"{end}: not a readable image ({error})") from error
    if picture.size != (width, height):
        raise FileError(
            f"{end}: is {picture.width}×{picture.height}, {figure.ckpt} takes {width}×{height}; crop and resize it as the data was"
        )
    return torch.from_numpy(to_array(picture).copy()).to(figure.place)


@torch.no_grad()
def traverse(
    ckpt: Path,
    out: Path,
    *,
    dims: Sequence[int] = (),
    count: int = 5,
    steps: int = 9,
    extent: float = 3.0,
    around: str = "",
    label: int | None = None,
    data: Path | None = None,
    split: str = "test",
    seed: int = 0,
    device: str = "auto",
) -> Result:
    """Figs. 9 and 12: a row per active dimension, going from −extent to +extent standard deviations of the prior.

    dims: numbers among the active dimensions; none takes the `count` widest of the prior, at random where all are as wide (A5, A6).
    around: the other dimensions are those of an image (a row number within the split, or a file); '' is the mean of the prior, and of
    each class in turn where it has some. label: the class alone whose prior is meant, None for all.
    Raises UsageError for an unknown dimension or class.
    """
    figure = _Figure(ckpt, out, device, data)
    prior = figure.model.prior
    dims = list(dims) or _widest(prior, count, seed)
    for dim in dims:
        if not 0 <= dim < prior.dim:
            raise UsageError(f"--dim {dim}: {ckpt} has active dimensions 0 to {prior.dim - 1}")
    if steps < 2 or not math.isfinite(extent):
        raise UsageError(f"--steps {steps} --extent {extent}: at least 2 steps and a finite extent are needed")
    if label is not None:
        priors = [prior.given(label)]
    else:
        priors = [prior.given(k) for k in range(prior.classes)] if prior.classes and not around else [prior]
    centre = None
    if around:
        x = to_float(_end(figure, figure.images() if around.isdigit() else None, split, around)[None])
        centre = prior.select(prior.restrict(figure.model.autoencoder.encode(x)))[0]
    lines = [prior.embed(_line(one, centre, dim, extent, steps)) for one in priors for dim in dims]
    tiles = [to_pixels(figure.model.autoencoder.decode(line)) for line in lines]
    config = {
        "shows": f"traversals from −{extent:g} to +{extent:g} standard deviations",
        "dims": list(dims),
        "around": (f"code of image {around} of split {split}" if around.isdigit() else f"code of {around}") if around else "prior mean",
        "classes": [label] if label is not None else list(range(len(priors))) if prior.classes and not around else [],
    }
    return figure.write(torch.cat(tiles), steps, config, {"dims": list(dims), "steps": steps, "extent": extent}, seed)


def _widest(prior: Prior, count: int, seed: int) -> list[int]:
    _, std = prior.moments()
    order = torch.randperm(prior.dim, generator=torch.Generator().manual_seed(derive(seed, "traverse")))
    if (std != std[0]).any():
        return std.argsort(descending=True)[:count].tolist()
    return order[:count].sort().values.tolist()


def _line(prior: Prior, centre: Codes | None, dim: int, extent: float, steps: int) -> Codes:
    """(steps, d): dimension `dim` over the width of the prior, the others at `centre`, None being the prior's mean."""
    mean, std = prior.moments()
    codes = (mean if centre is None else centre).repeat(steps, 1)
    codes[:, dim] = mean[dim] + std[dim] * torch.linspace(-extent, extent, steps, device=codes.device)
    return codes
