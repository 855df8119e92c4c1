"""Gaussian codes in files: `encode --flow` writes them, and `decode` takes them back through the same flow."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.codes import is_gaussian
from genrev_cli.files.directions import DirectionSet
from genrev_cli.files.header import Header
from genrev_cli.latents import Prior
from genrev_cli.latents.flow import Flow
from genrev_cli.latents.samplers import Resampled
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.shapes import Codes, Latents
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.store.coding import flow_of
from genrev_cli.store.samplers import load_sampler

ROLE = "flow"
"""Role of the flow among the inputs of Gaussian codes."""


def flow_record(model: Checkpoint) -> dict[str, Any]:
    """Return the record of a model's flow for the header of Gaussian codes; {} for a model without a sampler."""
    return {ROLE: model.sampler[1].as_input(model.sampler[0])} if model.sampler else {}


def require_flow_fits(model: Checkpoint, labels: np.ndarray, *, full: bool) -> None:
    """Raise UsageError where a model's flow is not of the codes that are asked for, or has classes and a code (N,) is of none of them.

    A model without a sampler has no flow, and passes.
    """
    if not model.sampler:
        return
    path, prior, flow = model.sampler[0], model.prior, flow_of(model)
    assert isinstance(prior, Resampled), "a model with a sampler draws from it"
    if prior.full != full:
        which, cure = ("the full latent", "add --full") if prior.full else ("the active dimensions", "leave --full out")
        raise UsageError(f"--flow {path}: was fitted to codes of {which}; {cure}")
    require_classes(flow, labels, path)


def require_classes(flow: Flow, labels: np.ndarray, path: Path) -> None:
    """Raise UsageError if a flow has classes, and a label (N,) is none of them. path: of the flow."""
    if flow.classes and not ((labels >= 0) & (labels < flow.classes)).all():
        raise UsageError(f"{path}: is a flow of {flow.classes} classes, and some codes have no label among them; encode labelled images")


def flow_of_codes(header: Header, path: Path, given: Path | None, device: torch.device) -> tuple[Flow, dict[str, Any]] | None:
    """Return the flow of Gaussian codes, or of their directions, with its record among the inputs; None for other codes.

    header, path: of the file with the codes. given: the flow's file; None is the one that the header names. The solver is that of `encode`.
    Raises UsageError for a flow with other codes, FileError for a flow that is gone or is another one.
    """
    if not is_gaussian(header):
        if given:
            raise UsageError(f"--flow {given}: {path} has no Gaussian codes; leave it out, or encode with --flow")
        return None
    recorded = _recorded(header, path)
    file = given or Path(recorded["path"])
    if not file.exists():
        raise FileError(f"{file}: is missing, and {path} has its Gaussian codes; give the flow with --flow FILE")
    found, flow = load_sampler(SamplerFile(file, ROLE))
    assert isinstance(flow, Flow), "the name 'flow' is that of flows"
    if found.sha256 != recorded["sha256"]:
        raise FileError(
            f"{file}: is not the flow of the Gaussian codes in {path}; give that one with --flow, or encode again with this one"
        )
    solver = recorded["config"]["sampler"]
    return flow.with_solver(solver.get("solver", ""), solver.get("steps", 0)).to(device), {ROLE: found.as_input(file)}


def _recorded(header: Header, path: Path) -> dict[str, Any]:
    """Return the record of the flow in the header of Gaussian codes, or of their directions. Raises FileError where there is none."""
    codes = header.inputs.get("codes", {}).get("inputs", {})
    record: dict[str, Any] = header.inputs.get(ROLE) or codes.get(ROLE) or {}
    if record.get("config", {}).get("sampler", {}).get("name") != ROLE:
        raise FileError(f"{path}: damaged: its header does not say whose Gaussian codes it has; run 'genrev encode --flow' again")
    return record


def moved(prior: Prior, z: Latents | None, *, directions: DirectionSet, moves: Codes, flow: Flow | None) -> Latents:
    """Return latents (n, D) that are moved by (n, d) from z (1, D), or from the mean of the codes. Along a flow it moves Gaussian codes."""
    full, mean = directions.full, directions.mean[None].to(moves)
    if flow is None:
        start = z if z is not None else mean if full else prior.embed(mean)
        return start + (moves if full else prior.embed(moves))
    if z is None:
        y = flow.codes(mean + moves)
        return y if full else prior.embed(y)
    y = z if full else prior.select(prior.restrict(z))
    change = flow.codes(flow.gaussian(y) + moves) - (z if full else prior.select(z))
    return z + (change if full else prior.embed(change))
