"""Time mean and covariance of features that arrive in small batches: with pytorch-fid's method and with genrev's."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from genrev_cli.bench.harness import Table, Variant, alternate, compared
from genrev_cli.bench.machine import threads
from genrev_cli.bench.memory import extra_peak_mb
from genrev_cli.metrics.frechet import Moments
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions

BATCH = 50
POOL_ROWS = 4000  # the batches repeat after these rows, so that the memory measured is not that of the input

Pair = tuple[np.ndarray, np.ndarray]


def moments(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure seconds and peak memory beyond the input, on the CPU."""
    n, d = (5_000, 512) if options.quick else (50_000, 2048)
    pool = _pool(d)
    variants = [Variant(name, partial(run, pool, n)) for name, run in WAYS.items()]
    title = f"moments of {n} × {d} features in batches of {BATCH}"
    timings = alternate(variants, options.rounds, title, progress)
    rows = compared(timings, lambda pair: max(map(_deviation, pair, timings[0].result)))
    for row in rows:
        row["extra_peak_mb"] = extra_peak_mb(_prepared, row["variant"], n, d, options.threads)
    notes = (
        "error: largest difference from pytorch-fid, relative to the largest entry",
        "extra_peak_mb: in its own process; the target is below 200",
    )
    return [Table(title, rows, notes)]


def _deviation(array: np.ndarray, reference: np.ndarray) -> float:
    return float(np.abs(array - reference).max() / np.abs(reference).max())


def by_array(pool: np.ndarray, n: int) -> Pair:
    """Compute as pytorch-fid does: one float64 array of all features, then np.mean and np.cov."""
    features = np.empty((n, pool.shape[1]))
    start = 0
    for batch in _batches(pool, n):
        features[start : start + len(batch)] = batch
        start += len(batch)
    return features.mean(axis=0), np.cov(features, rowvar=False)


def by_sums(pool: np.ndarray, n: int) -> Pair:
    """Compute as genrev does: shifted sums in blocks."""
    sums = Moments(pool.shape[1])
    for batch in _batches(pool, n):
        sums.add(batch)
    statistics = sums.statistics()
    return statistics.mu, statistics.covariance


WAYS: dict[str, Callable[[np.ndarray, int], Pair]] = {"pytorch-fid": by_array, "genrev": by_sums}


def _pool(d: int) -> np.ndarray:
    return np.random.default_rng(derive(0, "features")).gamma(1.0, 0.4, (POOL_ROWS, d)).astype(np.float32)  # positive, like pooled features


def _batches(pool: np.ndarray, n: int) -> Iterator[np.ndarray]:
    for start in range(0, n, BATCH):
        at = start % POOL_ROWS
        yield pool[at : at + min(BATCH, n - start)]


def _prepared(name: str, n: int, d: int, n_threads: int) -> Callable[[], None]:
    """Prepare a run in its own process."""
    pool = _pool(d)

    def run() -> None:
        with threads(n_threads):
            WAYS[name](pool, n)

    return run
