"""sweep-bottleneck: how well each model reconstructs through d latent dimensions, for many d (Nguyen et al. 2019, Figures 5 and 6)."""

import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.images import open_images
from genrev_cli.files.pictures import json_digest, pixels_digest, read_json, write_json, write_picture
from genrev_cli.files.sheets import sheet
from genrev_cli.files.targets import check_target
from genrev_cli.progress import SILENT, Progress
from genrev_cli.report.chain import Record
from genrev_cli.report.plot import Axes, plot
from genrev_cli.result import Result
from genrev_cli.runs.records import parameters_of
from genrev_cli.runs.train import train
from genrev_cli.scoring.measure import measure, write_score
from genrev_cli.settings.fid import FidOptions
from genrev_cli.settings.reconstruction import PRETRAIN_RECON
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.settings.sweep import SweepSettings
from genrev_cli.shapes import to_float, to_pixels
from genrev_cli.store.checkpoints import load_checkpoint
from genrev_cli.store.showing import drawn_at_random
from genrev_cli.training.devices import resolve_device

SHOWN = 12


@dataclass(frozen=True)
class Point:
    """One trained model with d latent dimensions. data: its prepared images. score: the result of `fid --metrics recon` on it.

    row: its row of the table.
    """

    model: str
    dim: int
    _: KW_ONLY
    data: Path
    ckpt: Path
    score: Path
    row: dict[str, Any]


def sweep_bottleneck(
    out: Path,
    settings: SweepSettings,
    *,
    schedule: dict[str, Any],
    run: RunOptions,
    progress: Progress = SILENT,
) -> Result:
    """Train every recipe with every number of latent dimensions and measure the L1 error of its reconstructions on `split`.

    out: a folder; a checkpoint and a score per point, `sweep.json` with the table, `sweep.png` (Figure 5), `reconstructions.png`
    (Figure 6). Where recipes have different images, there is a `reconstructions-RECIPE.png` for each file of images.
    schedule: replaces keys of the recipes'. Run again, finished points are kept, and an unfinished one goes on.
    Raises what training and scoring raise.
    """
    start = time.perf_counter()
    split = settings.split
    sources = {recipe: settings.images_of(recipe) for recipe in settings.recipes}
    for path in set(sources.values()):
        open_images(path).rows(split)
    table = out / "sweep.json"
    check_target(table, "sweep", (".json",), list(sources.values()))
    points, combinations = [], [(recipe, dim) for recipe in settings.recipes for dim in settings.dims]
    with progress.task("sweep-bottleneck", len(combinations), "points") as bar:
        for recipe, dim in combinations:
            points.append(_trained(sources[recipe], out, recipe, dim, schedule=schedule, run=run, progress=progress))
            if not run.dry_run:
                _measure(points[-1], split, run, progress=progress)
            bar.advance()
    notes = _notes(sources)
    numbers = {"tables": [{"title": f"Reconstruction of {split} images", "rows": [point.row for point in points], "notes": notes}]}
    if run.dry_run:
        return Result(None, numbers)
    inputs = {point.ckpt.stem: read_json(point.score)[0].as_input(point.score) for point in points}
    made_by = provenance(seconds=time.perf_counter() - start, device=str(resolve_device(run.device)))
    write_json(table, numbers, Header("sweep", {"split": split}, json_digest(numbers), 0, inputs=inputs, made_by=made_by))
    curves = {"shows": "bottleneck sweep: error and size against latent dimensions"}
    _write_picture(out / "sweep.png", _curves(points), curves, inputs, made_by=made_by)
    for name, some in _by_images(points).items():
        picture, layout = _rows(some, split, run)
        _write_picture(out / name, picture, {"shows": _meaning(some), "layout": layout}, inputs, made_by=made_by)
    return Result(table, numbers)


def _notes(sources: dict[str, Path]) -> list[str]:
    """Return a line for each recipe that says what it was trained on, if that differs."""
    if len(set(sources.values())) == 1:
        return []
    shapes = {recipe: "×".join(map(str, open_images(path).image_shape)) for recipe, path in sources.items()}
    return [f"{Path(recipe).stem}: {path.name}, {shapes[recipe]}" for recipe, path in sources.items()]


def _by_images(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the name of each picture of reconstructions and its points: pictures have images of one file."""
    found = {path: [point for point in points if point.data == path] for path in dict.fromkeys(point.data for point in points)}
    if len(found) == 1:
        return {"reconstructions.png": list(points)}
    return {f"reconstructions-{some[0].model}.png": some for some in found.values()}


def _write_picture(path: Path, pixels: np.ndarray, config: dict[str, Any], inputs: dict[str, Any], *, made_by: dict[str, Any]) -> None:
    check_target(path, "picture", (".png",), [])
    write_picture(path, pixels, Header("picture", config, pixels_digest(pixels), 0, inputs=inputs, made_by=made_by))


def _trained(data: Path, out: Path, recipe: str, dim: int, *, schedule: dict[str, Any], run: RunOptions, progress: Progress) -> Point:
    name = Path(recipe).stem
    ckpt = out / f"{name}-d{dim}.safetensors"
    overrides = {PRETRAIN_RECON.name: schedule, "prior": {"dim": dim}}
    result = train(PRETRAIN_RECON, data, ckpt, recipe=recipe, overrides=overrides, run=run, progress=progress)
    planned = {"parameters": result.numbers["parameters"], "steps": result.numbers["steps"]} if run.dry_run else {}
    return Point(name, dim, data=data, ckpt=ckpt, score=ckpt.with_suffix(".json"), row={"model": name, "d": dim, **planned})


def _measure(point: Point, split: str, run: RunOptions, *, progress: Progress) -> None:
    """Score a trained point, unless it has its score already, and complete its row."""
    header = read_checkpoint_header(point.ckpt)
    if not _is_score_of(point.score, header, split):
        choices = FidOptions(ref=str(point.data), split=split, metrics=("recon",), ckpt=point.ckpt, device=run.device)
        write_score(point.score, measure(None, choices, progress), choices, time.perf_counter())
    found = read_json(point.score)[1]
    point.row.update(
        L1=found["value"], PSNR=found.get("PSNR"), SSIM=found["SSIM"], parameters=parameters_of(Record(point.ckpt, header)),
        steps=header.step, seconds=header.made_by["seconds"],
    )  # fmt: skip


def _is_score_of(score: Path, ckpt: Header, split: str) -> bool:
    """Return True where a score exists for these weights and this split."""
    if not score.exists():
        return False
    header, numbers = read_json(score)
    return header.kind == "score" and header.inputs.get("ckpt", {}).get("sha256") == ckpt.sha256 and numbers.get("split") == split


def _curves(points: Sequence[Point]) -> np.ndarray:
    """Draw error and size against the number of latent dimensions (Figure 5)."""
    models = dict.fromkeys(point.model for point in points)

    def lines(quantity: str) -> dict[str, Sequence[tuple[float, float]]]:
        return {model: sorted((point.dim, point.row[quantity]) for point in points if point.model == model) for model in models}

    x = "latent dimensions d"
    return plot([
        Axes("Reconstruction error", x, "mean L1, pixels in [0, 1]", lines("L1"), log_x=True),
        Axes("Size", x, "parameters", lines("parameters"), log_x=True, log_y=True),
    ])  # fmt: skip


def _meaning(points: Sequence[Point]) -> str:
    rows = [f"{point.model} with d = {point.dim}, its difference from the original" for point in _widest(points)]
    return "reconstructions: original; " + "; ".join(rows)


def _widest(points: Sequence[Point]) -> list[Point]:
    """Return the point of each model with the most dimensions."""
    return list({point.model: point for point in sorted(points, key=lambda point: point.dim)}.values())


@torch.no_grad()
def _rows(points: Sequence[Point], split: str, run: RunOptions) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw Figure 6: a row of originals, then for each model one of reconstructions and one of |x − x̂|. Return picture and layout."""
    device, images = resolve_device(run.device), open_images(points[0].data)
    pixels = torch.from_numpy(images.read(images.rows(split)[drawn_at_random(len(images.rows(split)), SHOWN, 0)])).to(device)
    x = to_float(pixels)
    tiles, names = [pixels], ["original"]
    for point in _widest(points):
        model = load_checkpoint(point.ckpt, device)
        restored = model.autoencoder.decode(model.prior.restrict(model.autoencoder.encode(x)))
        tiles += [to_pixels(restored), to_pixels((x - restored.clamp(0, 1)).abs())]
        names += [f"{point.model}\nd = {point.dim}", "difference"]
    return sheet(torch.cat(tiles).cpu().numpy(), len(pixels), rows=names)
