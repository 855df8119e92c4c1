"""Write files of your own that every command reads as if genrev had made them: prepared images and codes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genrev_cli.errors import UsageError
from genrev_cli.files import hdf5, pretrained
from genrev_cli.files.checkpoint import read_checkpoint_header
from genrev_cli.files.codes import GAUSSIAN, SPACE, writing_codes
from genrev_cli.files.header import Header, provenance, require_kind
from genrev_cli.files.images import SPLITS
from genrev_cli.files.moments import Moments
from genrev_cli.files.targets import check_target

_BLOCK_BYTES = 1 << 24


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
    """Write prepared images like those of `genrev prepare-data`; they are read in blocks, so a memory map of any size will do.

    images: (N, C, H, W) or (N, H, W, C) uint8 from 0 to 255, C 1 or 3, or (N, H, W). labels: (N,) classes from 0, None for unknown.
    split: 'train', 'val' or 'test' for each image, or one of them for all. classes: names of the labels.
    attributes: name → (N,) values, 1 has, 0 has not, −1 unknown. source: a word for the header.
    Raises UsageError for arrays of another shape or type and for a set without training images, FileError for an unusable target.
    """
    path, images = Path(path), _channels_first(images)
    n = len(images)
    check_target(path, "data", (".h5",), [])
    given = np.full(n, -1, np.int64) if labels is None else _labels(labels, n)
    if len(classes) and given.max() >= len(classes):
        raise UsageError(f"label {given.max()} has no name: {len(classes)} classes are named")
    parts, (names, traits) = _parts(split, n), _attributes(attributes or {}, n)
    moments = Moments(images.shape[1])
    step = max(1, _BLOCK_BYTES // images[0].size)
    with hdf5.writing(path, Header("data", {}, "")) as writer:
        writer.create("images", images.shape, "uint8")
        for start in range(0, n, step):
            block = np.ascontiguousarray(images[start : start + step])
            writer.write("images", start, block)
            moments.add(block[parts[start : start + step] == SPLITS.index("train")])
        for name, values in {"labels": given, "split": parts, **({"attributes": traits} if names else {})}.items():
            writer.create(name, values.shape, str(values.dtype))
            writer.write(name, 0, values)
        mean, std = moments.mean_std()
        config = {
            "source": {"name": source},
            "transform": "none",
            "preparation": {"channels": images.shape[1], "crop": "whole", "filter": "lanczos"},
            "split_rule": "given",
            "image_shape": list(images.shape[1:]),
            "counts": {name: int((parts == i).sum()) for i, name in enumerate(SPLITS)},
            "classes": list(classes),
            **({"attributes": names} if names else {}),
            "mean": mean,
            "std": std,
        }
        writer.header = Header("data", config, "", made_by=provenance(seconds=0.0))


def _channels_first(images: np.ndarray) -> np.ndarray:
    """Return a view (N, C, H, W) of images. Raises UsageError for any other array."""
    found = np.asanyarray(images)
    shape = found.shape
    if found.ndim == 3:
        found = found[:, None]
    elif found.ndim == 4 and shape[1] not in (1, 3) and shape[3] in (1, 3):
        found = found.transpose(0, 3, 1, 2)
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[1] not in (1, 3) or 0 in found.shape:
        raise UsageError(
            f"images have shape {shape} and type {found.dtype}, but must be uint8 from 0 to 255, "
            "(N, C, H, W) or (N, H, W, C) with 1 or 3 channels, or (N, H, W)"
        )
    return found


def _parts(split: Sequence[str] | str, n: int) -> np.ndarray:
    """Return the split of n images, (n,) uint8. Raises UsageError for an unknown word, another length, or no training image."""
    words = [split] * n if isinstance(split, str) else list(split)
    unknown = sorted({str(word) for word in words if word not in SPLITS})
    if unknown or len(words) != n:
        wrong = f"has '{unknown[0]}'" if unknown else f"has {len(words)} words for {n} images"
        raise UsageError(f"split {wrong}; give 'train', 'val' or 'test' for each image, or one of them for all")
    parts = np.array([SPLITS.index(word) for word in words], np.uint8)
    if not (parts == SPLITS.index("train")).any():
        raise UsageError("split has no 'train' image, and training needs some")
    return parts


def _attributes(given: Mapping[str, Sequence[int] | np.ndarray], n: int) -> tuple[list[str], np.ndarray]:
    """Return the names of attributes and their values, (n, A) int8. Raises UsageError for other values or another length."""
    columns = {str(name): np.asarray(values) for name, values in given.items()}
    for name, values in columns.items():
        if values.shape != (n,) or not np.isin(values, (-1, 0, 1)).all():
            raise UsageError(f"attribute '{name}' must have {n} values, each 1 (has), 0 (has not) or −1 (unknown)")
    return list(columns), np.stack(list(columns.values()), axis=1).astype(np.int8) if columns else np.empty((n, 0), np.int8)


def _labels(labels: Sequence[int] | np.ndarray, n: int) -> np.ndarray:
    """Return labels that a file can have, (n,) int64. Raises UsageError for others."""
    found = np.asarray(labels)
    if found.shape != (n,) or found.dtype.kind not in "iu" or found.min() < -1 or found.max() >= hdf5.MOST_CLASSES:
        raise UsageError(
            f"labels must be {n} whole numbers from 0 to {hdf5.MOST_CLASSES - 1}, or −1 for unknown; they have shape {found.shape}"
        )
    return found.astype(np.int64)


def write_codes(
    path: str | Path,
    codes: np.ndarray,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    names: Sequence[str] = (),
    ckpt: str | Path | None = None,
    flow: str | Path | None = None,
) -> None:
    """Write codes (N, d) of your own as a file like that of `genrev encode`, with the same meaning.

    labels: (N,) classes from 0, None for unknown. names: of the codes, () for none. ckpt: the checkpoint whose codes they are; fit-ot and
    fit-gmm need it so that their result can be used with the checkpoint. flow: the codes are Gaussian codes of this flow.
    Raises UsageError for codes of another shape or type, and FileError for an unusable checkpoint, flow or target.
    """
    path, codes = Path(path), np.asarray(codes)
    if codes.ndim != 2 or 0 in codes.shape or codes.dtype.kind not in "fiu":
        raise UsageError(f"codes have shape {codes.shape} and type {codes.dtype}, but must be numbers (N, d), N and d at least 1")
    n, dim = codes.shape
    given = np.full(n, -1, np.int64) if labels is None else _labels(labels, n)
    if names and len(names) != n:
        raise UsageError(f"{len(names)} names are given for {n} codes; give one for each")
    check_target(path, "codes", (".h5",), [Path(file) for file in (ckpt, flow) if file])
    latent, inputs = _meaning(Path(ckpt), dim) if ckpt else ("restricted", {})
    space, record = _noise(Path(flow), dim) if flow else ({}, {})
    config = {"latent": latent, **space, "dim": dim, "split": ""}
    header = Header("codes", config, "", inputs=inputs | record, made_by=provenance(seconds=0.0))
    with writing_codes(path, header, labels=given, rows=np.arange(n), names=tuple(map(str, names))) as writer:
        writer.add(codes.astype(np.float32))


def _meaning(ckpt: Path, dim: int) -> tuple[str, dict[str, Any]]:
    """Return the latent of codes with `dim` dimensions, 'restricted' or 'full', and the record of their checkpoint."""
    ckpt = pretrained.found(ckpt)
    header = require_kind(read_checkpoint_header(ckpt), "checkpoint", ckpt, "genrev pretrain-recon")
    prior = header.config["prior"]
    latent_dim = prior.get("latent_dim", 0)
    active = prior.get("dim", latent_dim)
    if dim not in (active, latent_dim):
        raise UsageError(f"codes have {dim} dimensions, but those of {ckpt} have {active}, or {latent_dim} for the full latent")
    return "restricted" if dim == active else "full", {"ckpt": header.as_input(ckpt)}


def _noise(flow: Path, dim: int) -> tuple[dict[str, str], dict[str, Any]]:
    """Return what the header of Gaussian codes with `dim` dimensions says of their space, and the record of their flow."""
    header = require_kind(read_checkpoint_header(flow), "sampler", flow, "genrev fit-flow")
    found = header.config["sampler"]
    if found.get("name") != "flow" or found.get("dim") != dim:
        what = f"a flow of {found.get('dim')} dimensions" if found.get("name") == "flow" else f"a sampler '{found.get('name')}'"
        raise UsageError(f"{flow}: holds {what}, but a flow of {dim} dimensions is needed")
    return {SPACE: GAUSSIAN}, {"flow": header.as_input(flow)}
