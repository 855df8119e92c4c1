"""Files that hold a distribution of codes, made by fit-ot and fit-gmm: written, read, and put in the place of a checkpoint's prior (D5)."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrev_cli.errors import FileError
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header, tensors_digest, write_checkpoint
from genrev_cli.files.codes import CodeSet, open_codes
from genrev_cli.files.header import Header, require_kind
from genrev_cli.files.targets import check_target
from genrev_cli.latents import Distribution, build_sampler
from genrev_cli.latents.samplers import Resampled
from genrev_cli.settings.sampling import MAKERS, SamplerFile
from genrev_cli.store.checkpoints import Checkpoint, load_checkpoint, load_prefixed, prefixed

KIND = "sampler"


def check_sampler_target(out: Path, name: str, codes: Path) -> None:
    """Like `check_target`; a sampler of another name is not replaced either."""
    check_target(out, KIND, (".safetensors",), [codes])
    if out.exists() and read_checkpoint_header(out).config.get("sampler", {}).get("name") != name:
        raise FileError(f"{out}: exists and is no sampler '{name}'; choose another --out, or remove it")


def open_finite_codes(path: Path) -> CodeSet:
    """Codes that a distribution can be fitted to. Raises FileError where there are none, or one is not finite."""
    given = open_codes(path)
    if not given.codes.size:
        raise FileError(f"{path}: has no codes; encode a split that has images")
    bad = (~np.isfinite(given.codes)).any(1)
    if bad.any():
        raise FileError(f"{path}: code {bad.argmax()} is not finite ({bad.sum()} of {len(bad)}); the model that made them has diverged")
    return given


def write_sampler(
    path: Path, sampler: Distribution, *, config: dict[str, Any], inputs: dict[str, Any], made_by: dict[str, Any], step: int = 0
) -> None:
    """Write a sampler that was fitted to a file of codes; `config` is how."""
    tensors = prefixed("sampler", sampler)
    write_checkpoint(path, tensors, Header(KIND, {**config, "sampler": sampler.config}, tensors_digest(tensors), step, inputs, made_by))


def load_sampler(file: SamplerFile) -> tuple[Header, Distribution]:
    """Read a sampler.

    Raises FileError when it is missing, damaged, or not what it should be.
    """
    maker = MAKERS.get(file.name, "genrev fit-ot")
    header, tensors = read_checkpoint(file.path)
    require_kind(header, KIND, file.path, maker)
    found = header.config.get("sampler", {}).get("name")
    if file.name and found != file.name:
        raise FileError(f"{file.path}: holds a sampler '{found}' where '{file.name}' is needed; '{maker}' makes one")
    try:
        with torch.device("meta"):
            sampler = build_sampler(header.config["sampler"])
    except Exception as error:  # what a table describes can be impossible in more ways than torch has names for
        raise FileError(f"{file.path}: its header does not describe a sampler that this version of genrev knows ({error})") from error
    load_prefixed(sampler, "sampler", tensors, file.path)
    return header, sampler.requires_grad_(False)


def open_model(ckpt: Path, device: torch.device, file: SamplerFile | None = None) -> Checkpoint:
    """A checkpoint, with its own prior or that of a sampler's file, which must have been fitted to its codes: those of this very
    checkpoint, or of one that it was trained from by train-gan, which trains a decoder for the codes as they are (D6).

    Raises FileError when one of them is unusable, or they do not belong together.
    """
    model = load_checkpoint(ckpt, device)
    if file is None:
        return model
    header, sampler = load_sampler(file)
    codes = header.inputs.get("codes", {})
    encoder = codes.get("inputs", {}).get("ckpt", {})
    if encoder.get("sha256") not in _encoders(asdict(model.header)):
        raise FileError(
            f"{file.path}: was fitted to codes of {encoder.get('path', 'another model')}, not of {ckpt}; "
            f"run 'genrev encode --ckpt {ckpt}', and '{MAKERS[sampler.config['name']]}' with those codes"
        )
    prior = Resampled(model.prior, sampler, codes["config"]["latent"] == "full").to(device)
    return replace(model, prior=prior, sampler=(file.path, header))


def _encoders(record: dict[str, Any]) -> Iterator[str]:
    """The digests of a checkpoint and of those that its decoder was trained for, from the record of its header."""
    yield record["sha256"]
    if record["config"].get("stage") == "train-gan" and "ckpt" in record["inputs"]:
        yield from _encoders(record["inputs"]["ckpt"])
