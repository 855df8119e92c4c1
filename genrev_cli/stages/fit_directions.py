"""fit-directions: codes → named directions along which one property of images changes.

They come from differences of means (Kingma & Dhariwal 2018), normals of linear classifiers, also conditioned on others (Shen et al. 2020),
principal components (Härkönen et al. 2020), and two sets of pictures.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genrev_cli.data.photos import find_photos
from genrev_cli.errors import UsageError
from genrev_cli.files.codes import CodeFile, open_code_file, space_of
from genrev_cli.files.directions import KIND, write_directions
from genrev_cli.files.header import provenance
from genrev_cli.files.targets import check_target
from genrev_cli.latents import directions
from genrev_cli.latents.moments import Moments
from genrev_cli.progress import SILENT, Progress, Task
from genrev_cli.result import Result
from genrev_cli.seeds import derive
from genrev_cli.settings.directions import MEANS, NORMAL, PCA, SETS, FitDirectionsSettings
from genrev_cli.shapes import Codes, to_float
from genrev_cli.store.belonging import require_codes_of
from genrev_cli.store.checkpoints import Checkpoint, load_checkpoint
from genrev_cli.store.coding import encoded
from genrev_cli.store.direction_table import table_of
from genrev_cli.store.preparation import fitting_of, note_fitting
from genrev_cli.store.properties import Property, held_out, properties_of
from genrev_cli.training.devices import resolve_device

_BLOCK_VALUES = 1 << 22
FEWEST = 4
"""Codes that each side of a property must have."""


@dataclass(frozen=True)
class _Found:
    """A direction. v: (d,) float64. threshold: along v, None without two sides. accuracy: None until it is measured, or without sides.

    counts: of pictures without and with the property. without: names of the directions that it leaves unchanged.
    """

    name: str
    method: str
    source: str
    v: Tensor
    _: KW_ONLY
    threshold: float | None = None
    sides: np.ndarray | None = None
    accuracy: float | None = None
    counts: tuple[int, int] | None = None
    without: tuple[str, ...] = ()


class _Pass:
    """Reads all codes in blocks, again and again. share, seed: of the held-out ones."""

    def __init__(self, codes: CodeFile, settings: FitDirectionsSettings, bar: Task) -> None:
        self.codes, self.bar = codes, bar
        self.held = held_out(len(codes), settings.held_out, settings.seed)
        rows = max(1, _BLOCK_VALUES // codes.shape[1])
        self.parts = [range(first, min(first + rows, len(codes))) for first in range(0, len(codes), rows)]

    def __call__(self) -> Iterator[Codes]:
        """Yield the codes, (B, d) float32."""
        for block in self.codes.blocks(self.parts):
            yield torch.from_numpy(block)
            self.bar.advance(len(block))


def fit_directions(
    codes: Path, out: Path, settings: FitDirectionsSettings, *, ckpt: Path | None = None, progress: Progress = SILENT
) -> Result:
    """Find directions in code space and write them with how they were found and how well they separate what they are named after.

    ckpt: the checkpoint of the codes, to encode pictures. Memory holds a block of codes, `most` codes for classifiers, and the directions.
    Raises UsageError for properties that the codes do not have and for settings that do not apply, FileError for unusable files.
    """
    start = time.perf_counter()
    check_target(out, KIND, (".safetensors",), [codes, *([ckpt] if ckpt else [])])
    given = open_code_file(codes)
    if len(given) < 2:
        raise UsageError(f"{codes}: has one code; directions need at least 2")
    inputs = {"codes": given.header.as_input(codes)}
    sets, records = _sets(given, settings, ckpt, progress)
    methods, properties = _plan(given, settings, progress)
    passes = 2 + (0 if PCA not in methods else 1 if given.shape[1] <= directions.EXACT_DIMS else directions.PASSES)
    with progress.task("fit-directions", passes * len(given), "codes") as bar:
        blocks = _Pass(given, settings, bar)
        moments, means = _moments(blocks, properties)
        if not moments.std.any():
            raise UsageError(f"{codes}: all of its codes are equal; no direction can be found in them")
        found = [*_of_properties(blocks, properties, means, methods=methods, settings=settings, progress=progress), *sets]
        if PCA in methods:
            found += _components(blocks, moments, settings, progress)
        found = _unique(found)
        found += [_conditioned(entry, found, properties, means) for entry in settings.condition]
        vectors = torch.stack([one.v for one in found])
        along = torch.cat([block.double() @ vectors.T for block in blocks()])
    scale = along.std(0)
    about = [_about(one, along[:, i], blocks.held, scale=float(scale[i]), moments=moments) for i, one in enumerate(found)]
    config = {
        "latent": "full" if given.full else "restricted", **space_of(given), "dim": given.shape[1], "directions": about,
        "fit": {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items() if name != "device"},
    }  # fmt: skip
    write_directions(
        out, vectors, scale=scale, mean=moments.mean, config=config, inputs=inputs | records, step=given.header.step,
        made_by=provenance(seconds=time.perf_counter() - start, seed=settings.seed, device="cpu"),
    )  # fmt: skip
    return Result(out, {"codes": len(given), "dim": given.shape[1], "latent": config["latent"], "tables": [table_of(about, out.name)]})


def _plan(codes: CodeFile, settings: FitDirectionsSettings, progress: Progress) -> tuple[Sequence[str], list[Property]]:
    """Return the methods to use and the properties that they are used on.

    Raises UsageError for methods of properties where the codes have none, and for a property, asked for by name, with too few codes.
    """
    methods = settings.methods
    if settings.of and methods and not {MEANS, NORMAL} & set(methods):
        raise UsageError(f"--of {','.join(settings.of)}: is for --method means and normal, not for {','.join(methods)}")
    chosen = properties_of(codes, settings.of)
    if not methods and not (settings.before and not settings.of):
        methods = (MEANS, PCA) if chosen else (PCA,)
    if not {MEANS, NORMAL} & set(methods):
        return methods, []
    if not chosen:
        raise UsageError(
            f"{codes.path}: its codes have neither two classes nor attributes; encode prepared data that has, or pass --method pca"
        )
    held, kept = held_out(len(codes), settings.held_out, settings.seed), []
    for one in chosen:
        least = min(int((one.sides[where] == side).sum()) for where in (held, ~held) for side in (0, 1))
        counts = " and ".join(f"{(one.sides == side).sum()} that {words}" for side, words in ((1, "have it"), (0, "lack it")))
        if least:
            kept.append(one)
        elif settings.of:
            raise UsageError(f"--of {one.name}: {codes.path} has {counts}; both are needed among the held-out codes and the others")
        else:
            progress.note(f"{codes.path}: left out {one.source} {one.name}: it has {counts}, too few to fit and measure a direction")
    if not kept:
        raise UsageError(f"{codes.path}: no class or attribute has enough codes on both sides; encode more images, or pass --method pca")
    return methods, kept


def _moments(blocks: _Pass, properties: Sequence[Property]) -> tuple[Moments, directions.SideMeans]:
    """Return mean and deviation of all codes, and the means of both sides of each property among the codes that are not held out."""
    sides = np.stack([np.where(blocks.held, -1, one.sides) for one in properties], 1) if properties else np.empty((len(blocks.codes), 0))
    moments, means = Moments(), directions.SideMeans(len(properties), blocks.codes.shape[1])
    first = 0
    for block in blocks():
        moments.add(block)
        means.add(block, torch.from_numpy(sides[first : first + len(block)]))
        first += len(block)
    return moments, means


def _of_properties(
    blocks: _Pass,
    properties: Sequence[Property],
    means: directions.SideMeans,
    *,
    methods: Sequence[str],
    settings: FitDirectionsSettings,
    progress: Progress,
) -> Iterator[_Found]:
    """Yield the directions of each property by each of the methods."""
    if MEANS in methods:
        for i, one in enumerate(properties):
            plane = directions.mean_difference(*means.means(i))
            yield _Found(one.name, MEANS, one.source, plane.v, threshold=plane.threshold, sides=one.sides)
    if NORMAL in methods:
        rows = np.flatnonzero(~blocks.held)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(derive(settings.seed, "classifier"))).numpy()
        rows = np.sort(rows[order[: settings.most]])
        codes = torch.from_numpy(blocks.codes.read(rows))
        with progress.task("classifiers", len(properties), "classifiers") as bar:
            for one in properties:
                known = one.sides[rows] >= 0
                sides = torch.from_numpy(one.sides[rows][known])
                if len(sides.unique()) < 2:
                    raise UsageError(f"--most {settings.most}: has codes of one side of {one.source} {one.name} only; pass a larger --most")
                plane = directions.separating_plane(codes[torch.from_numpy(known)], sides, l2=settings.l2)
                if not plane.converged:
                    progress.note(f"{one.source} {one.name}: the classifier was stopped before it had converged; pass a larger --l2")
                yield _Found(one.name, NORMAL, one.source, plane.v, threshold=plane.threshold, sides=one.sides)
                bar.advance()


def _components(blocks: _Pass, moments: Moments, settings: FitDirectionsSettings, progress: Progress) -> list[_Found]:
    count = min(settings.components, blocks.codes.shape[1], len(blocks.codes) - 1)
    if count < settings.components:
        progress.note(f"{blocks.codes.path}: has {count} principal components, not {settings.components}")
    generator = torch.Generator().manual_seed(derive(settings.seed, "components"))
    vectors, _ = directions.principal_components(blocks, moments.mean, count, samples=len(blocks.codes), generator=generator)
    return [_Found(f"pc{i}", PCA, "component", v) for i, v in enumerate(vectors, 1)]


def _sets(
    codes: CodeFile, settings: FitDirectionsSettings, ckpt: Path | None, progress: Progress
) -> tuple[list[_Found], dict[str, dict[str, Any]]]:
    """Return the direction between two sets of pictures, and the records of pictures and checkpoint; nothing if none are given."""
    if settings.before is None or settings.after is None:
        if ckpt:
            raise UsageError(f"--ckpt {ckpt}: encodes the pictures of --from and --to; pass these, or leave it out")
        return [], {}
    if ckpt is None:
        raise UsageError(f"--from {settings.before}: pictures are encoded by the checkpoint of the codes; pass it with --ckpt")
    if codes.gaussian:
        raise UsageError(f"{codes.path}: has Gaussian codes, but --from and --to are encoded to other codes; encode without --flow")
    model = load_checkpoint(ckpt, resolve_device(settings.device))
    require_codes_of(model, codes.header.inputs, codes.path, progress)
    records = {"ckpt": model.header.as_input(model.path)}
    means, sets = [], []
    for role, path in (("from", settings.before), ("to", settings.after)):
        found, records[role] = _encoded_pictures(model, path, settings, full=codes.full, progress=progress)
        means.append(found.mean(0))
        sets.append(found)
    plane = directions.mean_difference(*means)
    name = settings.name or f"{settings.before.stem}-to-{settings.after.stem}"
    counts = len(sets[0]), len(sets[1])
    return [
        _Found(name, SETS, "pictures", plane.v, threshold=plane.threshold, accuracy=directions.leave_one_out(*sets), counts=counts)
    ], records


@torch.no_grad()
def _encoded_pictures(
    model: Checkpoint, path: Path, settings: FitDirectionsSettings, *, full: bool, progress: Progress
) -> tuple[Codes, dict[str, Any]]:
    """Return the codes of pictures, (n, d) float64, and their record among the inputs of a file."""
    photos, fitting = find_photos([path], progress), fitting_of(model, progress, settings)
    note_fitting(model, photos, fitting, progress)
    place = next(model.autoencoder.parameters()).device
    blocks = (photos.read(fitting, first, first + settings.batch) for first in range(0, len(photos), settings.batch))
    return torch.cat(
        [encoded(model, to_float(torch.from_numpy(block).to(place)), full=full).double().cpu() for block in blocks]
    ), photos.record(fitting)


def _unique(found: Sequence[_Found]) -> list[_Found]:
    """Add the method to the name of a direction whose name an earlier one has, as in 'Smiling.normal'.

    Raises UsageError for a name that is still not unique.
    """
    names: list[str] = []
    for one in found:
        names.append(f"{one.name}.{one.method}" if one.name in names else one.name)
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"two directions are called '{twice}'; choose another --name")
    return [replace(one, name=name) for one, name in zip(found, names, strict=True)]


def _conditioned(entry: str, found: Sequence[_Found], properties: Sequence[Property], means: directions.SideMeans) -> _Found:
    """Return the direction that an entry of --condition describes. Raises UsageError for an unknown name, and where nothing is left."""
    name, _, listed = entry.partition("=")
    by_name = {one.name: one for one in found}
    own = by_name.get(name)
    others = listed.split(",") if listed else [one.name for one in found if own and one.method == own.method and one.name != name]
    if unknown := next((word for word in (name, *others) if word not in by_name), ""):
        raise UsageError(f"--condition {entry}: there is no direction '{unknown}'; there are {', '.join(by_name)}")
    if own is None or not others or name in others:
        raise UsageError(f"--condition {entry}: needs other directions than itself")
    try:
        v = directions.without(own.v, torch.stack([by_name[other].v for other in others]))
    except UsageError as error:
        raise UsageError(f"--condition {entry}: {error}") from error
    place = next((i for i, one in enumerate(properties) if one.sides is own.sides), None)
    threshold = None if place is None else directions.halfway(v, *means.means(place))
    called = f"{name}-without-{'+'.join(others) if listed else 'others'}"
    return replace(own, name=called, v=v, threshold=threshold, accuracy=None, without=tuple(others))


def _about(one: _Found, along: Tensor, held: np.ndarray, *, scale: float, moments: Moments) -> dict[str, Any]:
    """Return the entry of a direction in the header. along: (n,) the codes along it."""
    about: dict[str, Any] = {"name": one.name, "method": one.method, "source": one.source, "scale": scale}
    if one.accuracy is not None:
        about["accuracy"] = one.accuracy
    if one.counts:
        about |= dict(zip(("lacks", "has"), one.counts, strict=True))
    if one.without:
        about["without"] = list(one.without)
    if one.sides is not None and one.threshold is not None:
        sides = torch.from_numpy(one.sides)
        about |= {"lacks": int((sides == 0).sum()), "has": int((sides == 1).sum())}
        about["accuracy"] = directions.balanced_accuracy(along[torch.from_numpy(held)], sides[torch.from_numpy(held)], one.threshold)
        about["gap"] = float(along[sides == 1].mean() - along[sides == 0].mean()) / scale if scale else 0.0
    return {**about, "share": scale**2 / float(moments.std.square().sum())}
