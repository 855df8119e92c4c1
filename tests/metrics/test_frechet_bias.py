"""The bias of a Fréchet distance due to small n, against closed forms and against distances of Gaussian samples."""

import math

import numpy as np
import pytest

from genrev_cli.errors import UsageError
from genrev_cli.metrics.frechet import Moments, Statistics, bias_floor, frechet_distance

D = 48
SPECTRA = {"flat": np.ones(D), "geometric": np.geomspace(1, 1e-3, D), "power law": np.arange(1, D + 1) ** -1.5}


def of_spectrum(eigenvalues):
    return Statistics(None, np.zeros(len(eigenvalues)), sigma=np.diag(eigenvalues))


def of_samples(n, eigenvalues, rng):
    if math.isinf(n):
        return of_spectrum(eigenvalues)
    moments = Moments(len(eigenvalues))
    moments.add(rng.standard_normal((n, len(eigenvalues))) * np.sqrt(eigenvalues))
    return moments.statistics()


def simulated(eigenvalues, n1, n2, repeats):
    """Return the mean distance of Gaussian samples and its standard error."""
    rng = np.random.default_rng(1)
    values = [frechet_distance(of_samples(n1, eigenvalues, rng), of_samples(n2, eigenvalues, rng)) for _ in range(repeats)]
    return np.mean(values), np.std(values) / math.sqrt(repeats)


def rank(eigenvalues):
    return np.sqrt(eigenvalues).sum() ** 2 / eigenvalues.sum()


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize(("n1", "n2"), [(3, 3), (10, 10), (D, D), (10, 400), (10, math.inf), (D, math.inf)])
def test_small_samples(name, n1, n2):
    """In many of these cases the first-order formula is wrong by a factor of several."""
    mean, error = simulated(SPECTRA[name], n1, n2, 100)
    assert bias_floor(of_spectrum(SPECTRA[name]), n1, n2) == pytest.approx(mean, abs=3 * error + 0.06 * mean)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("ratio", [4.9, 5.1])
@pytest.mark.parametrize("larger", [1, math.inf])
def test_just_above_and_below_the_limit_of_the_first_order_formula(name, ratio, larger):
    n = round(ratio * rank(SPECTRA[name]))
    mean, error = simulated(SPECTRA[name], n, n * larger, 100)
    assert bias_floor(of_spectrum(SPECTRA[name]), n, n * larger) == pytest.approx(mean, abs=3 * error + 0.06 * mean)


@pytest.mark.parametrize(("n1", "n2", "spectrum"), [(400, 400, np.ones(8)), (300, 900, np.ones(8)), (400, 700, np.geomspace(1, 1e-3, 8))])
def test_large_samples(n1, n2, spectrum):
    mean, error = simulated(spectrum, n1, n2, 400)
    law = bias_floor(of_spectrum(spectrum), n1, n2)
    assert mean == pytest.approx(law, abs=4 * error + 0.02 * law)


def test_large_samples_of_the_isotropic_gaussian():
    d, n = 16, 2000
    assert bias_floor(of_spectrum(np.ones(d)), n, n) == pytest.approx(2 * d / n + d * (d + 1) / (2 * n), rel=1e-3)
    assert bias_floor(of_spectrum(np.ones(d)), n, math.inf) == pytest.approx(d / n + d * (d + 1) / (4 * n), rel=1e-3)


@pytest.mark.parametrize("d", [1, 16, 512])
def test_two_samples_of_the_isotropic_gaussian(d):
    """Their covariance is z zᵀ with z ~ N(0, I): E[FD] to I is d/2 + E(|z|² + d − 2|z|), with χ's mean E|z| = √2 Γ((d+1)/2) / Γ(d/2)."""
    norm = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    assert bias_floor(of_spectrum(np.ones(d)), 2, math.inf) == pytest.approx(2.5 * d - 2 * norm, rel=0.1)


@pytest.mark.parametrize("n", [5, 5000])
def test_only_the_spectrum_matters(n):
    rng, eigenvalues = np.random.default_rng(0), SPECTRA["geometric"]
    q, plain = np.linalg.qr(rng.standard_normal((D, D)))[0], bias_floor(of_spectrum(eigenvalues), n, n)
    turned = q * eigenvalues @ q.T
    assert bias_floor(Statistics(None, np.ones(D), sigma=turned), n, n) == pytest.approx(plain, rel=1e-9)
    assert bias_floor(of_spectrum(1e6 * eigenvalues), n, n) == pytest.approx(1e6 * plain, rel=1e-9)
    assert bias_floor(of_spectrum(np.append(eigenvalues, np.zeros(7))), n, n) == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("n", [5, 500])
def test_rows_and_their_covariance_have_the_same_bias(n):
    """Rounding fills the null space of the covariance matrix; these directions must not count."""
    few = of_samples(20, SPECTRA["flat"], np.random.default_rng(0))
    assert few.rows is not None
    assert bias_floor(few, n, n) == pytest.approx(bias_floor(Statistics(20, few.mu, sigma=few.covariance), n, n), rel=1e-9)


@pytest.mark.parametrize("n", [2, 100, math.inf])
def test_no_bias_without_variance_or_with_infinite_n(n):
    assert bias_floor(of_spectrum(np.zeros(D)), n, n) == 0
    assert bias_floor(of_spectrum(np.ones(D)), math.inf, math.inf) == 0


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_samples(n):
    with pytest.raises(UsageError, match="at least 2"):
        bias_floor(of_spectrum(np.ones(2)), n, 100)
