"""Generated images on disk: a folder of PNGs, an HDF5 or an NPZ file, by the name that was asked for."""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from genrev_cli.errors import FileError
from genrev_cli.files import hdf5
from genrev_cli.files.atomic import atomic_path
from genrev_cli.files.header import KEY, Header, array_digest, content_digest, parse_header
from genrev_cli.files.pictures import to_pil

MARK = "genrev.json"
"""The file in a folder of samples that holds its header."""


class FolderWriter:
    """000000.png, 000001.png, …"""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def add(self, pixels: np.ndarray) -> None:
        """Append images (B, C, H, W) uint8."""
        for image in pixels:
            to_pil(image).save(
                self.folder / f"{self.count:06d}.png", compress_level=1
            )  # most of the time would go into a few percent of size
            self.count += 1


class ArrayWriter:
    """One array `images`, filled in order."""

    def __init__(self, writer: hdf5.Writer) -> None:
        self.writer, self.count = writer, 0

    def add(self, pixels: np.ndarray) -> None:
        """Append images (B, C, H, W) uint8."""
        self.writer.write("images", self.count, pixels)
        self.count += len(pixels)


class ListWriter:
    """Blocks kept for a format that is written at once."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []

    def add(self, pixels: np.ndarray) -> None:
        """Append images (B, C, H, W) uint8."""
        self.blocks.append(pixels)


@contextmanager
def writing_samples(out: Path, shape: tuple[int, int, int, int], header: Header) -> Iterator[FolderWriter | ArrayWriter | ListWriter]:
    """Write n images of `shape` (n, C, H, W), atomically: `.h5`, `.npz` (key `images`), else a folder of PNGs.

    Raises FileError when a folder of that name holds other things than samples of ours.
    """
    if out.suffix == ".h5":
        with hdf5.writing(out, header) as writer:
            writer.create("images", shape, "uint8")
            yield ArrayWriter(writer)
    elif out.suffix == ".npz":
        blocks = ListWriter()
        yield blocks
        _write_npz(out, np.concatenate(blocks.blocks), header)
    else:
        if out.exists() and not (out / MARK).exists() and (not out.is_dir() or any(out.iterdir())):
            raise FileError(f"{out}: exists and was not made by 'genrev sample'; choose another --out, or remove it")
        with atomic_path(out) as part:
            part.mkdir()
            folder = FolderWriter(part)
            yield folder
            (part / MARK).write_text(replace(header, sha256=folder_digest(part)).to_json(), encoding="utf-8")


def _write_npz(out: Path, images: np.ndarray, header: Header) -> None:
    digest = content_digest({"images": array_digest(str(images.dtype), images.shape, [images])})
    with atomic_path(out) as part, part.open("wb") as file:
        np.savez(file, **{"images": images, KEY: np.array(json.dumps(json.loads(replace(header, sha256=digest).to_json())))})


def folder_digest(folder: Path) -> str:
    """The content digest of a folder of samples: of its PNG files, name by name."""
    return content_digest({file.name: array_digest("png", (), [file.read_bytes()]) for file in folder.glob("*.png")})


def read_npz_header(path: Path) -> Header:
    """The header of an .npz of ours, its content checked.

    Raises FileError when it is missing, damaged, or not of genrev's.
    """
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        # opened here, because np.load leaves its own open when the archive is damaged; it never unpickles: allow_pickle is off by default
        with path.open("rb") as raw, np.load(raw) as file:
            header = parse_header(str(file[KEY]) if KEY in file.files else None, path)
            names = [name for name in ("images", "mu", "sigma") if name in file.files]
            digest = content_digest(
                {name: array_digest(str(file[name].dtype), file[name].shape, [np.ascontiguousarray(file[name])]) for name in names}
            )
    except (OSError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:  # TypeError: a single array
        raise FileError(f"{path}: not a readable .npz file, or truncated ({error})") from error
    if digest != header.sha256:
        raise FileError(f"{path}: damaged: its content does not match the checksum in its header; make it again")
    return header
