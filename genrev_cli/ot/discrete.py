"""Exact optimal transport between two sets of points, as a loss (Schirrmeister et al. 2018, section 2.3, eq. 5).

OT(x, s) = min_P Σ_ij P_ij c(x_i, s_j),   P ≥ 0 with the rows and columns of P summing to the weights of x and of s
c(u, v) = ‖u − v‖, or ‖u − v‖² with `squared`

P is found without a gradient, and the loss is differentiated for fixed P; this is the derivative of OT wherever it exists. If both sides
have n points of equal weight, an optimal P is a permutation / n, so the problem is a linear assignment.
"""

import functools
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import lap
import numpy as np
import ot as pot
import torch
from torch import Tensor

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.invocation import cores
from genrev_cli.shapes import Codes, Labels, Scalar
from genrev_cli.transfers import to_device, to_host

LEAST_SQUARE = 1e-6
"""Least squared distance, so that its root has a gradient if the points of a pair are equal; as in robintibor/generative-reversible."""

_ITERATIONS = 10**7  # with POT's default, n = 2000 already gives a plan that is not optimal, and only a warning


@dataclass(frozen=True)
class Pairs:
    """The entries of a plan P that are not 0: rows, cols (k,) int64, mass (k,) with sum 1."""

    rows: Tensor
    cols: Tensor
    mass: Tensor


@torch.no_grad()
def costs(x: Codes, s: Codes, *, squared: bool = False) -> Tensor:
    """Return c(x_i, s_j): (n, d), (m, d) → (n, m), by one matrix product. Points are centred first, so that they lose fewer digits."""
    centre = x.mean(0)
    x, s = x - centre, s - centre
    square = (x.square().sum(1)[:, None] + s.square().sum(1)[None] - 2 * x @ s.T).clamp_min(0)
    return square if squared else square.sqrt()


def optimal_pairs(cost: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Pairs:
    """Return an optimal plan for a cost (n, m) between weights a (n,) and b (m,), on the CPU. None means uniform weights.

    Raises DivergedError when a cost is not finite or the solver does not converge, UsageError for an empty side.
    """
    array = _on_cpu(cost)
    return _assignment(array) if a is None and b is None and len(array) == array.shape[1] else _plan(array, a, b)


def optimal_assignments(problems: Sequence[Tensor]) -> list[Tensor]:
    """Return, for each cost (n_k, n_k), the column matched with each row, (n_k,). Threads solve them side by side on the CPU.

    Classes differ in size. `lap.lapjvh_batch` solves only equal sizes, and to pad the costs takes longer than these threads.
    Raises like `optimal_pairs`.
    """
    return [pairs.cols for pairs in _solvers().map(_assignment, map(_on_cpu, problems))]


@functools.cache
def _solvers() -> ThreadPoolExecutor:
    """Return the threads of the solver, which releases Python's global lock."""
    return ThreadPoolExecutor(cores())


def _on_cpu(cost: Tensor) -> np.ndarray:
    if not cost.numel():
        raise UsageError("optimal transport: one of the two sets is empty")
    array = to_host(cost)[0].numpy()
    if not np.isfinite(array).all():  # the solvers would not return
        raise DivergedError("optimal transport: a cost is not finite; the codes have diverged")
    return array


def _assignment(cost: np.ndarray) -> Pairs:
    rows, cols = lap.lapjvh(cost, return_cost=False)
    return Pairs(torch.from_numpy(rows), torch.from_numpy(cols), torch.full((len(rows),), 1 / len(rows), dtype=torch.float64))


def _plan(cost: np.ndarray, a: Tensor | None, b: Tensor | None) -> Pairs:
    """Return a plan between unequal numbers or weights, by the network simplex (Bonneel et al. 2011)."""
    weights = [
        np.full(n, 1 / n) if given is None else (given.double() / given.double().sum()).cpu().numpy()
        for n, given in zip(cost.shape, (a, b), strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the log has what it warns of
        plan, log = pot.emd(*weights, cost.astype(np.float64), numItermax=_ITERATIONS, log=True)
    if log["warning"]:
        raise DivergedError(f"optimal transport: the exact solver gave up ({log['warning']})")
    rows, cols = plan.nonzero()
    return Pairs(torch.from_numpy(rows), torch.from_numpy(cols), torch.from_numpy(plan[rows, cols]))


def transport_loss(x: Codes, s: Codes, *, squared: bool = False) -> Scalar:
    """Return OT(x, s) of two sets with uniform weights: (n, d), (m, d) → (). Differentiable in both; raises like `optimal_pairs`."""
    pairs = optimal_pairs(costs(x, s, squared=squared))
    rows, cols = to_device(pairs.rows, x.device), to_device(pairs.cols, x.device)
    square = (x[rows] - s[cols]).square().sum(1)  # from differences, so that the loss loses no digits
    return to_device(pairs.mass.to(square.dtype), x.device) @ _distances(square, squared)


def classwise_transport_loss(x: Codes, s: Codes, classes: Labels) -> Scalar:
    """Return Σ_k n_k/n · OT(x of class k, s of class k)   (Schirrmeister et al. 2018, section 3.2).

    x, s: (n, d), where s_i has the class of x_i; classes: (n,). Differentiable in both; raises like `optimal_pairs`.
    The host waits for a GPU once.
    """
    return _distances((x - s[matched(x, s, classes)]).square().sum(1), squared=False).mean()


def matched(x: Codes, s: Codes, classes: Labels, *, squared: bool = False) -> Tensor:
    """Return the row of s that an optimal assignment within each class gives to each x_i: (n, d), (n, d), (n,) → (n,) int64 on x's device.

    s_i has the class of x_i. Raises like `optimal_pairs`. The host waits for a GPU once.
    """
    members, problems = (costs_by_class if x.device.type == "cpu" else costs_of_all)(x, s, classes, squared=squared)
    rows_of = torch.empty(len(x), dtype=torch.int64)
    for rows, cols in zip(members, optimal_assignments(problems), strict=True):
        rows_of[rows] = rows[cols]
    return to_device(rows_of, x.device)


def costs_by_class(x: Codes, s: Codes, classes: Labels, *, squared: bool = False) -> tuple[list[Tensor], list[Tensor]]:
    """Return the rows of each class, (n_k,) int64, and their costs, (n_k, n_k), from one matrix product per class."""
    members = _members(classes)
    return members, [costs(x[rows], s[rows], squared=squared) for rows in members]


@torch.no_grad()
def costs_of_all(x: Codes, s: Codes, classes: Labels, *, squared: bool = False) -> tuple[list[Tensor], list[Tensor]]:
    """Return the same as `costs_by_class`, on the CPU, from codes on a GPU. The host waits once.

    A product per class would need the sizes of the classes on the host first. So all costs, (n, n), are computed with points centred by
    class, and copied to the CPU together with the classes.
    """
    same = (classes[:, None] == classes).to(x.dtype)
    centres = same @ x / same.sum(1, keepdim=True)
    cost, classes = to_host(costs(x - centres, s - centres, squared=squared), classes)
    members = _members(classes)
    return members, [cost[rows[:, None], rows] for rows in members]


def _members(classes: Labels) -> list[Tensor]:
    """Return the rows of each class, in order. classes: (n,) on the CPU."""
    return [(classes == k).nonzero().squeeze(1) for k in classes.unique()]


def _distances(square: Tensor, squared: bool) -> Tensor:
    return square if squared else square.clamp_min(LEAST_SQUARE).sqrt()
