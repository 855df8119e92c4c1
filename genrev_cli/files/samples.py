"""Generated images on disk: a folder of PNGs, an HDF5 file or an NPZ file; the suffix of the path decides."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.header import KEY, Header, array_digest, content_digest, parse_header
from genrev_cli.files.names import letters, png_names
from genrev_cli.files.npz import arrays_digest, reading_npz
from genrev_cli.files.pictures import to_pil
from genrev_cli.files.space import hdf5_bytes, png_folder_bytes
from genrev_cli.invocation import cores

MARK = "genrev.json"
"""The file with the header of a folder of samples."""

_AT_ONCE = 8  # images that a thread is given together


class SampleWriter(ABC):
    """Receives images in order. header: written at the end; until then the caller may replace it."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.count = 0

    def add(self, pixels: np.ndarray) -> None:
        """Append images (B, C, H, W) uint8, which must not change afterwards."""
        self._write(pixels)
        self.count += len(pixels)

    @abstractmethod
    def _write(self, pixels: np.ndarray) -> None: ...


class _FolderWriter(SampleWriter):
    """000000.png, 000001.png, … or files of given names, encoded on all cores while the caller makes the next block.

    At most two blocks are in memory.
    Pillow releases Python's lock while it compresses. An error of a thread is raised by the next `add`, or by `finish`.
    """

    def __init__(self, header: Header, folder: Path, pool: ThreadPoolExecutor, names: Sequence[str]) -> None:
        super().__init__(header)
        self.folder, self.pool, self.names = folder, pool, png_names(names)
        self._last: list[Future[None]] = []

    def _write(self, pixels: np.ndarray) -> None:
        names = self.names[self.count : self.count + len(pixels)] or [f"{self.count + i:06d}.png" for i in range(len(pixels))]
        parts = [slice(start, start + _AT_ONCE) for start in range(0, len(pixels), _AT_ONCE)]
        before, self._last = self._last, [self.pool.submit(_write_pngs, self.folder, names[part], pixels[part]) for part in parts]
        _settle(before)

    def finish(self) -> None:
        """Wait until all files are written."""
        _settle(self._last)


def _write_pngs(folder: Path, names: Sequence[str], pixels: np.ndarray) -> None:
    for name, image in zip(names, pixels, strict=True):
        to_pil(image).save(folder / name, compress_level=1)  # larger, but much faster


def _settle(futures: Sequence[Future[None]]) -> None:
    """Wait for all futures; raise the first error."""
    for future in futures:
        future.result()


@contextmanager
def _writing_folder(header: Header, folder: Path, names: Sequence[str]) -> Iterator[_FolderWriter]:
    """Yield a writer of PNGs and wait for all of its files; after an error its threads stop."""
    pool = ThreadPoolExecutor(cores())
    try:
        writer = _FolderWriter(header, folder, pool, names)
        yield writer
        writer.finish()
    finally:
        pool.shutdown(cancel_futures=True)


class _ArrayWriter(SampleWriter):
    """The array `images` of an HDF5 file."""

    def __init__(self, header: Header, writer: hdf5.Writer) -> None:
        super().__init__(header)
        self.writer = writer

    def _write(self, pixels: np.ndarray) -> None:
        self.writer.write("images", self.count, pixels)


class _ListWriter(SampleWriter):
    """Stores the blocks for a format that is written at once."""

    def __init__(self, header: Header) -> None:
        super().__init__(header)
        self.blocks: list[np.ndarray] = []

    def _write(self, pixels: np.ndarray) -> None:
        self.blocks.append(pixels)


@contextmanager
def writing_samples(out: Path, shape: tuple[int, int, int, int], header: Header, *, names: Sequence[str] = ()) -> Iterator[SampleWriter]:
    """Write n images of `shape` (n, C, H, W), atomically: to `.h5`, to `.npz` (key `images`), else to a folder of PNGs.

    names: of the n images; () numbers the files of a folder. The other two have them as an array `names`.
    """
    if out.suffix == ".h5":
        with hdf5.writing(out, header) as file:
            file.create("images", shape, "uint8")
            array = _ArrayWriter(header, file)
            yield array
            if names:
                words = letters(names)
                file.create("names", words.shape, "uint8")
                file.write("names", 0, words)
            file.header = array.header
    elif out.suffix == ".npz":
        listed = _ListWriter(header)
        yield listed
        named = {"names": np.array(names)} if names else {}
        _write_npz(out, {"images": np.concatenate(listed.blocks), **named}, listed.header)
    else:
        with atomic_path(out, folder=True) as part:
            with _writing_folder(header, part, names) as folder:
                yield folder
            (part / MARK).write_text(replace(folder.header, sha256=folder_digest(part)).to_json(), encoding="utf-8")


def samples_bytes(out: Path, shape: tuple[int, int, int, int]) -> tuple[int, str]:
    """Return how many bytes `writing_samples` will write, and the word for it: 'some' (an estimate) or 'at most' (a bound)."""
    if out.suffix in (".h5", ".npz"):
        return hdf5_bytes([(shape, 1)]), "some"
    return png_folder_bytes(shape), "at most"


def _write_npz(out: Path, arrays: dict[str, np.ndarray], header: Header) -> None:
    head = np.array(replace(header, sha256=arrays_digest(arrays)).to_json())
    given: dict[str, Any] = {**arrays, KEY: head}  # Any: savez's keywords differ
    with atomic_path(out) as part, part.open("wb") as file:
        np.savez(file, **given)


def read_mark(folder: Path) -> Header | None:
    """Return the header of a folder of samples, or None if it has none.

    Raises FileError if it is damaged, or not written by genrev.
    """
    mark = folder / MARK
    if not mark.is_file():
        return None
    try:
        return parse_header(mark.read_bytes(), mark)
    except OSError as error:
        raise FileError(f"{mark}: cannot be read ({error})") from error


def folder_digest(folder: Path) -> str:
    """Return the content digest of a folder of samples: of the names and bytes of its PNG files."""
    return content_digest({file.name: array_digest("png", (), [file.read_bytes()]) for file in sample_files(folder)})


def sample_files(folder: Path) -> list[Path]:
    """Return the PNG files that `folder_digest` covers; other files and subfolders are not samples."""
    return [file for file in folder.glob("*.png") if file.is_file()]


def read_npz_header(path: Path) -> Header:
    """Return the header of an .npz file, checked against its content.

    Raises FileError if it is missing, damaged, or not written by genrev.
    """
    with reading_npz(path) as file:
        header = parse_header(str(file[KEY]) if KEY in file else None, path)
        digest = arrays_digest({name: file[name] for name in ("images", "names", "mu", "sigma") if name in file})
    if digest != header.sha256:
        raise FileError(f"{path}: damaged: its content does not match the checksum in its header; make it again")
    return header
