"""report: any files of ours → one HTML page that says what they are, how good, and how they were made."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.any import read_any_header
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.page import write_page
from genrev_cli.files.pictures import grid, read_picture, read_score
from genrev_cli.files.sheets import read_tiles
from genrev_cli.files.targets import check_target, require_remake
from genrev_cli.progress import SILENT, Progress
from genrev_cli.report.chain import Record, checkpoint_of, commands
from genrev_cli.report.material import Material, Picture, Score
from genrev_cli.report.page import render
from genrev_cli.result import Result
from genrev_cli.runs.records import log_of, parameters_of, trained_as
from genrev_cli.scoring.images import open_image_input
from genrev_cli.scoring.latent_planes import code_clouds
from genrev_cli.scoring.nearest_pictures import nearest_pictures
from genrev_cli.settings.pages import ReportSettings
from genrev_cli.store.samplers import KIND

TILES = 64


def report(files: Sequence[Path], out: Path, settings: ReportSettings, *, progress: Progress = SILENT) -> Result:
    """Write one self-contained HTML page about any of our files, in any order.

    Checkpoints bring the log in their run folder where it is there; samples bring their first images where no grid of theirs is given;
    samples and data together bring the training images that are nearest to the samples;
    codes bring a picture of them and of those drawn from a sampler that is given, else from the prior of their checkpoint.
    Raises FileError when a file is missing, damaged, or not of genrev's.
    """
    start = time.perf_counter()
    files = [pretrained.found(path) for path in files]
    check_target(out, "report", (".html",), files)
    if not files:
        raise UsageError("report: no file is given; give checkpoints, pictures, scores, codes, samples or data")
    with progress.task("report", len(files), "files") as bar:
        records = []
        for path in {path.resolve(): path for path in files}.values():
            records.append(Record(path, _reportable(path)))
            bar.advance()
    inputs = {str(record.path): record.header.as_input(record.path) for record in records}
    require_remake(out, inputs, force=settings.force)
    material = _material(records, progress)
    html = render(material, settings.title)
    made_by = provenance(seconds=time.perf_counter() - start)
    write_page(out, html, Header("report", {"title": settings.title}, "", 0, inputs=inputs, made_by=made_by))
    return Result(
        out,
        {
            "pictures": len(material.pictures),
            "scores": len(material.scores),
            "stages": len(material.checkpoints),
            "commands": len(commands(material.records)),
            "kilobytes": round(out.stat().st_size / 1000, 1),
        },
    )


def _reportable(path: Path) -> Header:
    header = read_any_header(path)
    if header.kind in ("report", "tour"):
        raise FileError(f"{path}: a {header.kind} already; give the files that it was made from")
    return header


def _material(records: list[Record], progress: Progress) -> Material:
    pictures = [Picture(record, _unlabelled(record)) for record in records if record.header.kind == "picture"]
    scores = [Score(record, read_score(record.path)[1]) for record in records if record.header.kind == "score"]
    shown = {_drawn_by(picture.record) for picture in pictures}
    for record in records:
        if record.header.kind == "samples" and _drawn_by(record) not in shown:
            pictures.append(_first_images(record, progress))
    for data in [record for record in records if record.header.kind == "data"][:1]:
        pictures += nearest_pictures(pictures, data, progress)
    trained = [record for record in records if record.header.kind in ("checkpoint", "classifier")]
    paths = {record.path.resolve() for record in trained}
    # the best checkpoint of a run has the log of the last one, which needs no second drawing
    logs = {record.key: log_of(record) for record in trained if not paths & {trained_as(record).resolve()} - {record.path.resolve()}}
    parameters = {record.key: parameters_of(record) for record in trained}
    codes = [record for record in records if record.header.kind == "codes"]
    samplers = [record for record in records if record.header.kind == KIND]
    clouds = [found for record in codes for found in code_clouds(record, trained, samplers, progress)]
    return Material(records, pictures, scores, logs, parameters=parameters, codes=clouds)


def _unlabelled(record: Record) -> np.ndarray:
    """Return a picture (C, H, W) uint8 as the page shows it: the caption has the names of its rows, and the page's style magnifies it.

    Raises FileError for a damaged picture.
    """
    layout = record.header.config.get("layout")
    return read_picture(record.path)[1] if layout is None else grid(read_tiles(record.path, layout), layout["columns"])


def _drawn_by(record: Record) -> tuple[Any, ...]:
    """Return a key that is equal for samples and for a grid of the same samples."""
    checkpoint, config = checkpoint_of(record), record.header.config
    sampler = record.inputs.get("sampler") or record.inputs.get("codes")
    drawn = sampler and (sampler.header.sha256, str(sampler.header.config.get("sampler", "")))
    return checkpoint and checkpoint.key, config.get("seed"), config.get("temperature"), str(config.get("labels", [])), drawn


def _first_images(record: Record, progress: Progress) -> Picture:
    """Return the first images of a sample file or folder, as a grid."""
    first = open_image_input(record.path, "all", min(TILES, record.header.config.get("n", TILES)), progress)
    header = replace(record.header, config={"shows": "samples", **record.header.config})
    return Picture(Record(record.path, header), grid(np.concatenate(list(first.blocks())), 8))
