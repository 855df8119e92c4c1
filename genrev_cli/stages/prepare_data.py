"""prepare-data: raw images of any source → one HDF5 file that every later stage reads."""

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.data.overview import overview
from genrev_cli.data.registry import open_source
from genrev_cli.data.source import TRAIN, Damage, Source, refuse_damaged
from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.header import Header, provenance
from genrev_cli.files.images import SPLITS
from genrev_cli.files.moments import Moments
from genrev_cli.files.space import announce, hdf5_bytes
from genrev_cli.files.targets import check_target
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.settings.prepare import PrepareConfig


def prepare_data(config: PrepareConfig, out: Path, *, progress: Progress = SILENT) -> Result:
    """Decode, crop and resize all images of a source and write them to `out`; with `dry_run`, only say what would be written.

    Raises UsageError for contradictory settings, FileError for missing or damaged files and where no image is left to train on,
    UnavailableError when a download fails.
    """
    start = time.perf_counter()
    check_target(out, "data", (".h5",), [config.root])
    source = open_source(config, progress)
    if not config.dry_run:
        announce(out, hdf5_bytes(_arrays(source)), progress.note)
    for line in overview(source):
        progress.note(line)
    if config.dry_run:
        return Result(None, _planned(source))
    header = Header("data", {}, sha256="")
    with hdf5.writing(out, header) as writer:
        written = _write_images(source, writer, config, progress)
        for name, values in _columns(source).items():
            writer.create(name, (len(written.rows), *values.shape[1:]), str(values.dtype))
            writer.write(name, 0, values[written.rows])
        # The pixels' mean and std are known only now; the header is written when this block ends.
        header = writer.header = replace(
            header,
            config=_describe(source, written, config.limit),
            made_by=provenance(seconds=time.perf_counter() - start, seed=source.seed),
        )
    if written.damaged:
        first = f"the first is {written.damaged[0].where} ({written.damaged[0].reason})"
        progress.note(f"{out}: {len(written.damaged)} damaged images were skipped and are listed in its header; {first}")
    return Result(
        out,
        {
            "images": len(written.rows),
            **header.config["counts"],
            "image_shape": list(source.image_shape),
            "classes": len(source.classes),
            **({"attributes": len(source.attribute_names)} if source.attribute_names else {}),
            "damaged": len(written.damaged),
            "images_per_second": round(len(written.rows) / written.seconds, 1),
            "megabytes": round(out.stat().st_size / 1e6, 2),
        },
    )


def _columns(source: Source) -> dict[str, np.ndarray]:
    """Return the arrays besides the pixels: name → one row per image."""
    columns = {"labels": source.labels, "split": source.split}
    return columns | ({"attributes": source.attributes} if source.attributes is not None and source.attribute_names else {})


def _arrays(source: Source) -> list[tuple[tuple[int, ...], int]]:
    """Return shape and bytes per value of everything that will be written."""
    return [((len(source), *source.image_shape), 1), *((values.shape, values.itemsize) for values in _columns(source).values())]


def _planned(source: Source) -> dict[str, Any]:
    """Return the numbers of a dry run."""
    return {
        "images": len(source),
        **{name: int((source.split == i).sum()) for i, name in enumerate(SPLITS)},
        "image_shape": list(source.image_shape),
        "classes": len(source.classes),
        "attributes": len(source.attribute_names),
        "damaged": len(source.damaged),
        "transform": str(source.transform),
        "split_rule": source.split_rule,
        "class_rule": source.class_rule,
        "megabytes": round(hdf5_bytes(_arrays(source)) / 1e6, 2),
    }


@dataclass(frozen=True)
class _Written:
    """The images in the file. rows: (n,) their rows in the source, in order. moments: of those in the train split."""

    rows: np.ndarray
    moments: Moments
    damaged: list[Damage]
    seconds: float


def _write_images(source: Source, writer: hdf5.Writer, config: PrepareConfig, progress: Progress) -> _Written:
    start = time.perf_counter()
    done, rows, damaged, moments = 0, [np.empty(0, np.int64)], [*source.damaged], Moments(source.image_shape[0])
    writer.create("images", (len(source), *source.image_shape), "uint8")
    with progress.task("decode", len(source), "images") as bar, contextlib.ExitStack() as stack:
        blocks = source.blocks()
        if isinstance(blocks, Generator):
            stack.callback(blocks.close)  # a source that stops early must end its processes
        for block in blocks:
            refuse_damaged(block.damaged, config.skip_damaged)
            writer.write("images", done, block.pixels)
            moments.add(block.pixels[source.split[block.rows] == TRAIN])
            done += len(block.rows)
            rows.append(block.rows)
            damaged += block.damaged
            bar.advance(len(block.rows) + len(block.damaged))
    writer.truncate("images", done)
    return _Written(np.concatenate(rows), moments, damaged, time.perf_counter() - start)


def _describe(source: Source, written: _Written, limit: int) -> dict[str, Any]:
    """Return the header's config, as files.images.ImageSet describes it."""
    counts = {name: int((source.split[written.rows] == i).sum()) for i, name in enumerate(SPLITS)}
    if not counts["train"]:
        raise FileError(f"{source.name}: none of its {len(written.rows)} usable images is in the train split; add some, or raise --limit")
    mean, std = written.moments.mean_std()
    return {
        "source": {"name": source.name, "checksums": source.checksums(), **({"release": source.release} if source.release else {})},
        "transform": str(source.transform),
        "preparation": source.transform.table(),
        "split_rule": source.split_rule,
        "image_shape": list(source.image_shape),
        "counts": counts,
        "classes": list(source.classes),
        **({"class_rule": source.class_rule} if source.class_rule else {}),
        **({"attributes": list(source.attribute_names)} if source.attribute_names else {}),
        "mean": mean,
        "std": std,
        "limit": limit,
        "damaged": [damage.name for damage in written.damaged],
    }
