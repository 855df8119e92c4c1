"""genrev: generative autoencoders whose inverse is exact.

In Python, `import genrev_cli as genrev` gives what is in `__all__`; docs/python.md shows its use. Nothing heavy is imported before a
function is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genrev_cli.errors import GenrevError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from PIL.Image import Image

    from genrev_cli.files.codes import CodeSet
    from genrev_cli.files.images import ImageSet
    from genrev_cli.store.model import Model

__version__ = "0.1.0"

__all__ = ["GenrevError", "fid", "grid", "load", "load_plugin", "open_codes", "open_data", "write_codes", "write_data"]


def load(path: str | Path, *, device: str = "auto", sampler: str | Path | None = None) -> Model:
    """Open a checkpoint of a training command, or a model that comes with genrev by its name, as in `load("mnist")`.

    device: auto (CUDA where there is one), cpu, cuda or cuda:N. sampler: a file of fit-ot, fit-gmm or fit-flow, to draw codes from it.
    Raises FileError for unusable files or ones that do not belong together, UnavailableError for a device that is not there.
    """
    from genrev_cli.store.model import Model

    return Model(path, device=device, sampler=sampler)


def load_plugin(path: str | Path) -> None:
    """Load networks, methods, sources or metrics from a Python file, as --plugin does. The file runs with your rights.

    Raises FileError when it is missing or fails.
    """
    from pathlib import Path

    from genrev_cli.plugins import load_file

    load_file(Path(path))


def open_data(path: str | Path) -> ImageSet:
    """Open prepared images (.h5): `images` (N, C, H, W) uint8, `labels` (N,) with −1 for unknown, and `rows(split)`, (k,) row numbers.

    Pixels are read when they are asked for: `data.images[3:7]`, `data.read(data.rows("test"))`.

    Raises FileError if the file is missing, damaged, or not of prepared images.
    """
    from pathlib import Path

    from genrev_cli.files.images import open_images

    return open_images(Path(path))


def open_codes(path: str | Path) -> CodeSet:
    """Read codes (.h5) of `genrev encode` or `write_codes`.

    The result has `codes` (N, d), `labels` (N,), `rows` (N,), the numbers of the images in their data, and `names`, () or N of pictures.

    Raises FileError if the file is missing, damaged, or not of codes.
    """
    from pathlib import Path

    from genrev_cli.files.codes import open_codes

    return open_codes(Path(path))


def write_codes(
    path: str | Path,
    codes: np.ndarray,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    names: Sequence[str] = (),
    ckpt: str | Path | None = None,
    flow: str | Path | None = None,
) -> None:
    """Write codes (N, d) for fit-ot, fit-gmm, fit-flow and other readers.

    labels: (N,) classes from 0, None for unknown. names: of the codes, () for none. ckpt: the checkpoint whose codes they are; without it
    what is fitted to them cannot be used with a checkpoint. flow: the codes are Gaussian codes of this flow, through which decode goes.
    Raises UsageError for codes of another shape or type, and FileError for an unusable checkpoint, flow or target.
    """
    from genrev_cli.files.writers import write_codes

    write_codes(path, codes, labels=labels, names=names, ckpt=ckpt, flow=flow)


def write_data(
    path: str | Path,
    images: np.ndarray,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    split: Sequence[str] | str = "train",
    classes: Sequence[str] = (),
    attributes: Mapping[str, Sequence[int] | np.ndarray] | None = None,
    source: str = "array",
) -> None:
    """Write images as prepared data for every training command.

    images: (N, C, H, W) or (N, H, W, C) uint8 from 0 to 255, C 1 or 3, or (N, H, W); a memory map of any size will do. labels: (N,)
    classes from 0, None for unknown. split: 'train', 'val' or 'test' for each image, or one of them for all. classes: names of the labels.
    attributes: name → (N,) values, 1 has, 0 has not, −1 unknown. source: a word for the header.
    Raises UsageError for arrays of another shape or type and for a set without training images, FileError for an unusable target.
    """
    from genrev_cli.files.writers import write_data

    write_data(path, images, labels=labels, split=split, classes=classes, attributes=attributes, source=source)


def fid(samples: Any, reference: Any, **settings: Any) -> dict[str, Any]:
    """Measure the distance of images to a reference, as `genrev fid` does; return all its numbers, the distance under 'value'.

    samples: a checkpoint (.safetensors) or a `Model`, a path of images, or an array (N, C, H, W) or (N, H, W, C) uint8.
    reference: a path, an array, or a name such as 'mnist'. settings: the options of the command by their names with '_', for example
    n=1000, features="pixel", metrics=("fid", "kid"), split="train", device="cpu".
    Raises UsageError for settings that do not apply, FileError for unusable files, UnavailableError without Inception's weights.
    """
    from genrev_cli.scoring.comparing import compared

    return compared(samples, reference, settings)


def grid(images: np.ndarray, columns: int = 8) -> Image:
    """Return images (N, C, H, W) uint8 as one picture of Pillow, in rows of `columns`; small images are magnified."""
    from genrev_cli.files.pictures import grid, to_pil

    return to_pil(grid(images, columns))
