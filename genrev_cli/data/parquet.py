"""Parquet files with images, in the layout of the Hugging Face hub: a column of {bytes, path}, and labels with names in the metadata."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import IO, Any, ClassVar

import numpy as np

from genrev_cli.data.arrays import class_labels
from genrev_cli.data.config import Entry
from genrev_cli.data.decode import FileSource
from genrev_cli.data.listing import Container, Read, check_size
from genrev_cli.data.shards import find_shards, split_by_shards
from genrev_cli.data.survey import Described, file_source
from genrev_cli.errors import FileError, UnavailableError, UsageError
from genrev_cli.progress import Progress
from genrev_cli.settings.prepare import PrepareConfig

_LABELS = ("label", "labels", "fine_label", "class", "target", "y", "digit")
_COARSE = "coarse_label"
_BATCH = 8  # rows in memory at once
_BUFFER = 1 << 20  # bytes; otherwise pyarrow reads the column of a whole row group, which may be the whole file


@dataclass(frozen=True)
class Parquet(Container):
    """Images in a column of several parquet files. counts: rows of each. A file's name is 'FILE/ROW'."""

    path: Path
    files: tuple[Path, ...]
    counts: tuple[int, ...]
    column: str
    _: KW_ONLY
    streamed: ClassVar[bool] = True

    def names(self) -> list[str]:
        return [f"{number}/{row}" for number, count in enumerate(self.counts) for row in range(count)]

    @contextmanager
    def reader(self) -> Iterator[Read]:
        """Yield a function that reads an image by its name, fastest in order. It raises ValueError for a row without bytes."""
        rows: Iterator[bytes | None] = iter(())
        place = (-1, -1)

        def read(name: str) -> bytes:
            nonlocal rows, place
            number, row = map(int, name.split("/"))
            if place[0] != number or row < place[1]:
                rows, place = self._rows(number, row)
            while place[1] < row:
                next(rows)
                place = number, place[1] + 1
            data, place = next(rows), (number, row + 1)
            if data is None:
                raise ValueError("its row has no bytes, only the path of a file elsewhere")
            check_size(len(data))
            return data

        yield read

    def _rows(self, number: int, row: int) -> tuple[Iterator[bytes | None], tuple[int, int]]:
        """Return the images from the beginning of the row group that has `row`, and the place of the first."""
        file = _open(self.files[number])
        start = group = 0
        while start + file.metadata.row_group(group).num_rows <= row:
            start += file.metadata.row_group(group).num_rows
            group += 1
        batches = file.iter_batches(_BATCH, list(range(group, file.num_row_groups)), [self.column])
        return (data for batch in batches for data in _bytes(batch.column(0))), (number, start)

    def stream(self, name: str) -> IO[bytes]:
        with self.reader() as read:
            return BytesIO(read(name))

    def where(self, name: str) -> str:
        number, row = map(int, name.split("/"))
        return f"{self.files[number]}: row {row}"


def open_parquet(config: PrepareConfig, progress: Progress) -> FileSource:
    """Return the images of all files in order. The split is that of the files' names, else random.

    Raises FileError for damaged files or columns that do not fit, UsageError if several columns hold images, UnavailableError without
    pyarrow.
    """
    files = find_shards(config.root, (".parquet",))
    opened = [_open(file) for file in files]
    columns = {file: one.schema_arrow for file, one in zip(files, opened, strict=True)}
    column = _image_column(columns[files[0]], config.subset, files[0])
    for file, schema in columns.items():
        if column not in schema.names:
            raise FileError(f"{file}: has no column '{column}', but {files[0]} has; pass the files of one set")
    counts = [one.metadata.num_rows for one in opened]
    for file, count in zip(files, counts, strict=True):
        if count > file.stat().st_size:
            raise FileError(f"{file}: damaged: claims {count} images in {file.stat().st_size} bytes")
    label, names = _label_column(columns[files[0]], config.coarse)
    labels, classes = _labels(files, counts, label, names)
    split, rule, seed = split_by_shards(files, counts, config)
    progress.note(f"{config.root}: {sum(counts)} images of column '{column}' in {len(files)} files")
    container = Parquet(config.root, tuple(files), tuple(counts), column)
    class_rule = f"from column '{label}'" if label else "none: no column of labels"
    described = Described(name="parquet", labels=labels, split=split, split_rule=rule, seed=seed, classes=classes, class_rule=class_rule)
    return file_source(container, container.names(), described, config, progress=progress)


def _pyarrow() -> ModuleType:
    """Return pyarrow.parquet. Raises UnavailableError, with the command that installs it."""
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise UnavailableError("parquet files need the package pyarrow; install it with: pip install 'genrev-cli[parquet]'") from error
    return parquet


def _open(path: Path) -> Any:
    parquet = _pyarrow()
    try:
        return parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:  # pyarrow's errors are subclasses
        raise FileError(f"{path}: not a readable parquet file, or truncated ({str(error).splitlines()[0]})") from error


def _image_column(schema: Any, wanted: str, where: Path) -> str:
    """Return the name of the column of images: a struct with bytes, or bytes. Raises FileError for none, UsageError for several."""
    found = [field.name for field in schema if _holds_bytes(field.type) and wanted in ("", field.name)]
    if not found:
        listed = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise FileError(f"{where}: has no column of image bytes{f' {wanted}' if wanted else ''} (it has {listed[:300]})")
    if len(found) > 1:
        raise UsageError(f"{where}: the columns {', '.join(found)} hold bytes; choose one with --subset NAME")
    return found[0]


def _holds_bytes(kind: Any) -> bool:
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and _holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)


def _bytes(column: Any) -> list[bytes | None]:
    import pyarrow

    return (column.field("bytes") if pyarrow.types.is_struct(column.type) else column).to_pylist()


def _label_column(schema: Any, coarse: bool) -> tuple[str, list[str]]:
    """Return the column of labels and the names of its classes from the hub's metadata; ('', []) for none."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        features = {}
    features = {name: kind for name, kind in features.items() if isinstance(kind, dict)} if isinstance(features, dict) else {}
    named = {name: kind["names"] for name, kind in features.items() if kind.get("_type") == "ClassLabel" and _texts(kind.get("names"))}
    order = [*([_COARSE] if coarse else []), *_LABELS, *named]
    label = next((name for name in order if name in schema.names), "")
    return label, named.get(label, [])


def _texts(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _labels(files: Sequence[Path], counts: Sequence[int], label: str, names: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels (n,) int64 and the classes' names. Raises FileError if the column is missing in a file, or holds other things."""
    if not label:
        return np.full(sum(counts), -1, np.int64), ()
    columns = [_column(file, label) for file in files]
    if names and all(column.dtype.kind in "iu" for column in columns):
        labels = np.concatenate(columns)
        if len(labels) and not -1 <= labels.min() <= labels.max() < len(names):
            raise FileError(
                f"{files[0]}: column '{label}' has {labels.min()} to {labels.max()}, but there are {len(names)} names of classes"
            )
        return labels.astype(np.int64), tuple(names)
    found = class_labels(columns, counts)
    if found is None:
        raise FileError(f"{files[0]}: column '{label}' holds neither integers nor texts")
    return found


def _column(file: Path, name: str) -> np.ndarray:
    opened = _open(file)
    if name not in opened.schema_arrow.names:
        raise FileError(f"{file}: has no column '{name}', but other files have")
    try:
        values = [value for batch in opened.iter_batches(65536, columns=[name]) for value in batch.column(0).to_pylist()]
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"{file}: damaged: column '{name}' cannot be read ({str(error).splitlines()[0]})") from error
    texts = any(isinstance(value, str) for value in values)
    return np.array([("" if texts else -1) if value is None else str(value) if texts else value for value in values])


SOURCE = Entry(
    "parquet",
    open_parquet,
    ("path", "size", "channels", "values", "subset", "coarse", "val_fraction", "test_fraction", "split_seed"),
)
