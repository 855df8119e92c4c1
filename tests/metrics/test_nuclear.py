"""The nuclear norm from eigenvalues: its values, its error bound, and when singular values are computed instead."""

import mpmath
import numpy as np
import pytest
from scipy.linalg import eigvalsh, svdvals

from genrev_cli.metrics import nuclear
from genrev_cli.metrics.frechet import TOLERANCE, Statistics, frechet_distance
from genrev_cli.metrics.nuclear import error_bound, nuclear_norm, predicted_bound

D = 160


@pytest.fixture
def singular_values(monkeypatch):
    """Count calls of `svdvals`, the slow path."""
    calls = []

    def counted(matrix, **options):
        calls.append(matrix.shape)
        return svdvals(matrix, **options)

    monkeypatch.setattr(nuclear, "svdvals", counted)
    return calls


def rotation(d, rng):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def covariance(q, spectrum):
    sigma = q * spectrum @ q.T
    return (sigma + sigma.T) / 2


def of(sigma):
    return Statistics(None, np.zeros(len(sigma)), sigma=sigma)


def spectrum(kind, d=D):
    return {
        "equal": np.ones(d),
        "repeated": np.repeat([1.0, 1e-1, 1e-2, 1e-3], d // 4),
        "1e-2": np.geomspace(1, 1e-2, d),
        "1e-4": np.geomspace(1, 1e-4, d),
        "one is tiny": np.append(np.ones(d - 1), 1e-4),
    }[kind]


@pytest.mark.parametrize("scale", [1, 1e-6, 1e6])
@pytest.mark.parametrize("kind", ["equal", "repeated", "1e-2", "1e-4", "one is tiny"])
def test_closed_forms_from_eigenvalues(kind, scale, singular_values):
    rng = np.random.default_rng(len(kind))
    q, values = rotation(D, rng), scale * spectrum(kind)
    others = rng.permutation(values)
    commuting = of(covariance(q, values)), of(covariance(q, others)), np.square(np.sqrt(values) - np.sqrt(others)).sum()
    diagonal = of(np.diag(values)), of(np.diag(others)), commuting[2]
    r = rotation(D, rng)
    t = covariance(r, rng.uniform(0.5, 2, D))
    first = covariance(q, values)
    second, shift = t @ first @ t, t - np.eye(D)
    transported = of(first), of((second + second.T) / 2), np.trace(shift @ first @ shift)
    identical = of(first), of(first), 0.0
    for a, b, truth in (commuting, diagonal, transported, identical):
        size = np.trace(a.covariance) + np.trace(b.covariance)
        assert abs(frechet_distance(a, b) - truth) <= TOLERANCE / 10 * size
    assert not singular_values


@pytest.mark.parametrize("kind", ["1e-12", "singular"])
def test_singular_values_where_eigenvalues_would_lose_digits(kind, singular_values):
    rng = np.random.default_rng(1)
    values = np.geomspace(1, 1e-8, D) if kind == "1e-12" else np.append(np.ones(D // 2), np.zeros(D // 2))
    q = rotation(D, rng)
    others = rng.permutation(values)
    a, b = of(covariance(q, values)), of(covariance(q, others))
    truth = np.square(np.sqrt(values) - np.sqrt(others)).sum()
    assert abs(frechet_distance(a, b) - truth) <= TOLERANCE * (values.sum() + others.sum())
    assert len(singular_values) == 1


@pytest.mark.parametrize("low", [1, 1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("d", [2, 5, 24, 160])
def test_the_error_is_below_its_bound(d, low):
    rng, eps = np.random.default_rng(d), np.finfo(float).eps
    for trial in range(200 // d + 1):
        values = np.geomspace(1, low, d) if trial % 2 else np.append(np.ones(d - d // 2), np.full(d // 2, low))
        factors = [np.linalg.cholesky(covariance(rotation(d, rng), values)).T for _ in range(2)]
        cross = factors[0] @ factors[1].T
        eigenvalues, exact = eigvalsh(cross @ cross.T), svdvals(cross)
        if eigenvalues[0] <= 0:
            continue
        summation = 4 * eps * exact.sum()
        assert abs(np.sqrt(eigenvalues).sum() - exact.sum()) <= error_bound(eigenvalues) + summation
        assert predicted_bound(*factors, cross) == pytest.approx(error_bound(eigenvalues), rel=1.0)


def test_against_fifty_digits():
    rng = np.random.default_rng(2)
    factors = [np.linalg.cholesky(covariance(rotation(12, rng), np.geomspace(1, 1e-3, 12))).T for _ in range(2)]
    with mpmath.workdps(50):
        cross = mpmath.matrix(factors[0]) * mpmath.matrix(factors[1]).T
        exact = float(mpmath.fsum(mpmath.svd_r(cross, compute_uv=False)))
    eigenvalues = eigvalsh(factors[0] @ factors[1].T @ factors[1] @ factors[0].T)
    assert abs(np.sqrt(eigenvalues).sum() - exact) <= error_bound(eigenvalues)
    assert nuclear_norm(*factors, within=0.0) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("shapes", [((0, 5), (3, 5)), ((3, 200), (170, 200)), ((160, 160), (160, 160))])
def test_any_factors(shapes, singular_values):
    rng = np.random.default_rng(3)
    first, second = (rng.standard_normal(shape) for shape in shapes)
    expected = np.linalg.norm(first @ second.T, "nuc") if first.size else 0.0
    assert nuclear_norm(first, second, within=np.inf) == pytest.approx(expected, rel=1e-13)
    assert len(singular_values) == bool(first.size)  # full matrices are not triangular


def test_a_singular_factor_is_no_division_by_zero(singular_values):
    first = np.triu(np.random.default_rng(4).standard_normal((D, D)))
    first[5, 5] = 0
    assert nuclear_norm(first, np.eye(D), within=np.inf) == pytest.approx(np.linalg.norm(first, "nuc"), rel=1e-13)
    assert len(singular_values) == 1
