"""The factor of a covariance, by plain and by pivoted Cholesky."""

import numpy as np
import pytest

from genrev_cli.metrics import frechet
from genrev_cli.metrics.frechet import TOLERANCE, Statistics, frechet_distance

D = 40


def rotation(rng):
    return np.linalg.qr(rng.standard_normal((D, D)))[0]


def symmetric(matrix):
    return (matrix + matrix.T) / 2


SPECTRA = {
    "well conditioned": np.linspace(1, 2, D),
    "1e-4": np.geomspace(1, 1e-4, D),
    "1e-8": np.geomspace(1, 1e-8, D),
    "one null direction": np.append(np.geomspace(1, 1e-4, D - 1), 0),
    "half of it null": np.append(np.geomspace(1, 1e-4, D // 2), np.zeros(D // 2)),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_distance_is_exact_with_plain_and_pivoted_cholesky(name, order):
    rng = np.random.default_rng(0)
    for _ in range(10):
        q, r = rotation(rng), rotation(rng)
        first = symmetric(q * SPECTRA[name] @ q.T)
        t = symmetric(r * rng.uniform(0.5, 2, D) @ r.T)
        second = symmetric(t @ first @ t)
        truth = np.trace((t - np.eye(D)) @ first @ (t - np.eye(D)))
        a, b = (Statistics(None, np.zeros(D), sigma=np.asarray(sigma, order=order)) for sigma in (first, second))
        assert abs(frechet_distance(a, b) - truth) <= TOLERANCE * (np.trace(first) + np.trace(second))
        assert np.abs(a.factor.T @ a.factor - first).max() <= 1e-14


@pytest.mark.parametrize(
    ("name", "plain"), [("well conditioned", True), ("1e-4", True), ("one null direction", False), ("half of it null", False)]
)
def test_rounding_noise_is_never_taken_for_rank(name, plain):
    rng = np.random.default_rng(1)
    for _ in range(20):  # rounding leaves about ±1e-17 in the null direction, so plain Cholesky sometimes succeeds
        q = rotation(rng)
        sigma = symmetric(q * SPECTRA[name] @ q.T)
        assert (frechet._plain_cholesky(sigma) is not None) is plain
        assert len(Statistics(None, np.zeros(D), sigma=sigma).factor) == np.count_nonzero(SPECTRA[name])
