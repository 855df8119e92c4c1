"""Checks that a training step computes what it should, and the same again."""

from pathlib import Path

import torch
from torch import Tensor

from genrev_cli.bench.training_step import Network, deviation, gradients
from genrev_cli.doctor.finding import Outcome, told, verdict
from genrev_cli.doctor.images import write_images
from genrev_cli.doctor.subject import Subject
from genrev_cli.files.checkpoint import read_checkpoint
from genrev_cli.models import Bijection
from genrev_cli.runs.train import train
from genrev_cli.settings.reconstruction import PRETRAIN_RECON
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.training.guard import REFUSE

GRADIENTS = 1e-3
"""Largest relative difference between gradients of --memory reversible and of --memory plain."""
RESUMED = 1e-3
"""Largest relative difference on CUDA, where kernels may add in another order, between weights of a resumed run and of one run."""
STEPS = 5
SMALL = "grn-digits"
"""The recipe of the runs that are resumed: its state is small."""


def reversible_gradients(subject: Subject) -> Outcome:
    """Compare the gradients of --memory reversible with those of --memory plain, and recomputed inputs with the real ones.

    ẑ = z / 2, whatever the prior: with one that restricts nothing x̂ would be x, and the gradient of |x − x̂| that of rounding.
    """
    model = subject.network().requires_grad_(True)
    assert isinstance(model, Bijection)
    problem, network = subject.problem(model, subject.few, lambda z: z / 2), Network(model.encode, model.decode)
    plain = gradients(problem, network)
    model.memory = "reversible"
    off = deviation(gradients(problem, network), plain)
    missed = model.take_roundtrip()
    numbers = {"gradients": off, "inputs": float("nan") if missed is None else missed.item()}
    detail = f"gradients differ by {off:.1e} (limit {GRADIENTS:g}), recomputed inputs by {numbers['inputs']:.1e} (limit {REFUSE:g})"
    return verdict(off <= GRADIENTS and numbers["inputs"] <= REFUSE, detail, numbers)


def determinism(subject: Subject) -> Outcome:
    """Take the same training steps twice: on a CPU the weights are equal to the bit, on CUDA the difference is told."""
    first, second = _trained(subject), _trained(subject)
    largest = (first - second).abs().max().item()
    numbers = {"steps": STEPS, "largest": largest}
    equal = f"differ by up to {largest:.1e}" if largest else "are equal to the bit"
    detail = f"weights of two runs of {STEPS} steps {equal}"
    if subject.cuda:
        return told(f"{detail}; equality is promised on a CPU only", numbers)
    return verdict(not largest, detail, numbers)


def _trained(subject: Subject) -> Tensor:
    """Return all weights after the steps, as one vector."""
    method = subject.reconstruction()
    step = subject.stepper(method, subject.few)
    for number in range(STEPS):
        step(number)
    return torch.cat([parameter.detach().flatten() for parameter in method.autoencoder.parameters()])


def resume(subject: Subject) -> Outcome:
    """Train for 6 steps, and for 3 and then 3 more from the saved state: equal to the bit on a CPU, within a tolerance on CUDA."""
    data = write_images(subject.scratch / "digits.h5", 40, (1, 8, 8))
    run = RunOptions(device=subject.word, log_every=3, monitor_every=1 << 30, preview_every=1 << 30)
    whole, parts = (subject.scratch / name for name in ("whole.safetensors", "parts.safetensors"))
    for out, steps in ((whole, 6), (parts, 3), (parts, 6)):
        overrides = {"pretrain-recon": {"batch": 8, "steps": steps}}
        train(PRETRAIN_RECON, data, out, recipe=SMALL, overrides=overrides, run=run)
    off = deviation(_weights(parts), _weights(whole))
    limit = RESUMED if subject.cuda else 0.0
    detail = f"differ by {off:.1e}, relative to them (limit {limit:g})" if off else "are equal to the bit"
    return verdict(off <= limit, f"weights after 3 + 3 steps and after 6 {detail}", {"relative": off, "limit": limit})


def _weights(path: Path) -> list[Tensor]:
    """Return the weights of a checkpoint, in the order of their names."""
    _, tensors = read_checkpoint(path)
    return [tensors[name].float() for name in sorted(tensors) if name.startswith("autoencoder.")]
