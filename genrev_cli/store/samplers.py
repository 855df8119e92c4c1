"""Files of fit-ot, fit-gmm and fit-flow: write and read them, and draw codes from them instead of from a checkpoint's prior."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files import pretrained
from genrev_cli.files.checkpoint import read_checkpoint, read_checkpoint_header, tensors_digest, write_checkpoint
from genrev_cli.files.codes import CodeSet, is_gaussian, open_codes
from genrev_cli.files.header import Header, require_kind
from genrev_cli.files.targets import check_target
from genrev_cli.latents import Distribution, build_sampler
from genrev_cli.latents.flow import Flow
from genrev_cli.latents.samplers import Resampled
from genrev_cli.settings.sampling import MAKERS, SamplerFile
from genrev_cli.store.checkpoints import Checkpoint, load_checkpoint, load_prefixed, prefixed

KIND = "sampler"


def check_sampler_target(out: Path, name: str, codes: Path) -> None:
    """Check a target like `check_target`. Raises FileError also for a file with a sampler of another name."""
    check_target(out, KIND, (".safetensors",), [codes])
    if out.exists() and read_checkpoint_header(out).config.get("sampler", {}).get("name") != name:
        raise FileError(f"{out}: exists and is not a sampler '{name}'; choose another --out, or remove it")


def open_finite_codes(path: Path) -> CodeSet:
    """Read the codes to which a distribution is fitted.

    Raises FileError when there are none, or one is not finite; UsageError for Gaussian codes of a flow.
    """
    given = open_codes(path)
    if is_gaussian(given.header):
        raise UsageError(f"{path}: has Gaussian codes, which are N(0, I) already; fit to the codes of encode without --flow")
    if not given.codes.size:
        raise FileError(f"{path}: has no codes; encode a split that has images")
    bad = (~np.isfinite(given.codes)).any(1)
    if bad.any():
        raise FileError(f"{path}: code {bad.argmax()} is not finite ({bad.sum()} of {len(bad)}); the model that made them has diverged")
    return given


def rows_of_maps(given: CodeSet, *, per_class: bool) -> list[torch.Tensor]:
    """Return the rows of all codes, or those of each class from 0. Raises UsageError for a code without label and a class without codes."""
    labels = torch.from_numpy(given.labels)
    if not per_class:
        return [torch.arange(len(labels))]
    if labels.min() < 0:
        raise UsageError(f"{given.path}: some codes have no label; --per-class needs a label for each")
    found = [(labels == k).nonzero().squeeze(1) for k in range(int(labels.max()) + 1)]
    empty = [k for k, rows in enumerate(found) if not len(rows)]
    if empty:
        raise UsageError(f"{given.path}: class {empty[0]} has no codes; --per-class needs some of each class")
    return found


def write_sampler(
    path: Path, sampler: Distribution, *, config: dict[str, Any], inputs: dict[str, Any], made_by: dict[str, Any], step: int = 0
) -> None:
    """Write a sampler. config: the settings of its fit, for the header."""
    tensors = prefixed("sampler", sampler)
    write_checkpoint(
        path, tensors, Header(KIND, {**config, "sampler": sampler.config}, tensors_digest(tensors), step, inputs=inputs, made_by=made_by)
    )


def load_sampler(file: SamplerFile) -> tuple[Header, Distribution]:
    """Read a sampler, and give a flow the solver that is asked for; the header then names it.

    Raises FileError when it is missing, damaged, or not the one that is needed; UsageError for a solver of what is no flow.
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
    except Exception as error:  # an impossible table raises errors of many types
        raise FileError(f"{file.path}: its header does not describe a sampler that this version of genrev knows ({error})") from error
    load_prefixed(sampler, "sampler", tensors, file.path)
    if file.solver or file.solver_steps:
        if not isinstance(sampler, Flow):
            raise UsageError(f"{file.path}: holds a sampler '{found}', which has no solver; only a flow has one")
        sampler = sampler.with_solver(file.solver, file.solver_steps)
        header = replace(header, config={**header.config, "sampler": sampler.config})
    return header, sampler.requires_grad_(False)


def open_model(ckpt: Path, device: torch.device, file: SamplerFile | None = None) -> Checkpoint:
    """Read a checkpoint; with a sampler's file, its codes are drawn from the sampler instead of from its prior. Names of models that come
    with genrev stand for their files.

    The sampler must have been fitted to codes of this checkpoint, or of one from which train-gan trained it: train-gan does not change the
    codes (An et al. 2020, section 3.3).
    Raises FileError when a file is unusable, or when they do not belong together.
    """
    model = load_checkpoint(ckpt, device)
    if file is None:
        return model
    file = replace(file, path=pretrained.found(file.path, pretrained.OT))
    header, sampler = load_sampler(file)
    codes = header.inputs.get("codes", {})
    encoder = codes.get("inputs", {}).get("ckpt", {})
    if encoder.get("sha256") not in encoders_of(asdict(model.header)):
        raise FileError(
            f"{file.path}: was fitted to codes of {encoder.get('path', 'another model')}, not of {ckpt}; "
            f"run 'genrev encode --ckpt {ckpt}', and '{MAKERS[sampler.config['name']]}' with those codes"
        )
    prior = Resampled(model.prior, sampler, codes["config"]["latent"] == "full").to(device)
    return replace(model, prior=prior, sampler=(file.path, header))


def encoders_of(record: dict[str, Any]) -> Iterator[str]:
    """Yield the digest of a checkpoint, and of those from which train-gan trained it, from the record of its header."""
    yield record["sha256"]
    if record["config"].get("stage") == "train-gan" and "ckpt" in record["inputs"]:
        yield from encoders_of(record["inputs"]["ckpt"])
