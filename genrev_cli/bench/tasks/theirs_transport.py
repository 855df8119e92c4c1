"""Fit and draw with POT or OTT: {solver, codes, out, drawn, goal, limit} → codes, heights and drawn codes in `out` (.npz).

x: uniform in the cube [−½, ½]^d;   a sample goes to the code arg min_j ‖x − y_j‖² − g_j = arg max_j ⟨x, y_j⟩ + h_j,  h = (g − ‖y‖²)/2
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.lib import format as npy

from genrev_cli.bench.tasks.words import arguments

FIRST = 100  # steps before the first look at χ²
BATCH = 256
LOOK = 20  # samples per code

Run = Callable[[np.ndarray, int], np.ndarray]
"""The potential (n,) after so many more steps from a potential (n,)."""


def main(*, solver: str, codes: str, out: str, drawn: int, goal: float, limit: float) -> None:
    """Double the steps, each time from the potential so far, until χ² is at most `goal` or `limit` CPU seconds are over."""
    y, rng = npy.open_memmap(codes, mode="r"), np.random.default_rng(0)
    run, g, steps = {"pot": pot, "ott": ott}[solver](y, rng), np.zeros(len(y), np.float32), FIRST
    while True:
        g = run(g, steps)
        h = (g - np.square(y).sum(1)) / 2
        if chi2(y, h, cube(rng, LOOK * len(y), y.shape[1])) <= goal or time.process_time() > limit:
            break
        steps *= 2
    np.savez(out, codes=y, heights=h, drawn=y[cells(y, h, cube(rng, drawn, y.shape[1]))])


def pot(y: np.ndarray, rng: np.random.Generator) -> Run:
    """Return POT's solver with its defaults (DRAG: averaged gradients, regularisation that decreases)."""
    from ot.semidiscrete import solve_semidiscrete

    def run(g: np.ndarray, steps: int) -> np.ndarray:
        return solve_semidiscrete(y, lambda n: cube(rng, n, y.shape[1]), init_potential=g, max_iter=steps, batch_size=BATCH)

    return run


def ott(y: np.ndarray, rng: np.random.Generator) -> Run:
    """Return OTT's solver without regularisation, with the gradient step and the decreasing rate that POT's has."""
    import jax
    import optax
    from ott.geometry.semidiscrete_pointcloud import SemidiscretePointCloud
    from ott.problems.linear.semidiscrete_linear_problem import SemidiscreteLinearProblem
    from ott.solvers.linear.semidiscrete import SemidiscreteSolver

    rate = (len(y) * BATCH) ** 0.5
    sample = lambda key, shape, dtype=None: jax.random.uniform(key, shape, dtype or "float32", -0.5, 0.5)  # noqa: E731
    problem = SemidiscreteLinearProblem(SemidiscretePointCloud(sample, jax.numpy.asarray(y), epsilon=0.0))

    def run(g: np.ndarray, steps: int) -> np.ndarray:
        optimizer = optax.sgd(lambda step: rate / (step + 1) ** (2 / 3))
        solver = SemidiscreteSolver(num_iterations=steps, batch_size=BATCH, optimizer=optimizer, error_eval_every=steps)
        return np.asarray(solver(jax.random.key(int(rng.integers(1 << 31))), problem, jax.numpy.asarray(g)).g)

    return run


def cube(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Draw x (n, d)."""
    return rng.random((n, d), np.float32) - np.float32(0.5)


def cells(y: np.ndarray, h: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the number of the cell of each sample, (n,)."""
    return np.concatenate([(part @ y.T + h).argmax(1) for part in np.array_split(x, max(1, len(x) // 4096))])


def chi2(y: np.ndarray, h: np.ndarray, x: np.ndarray) -> float:
    """Return the unbiased estimate n Σ c_i (c_i − 1) / (M (M − 1)) − 1 from M samples, as OTT and genrev compute it."""
    counts = np.bincount(cells(y, h, x), minlength=len(y)).astype(float)
    return float(len(y) * (counts * (counts - 1)).sum() / (len(x) * (len(x) - 1)) - 1)


if __name__ == "__main__":
    main(**arguments())
