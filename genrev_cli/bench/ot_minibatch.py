"""Time a step of exact mini-batch transport to one Gaussian per class: the authors' formulation and genrev's.

Schirrmeister et al. 2018, section 3.2.

x: codes (K, n, d) of K classes;  s = mean + std · noise, as many samples;  L = 1/K Σ_k OT(x_k, s_k);  gradients to x, mean and std
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import ot as pot
import torch
from torch import Tensor

from genrev_cli.bench.harness import Table, Variant, alternate, compared
from genrev_cli.bench.machine import threads
from genrev_cli.bench.memory import extra_peak_mb
from genrev_cli.ot.discrete import LEAST_SQUARE, classwise_transport_loss, transport_loss
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.shapes import Codes, Scalar

CLASSES = 10
TARGET = 100.0

Loss: TypeAlias = Callable[[Tensor, Tensor], Scalar]


class Problem(NamedTuple):
    """The inputs. x, noise: (K, n, d). mean, std: (K, 1, d). x, mean and std require gradients."""

    x: Tensor
    mean: Tensor
    std: Tensor
    noise: Tensor


class Step(NamedTuple):
    """The loss and its gradients, concatenated to one vector."""

    loss: Scalar
    gradient: Tensor


def minibatch(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure a step (costs, plan, loss, gradients): seconds and peak memory for one class, seconds for ten, one by one and together."""
    n, d = (128, 256) if options.quick else (650, 1024)
    return [_one_class(n, d, options, device, progress=progress), _ten_classes(n, d, options, device, progress=progress)]


def _one_class(n: int, d: int, options: BenchOptions, device: torch.device, *, progress: Progress) -> Table:
    title = f"mini-batch transport, {n} codes of one class in {d} dimensions on {device.type}"
    rows = _rows(title, {"published": None, "genrev": TARGET}, problem(1, n, d, device), options, progress=progress)
    for row in rows:
        row["extra_peak_mb"] = extra_peak_mb(_prepared, row["variant"], n, d, options.threads, str(device), device=str(device))
    notes = (
        "error: relative error of the loss or of its gradients to codes, means and standard deviations, whichever is larger",
        "published: differences of all pairs (n, n, d), POT's network simplex, Σ plan · cost",
        "extra_peak_mb: in its own process",
    )
    return Table(title, rows, notes)


def _ten_classes(n: int, d: int, options: BenchOptions, device: torch.device, *, progress: Progress) -> Table:
    title = f"mini-batch transport, {n} codes of each of {CLASSES} classes in {d} dimensions on {device.type}"
    rows = _rows(title, {"genrev": None, "genrev, all at once": None}, problem(CLASSES, n, d, device), options, progress=progress)
    return Table(title, rows, ("the published step handles the classes one by one, each in the time shown in the table for one class",))


def problem(classes: int, n: int, d: int, device: torch.device) -> Problem:
    """Draw codes and samples as after training: both from N(mean, std²) of their class, with std between ½ and 1½."""
    generator = torch.Generator().manual_seed(derive(0, "ot-minibatch"))
    mean, x, noise = (torch.randn(classes, size, d, generator=generator) for size in (1, n, n))
    std = torch.rand(classes, 1, d, generator=generator) + 0.5
    codes, mean, std = (tensor.to(device).requires_grad_() for tensor in (mean + std * x, mean, std))
    return Problem(codes, mean, std, noise.to(device))


def step(loss: Loss, given: Problem) -> Step:
    """Compute the loss and its gradients."""
    value = loss(given.x, given.mean + given.std * given.noise)
    gradients = torch.autograd.grad(value, given[:3])
    return Step(value.detach(), torch.cat([gradient.flatten() for gradient in gradients]))


def published_loss(x: Codes, s: Codes) -> Scalar:
    """Σ_ij P_ij c_ij,  c_ij = max(Σ_k (x_ik − s_jk)², 1e-6)^½: (n, d), (n, d) → ().

    As in github.com/robintibor/generative-reversible, notebooks/mnist/OptimalTransport.ipynb: P ≤ 1/n² counts as 0, and autograd
    differentiates all n² pairs.
    """
    difference = x[:, None] - s[None]  # (n, n, d)
    squares = difference * difference  # a product, because its gradient costs a third less than square()'s
    cost = squares.sum(2).clamp_min(LEAST_SQUARE).sqrt()
    plan = torch.from_numpy(pot.emd([], [], cost.detach().cpu().numpy())).to(cost)
    return (plan.where(plan > 1 / len(x) ** 2, 0) * cost).sum()


def _one_by_one(loss: Loss) -> Loss:
    return lambda x, s: torch.stack([loss(*pair) for pair in zip(x, s, strict=True)]).mean()


def _at_once(x: Tensor, s: Tensor) -> Scalar:
    classes = torch.arange(len(x), device=x.device).repeat_interleave(x.shape[1])
    return classwise_transport_loss(x.flatten(0, 1), s.flatten(0, 1), classes)


WAYS: dict[str, Loss] = {
    "published": _one_by_one(published_loss),
    "genrev": _one_by_one(transport_loss),
    "genrev, all at once": _at_once,
}


def _rows(
    title: str, targets: dict[str, float | None], given: Problem, options: BenchOptions, *, progress: Progress
) -> list[dict[str, Any]]:
    variants = [Variant(name, partial(step, WAYS[name], given), target) for name, target in targets.items()]
    timings = alternate(variants, options.rounds, title, progress)
    return compared(timings, lambda found: max(map(_deviation, found, timings[0].result)))


def _deviation(tensor: Tensor, reference: Tensor) -> float:
    return ((tensor - reference).norm() / reference.norm()).item()


def _prepared(name: str, n: int, d: int, n_threads: int, device: str) -> Callable[[], None]:
    """Prepare a step in its own process."""
    given = problem(1, n, d, torch.device(device))
    step(WAYS[name], problem(1, 2, d, torch.device(device)))  # lets libraries load what they need first

    def run() -> None:
        with threads(n_threads):
            step(WAYS[name], given)

    return run
