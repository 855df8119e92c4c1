import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genrev_cli.errors import DivergedError, FileError, UsageError
from genrev_cli.metrics.frechet import BLOCK_ROWS, TOLERANCE, Moments, Statistics, frechet_distance

D = 24


def of_features(features, batch=10**9):
    moments = Moments(features.shape[1])
    for start in range(0, len(features), batch):
        moments.add(features[start : start + batch])
    return moments.statistics()


def of_sigma(sigma, mu=None):
    sigma = np.atleast_2d(np.asarray(sigma, np.float64))
    return Statistics(None, np.zeros(len(sigma)) if mu is None else np.asarray(mu, np.float64), sigma=sigma)


def rotation(d, rng):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def covariance(d, rng, rank=None):
    a = rng.standard_normal((d, rank or 2 * d))
    return a @ a.T


def positive(d, rng):
    q = rotation(d, rng)
    t = q * rng.uniform(0.5, 2, d) @ q.T
    return (t + t.T) / 2


def size(a, b):
    return np.square(a.mu - b.mu).sum() + np.trace(a.covariance) + np.trace(b.covariance)


# Each function returns two statistics and their exact distance.


def identical(rng, rank=None, scale=1.0):
    s = of_sigma(scale * covariance(D, rng, rank), rng.standard_normal(D))
    return s, s, 0.0


def diracs(rng):
    m, zero = rng.standard_normal((2, D)), np.zeros((D, D))
    return of_sigma(zero, m[0]), of_sigma(zero, m[1]), np.square(m[0] - m[1]).sum()


def translation(rng):
    m, s = rng.standard_normal((2, D)), covariance(D, rng)
    return of_sigma(s, m[0]), of_sigma(s, m[1]), np.square(m[0] - m[1]).sum()


def isotropic(rng):
    return of_sigma(9 * np.eye(D)), of_sigma(4 * np.eye(D)), D * (3.0 - 2.0) ** 2


def one_dimensional(rng):
    return of_sigma(1.7**2, [0.3]), of_sigma(0.4**2, [-1.1]), 1.4**2 + 1.3**2


def commuting(rng):
    q, m = rotation(D, rng), rng.standard_normal((2, D))
    a, b = rng.uniform(0, 3, (2, D))
    a[: D // 3] = b[D // 4 : D // 2] = 0
    truth = np.square(m[0] - m[1]).sum() + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    return of_sigma(q * a @ q.T, m[0]), of_sigma(q * b @ q.T, m[1]), truth


def scaled(rng, c=2.5):
    m, s = rng.standard_normal(D), covariance(D, rng)
    return of_sigma(s, m), of_sigma(c**2 * s, c * m), (1 - c) ** 2 * (m @ m + np.trace(s))


def transported(rng, rank=None, scale=1.0):
    t, s, m = positive(D, rng), scale * covariance(D, rng, rank), math.sqrt(scale) * rng.standard_normal((2, D))
    shift = t - np.eye(D)
    second = t @ s @ t
    truth = np.square(m[0] - m[1]).sum() + np.trace(shift @ s @ shift)
    return of_sigma(s, m[0]), of_sigma((second + second.T) / 2, m[1]), truth


def transported_samples(rng, n=D // 2):
    x, t = rng.standard_normal((n, D)), positive(D, rng)
    y = x @ t + rng.standard_normal(D)
    difference = (x - x.mean(0)) - (y - y.mean(0))
    truth = np.square(x.mean(0) - y.mean(0)).sum() + np.square(difference).sum() / (n - 1)
    return of_features(x), of_features(y), truth


def two_by_two(rng):
    a, b = covariance(2, rng), covariance(2, rng)
    root = math.sqrt(np.trace(a @ b) + 2 * math.sqrt(np.linalg.det(a) * np.linalg.det(b)))
    return of_sigma(a), of_sigma(b), np.trace(a) + np.trace(b) - 2 * root


def rank_one_pair(rng):
    u, w = rng.standard_normal((2, D))
    return of_sigma(np.outer(u, u)), of_sigma(np.outer(w, w)), u @ u + w @ w - 2 * abs(u @ w)


def orthogonal_supports(rng):
    q = rotation(D, rng)
    a, b = q[:, : D // 2], q[:, D // 2 :]
    return of_sigma(a @ a.T), of_sigma(b @ b.T), float(D)


def dirac_and_gaussian(rng):
    m, s = rng.standard_normal((2, D)), covariance(D, rng)
    return of_sigma(np.zeros((D, D)), m[0]), of_sigma(s, m[1]), np.square(m[0] - m[1]).sum() + np.trace(s)


def rank_one_and_full(rng):
    u, s = rng.standard_normal(D), covariance(D, rng)
    return of_sigma(np.outer(u, u)), of_sigma(s), u @ u + np.trace(s) - 2 * math.sqrt(u @ s @ u)


def exchanged(rng):
    return of_sigma(np.diag([4.0, 9.0])), of_sigma(np.diag([9.0, 4.0])), 2.0


CLOSED_FORMS = {
    "1 identical": identical,
    "2 identical, singular": lambda rng: identical(rng, rank=5),
    "3 Diracs": diracs,
    "4 translation": translation,
    "5 isotropic": isotropic,
    "6 one dimension": one_dimensional,
    "7 commuting, with zeros": commuting,
    "8 scaled": scaled,
    "9 optimal map": transported,
    "10 optimal map, singular": lambda rng: transported(rng, rank=5),
    "10b optimal map of samples, n < d": transported_samples,
    "10c optimal map of samples, n > d": lambda rng: transported_samples(rng, n=5 * D),
    "11 two by two": two_by_two,
    "12 rank one": rank_one_pair,
    "13 orthogonal supports": orthogonal_supports,
    "14 Dirac and Gaussian": dirac_and_gaussian,
    "15 rank one and full": rank_one_and_full,
    "16 exchanged axes": exchanged,
    "17 scale 1e6": lambda rng: transported(rng, scale=1e12),
    "18 scale 1e-6": lambda rng: transported(rng, scale=1e-12),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_forms(name):
    a, b, truth = CLOSED_FORMS[name](np.random.default_rng(len(name)))
    assert abs(frechet_distance(a, b) - truth) <= TOLERANCE * size(a, b)
    assert abs(frechet_distance(b, a) - truth) <= TOLERANCE * size(a, b)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(2, 30), st.integers(2, 30), st.integers(0, 2**32 - 1))
@example(5, 5, 23, 20)  # a rotation makes the covariance's one zero eigenvalue a pivot of three ε
def test_properties_at_any_rank(d, n1, n2, seed):
    rng = np.random.default_rng(seed)
    x, y, z = (rng.standard_normal((n, d)) * rng.uniform(0, 2, d) + rng.standard_normal(d) for n in (n1, n2, n1 + n2))
    a, b, c = of_features(x), of_features(y), of_features(z)
    bound = 4 * TOLERANCE * (size(a, b) + size(b, c) + size(a, c))
    ab, bc, ac = frechet_distance(a, b), frechet_distance(b, c), frechet_distance(a, c)
    assert frechet_distance(a, a) <= bound
    assert abs(ab - frechet_distance(b, a)) <= bound
    assert math.sqrt(ac) <= math.sqrt(ab) + math.sqrt(bc) + math.sqrt(bound)
    spectrum_a, spectrum_b = (np.sqrt(np.linalg.eigvalsh(s.covariance).clip(0)) for s in (a, b))
    assert ab >= np.square(a.mu - b.mu).sum() + np.square(spectrum_a - spectrum_b).sum() - 1e-7 * size(a, b)
    q = rotation(d, rng)
    assert abs(ab - frechet_distance(of_features(x @ q), of_features(y @ q))) <= bound


def test_blocks_add_up():
    rng = np.random.default_rng(3)
    s = [[covariance(d, rng) for d in (3, 5)] for _ in range(2)]
    joined = [np.block([[p, np.zeros((3, 5))], [np.zeros((5, 3)), q]]) for p, q in s]
    parts = sum(frechet_distance(of_sigma(a), of_sigma(b)) for a, b in zip(*s, strict=True))
    assert frechet_distance(*map(of_sigma, joined)) == pytest.approx(parts, rel=1e-12)


@pytest.mark.parametrize("n", [2, D - 1, D, D + 1, 300, BLOCK_ROWS, 2 * BLOCK_ROWS + 5])
def test_moments_are_mean_and_covariance(n):
    features = np.random.default_rng(n).standard_normal((n, D)) + 1e3  # a mean so large that cancellation would show
    s = of_features(features)
    np.testing.assert_allclose(s.mu, features.mean(0), rtol=1e-14)
    np.testing.assert_allclose(s.covariance, np.cov(features, rowvar=False), rtol=1e-12, atol=1e-13)
    assert (s.n, s.dims) == (n, D)
    assert (s.rows is not None) == (n < D)  # the low-rank path


@pytest.mark.parametrize(("n", "d"), [(20, 24), (700, 24), (2500, 24), (1500, 1300), (1200, 1300)])
def test_statistics_do_not_depend_on_the_batches(n, d):
    features = np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)
    whole = of_features(features)
    for batch in (n // 2 + 1, 37, 1000):
        s = of_features(features, batch)
        np.testing.assert_array_equal(s.mu, whole.mu)
        np.testing.assert_array_equal(s.covariance, whole.covariance)


def test_statistics_can_be_read_between_batches():
    features, moments = np.random.default_rng(0).standard_normal((2300, 30)), Moments(30)
    for start in range(0, 2300, 100):
        moments.add(torch.from_numpy(features[start : start + 100]))
        moments.statistics()
    np.testing.assert_array_equal(moments.statistics().covariance, of_features(features).covariance)


@pytest.mark.parametrize(("n1", "n2"), [(10, 15), (10, 200), (150, 200)])
def test_features_and_covariances_give_the_same_distance(n1, n2):
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((n1, D)), rng.standard_normal((n2, D)) * 2 + 1
    a, b = of_features(x), of_features(y)
    matrices = [Statistics(s.n, s.mu, sigma=s.covariance) for s in (a, b)]
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(*matrices), rel=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_parity_with_pytorch_fid():
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    rng = np.random.default_rng(2)
    a, b = (of_features(rng.standard_normal((100, 12)) @ rng.standard_normal((12, 12))) for _ in range(2))
    try:
        theirs = fid_score.calculate_frechet_distance(a.mu, a.sigma, b.mu, b.sigma)
    except TypeError:
        pytest.skip("this pytorch-fid does not run on this SciPy")
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_not_finite_is_named(bad):
    features = np.zeros((5, 3))
    features[3, 1] = bad
    moments = Moments(3)
    moments.add(np.zeros((10, 3)))
    with pytest.raises(DivergedError, match="sample 13 has NaN or infinite"):
        moments.add(features)
    assert moments.n == 10
    with pytest.raises(DivergedError, match="NaN or infinite"):
        of_sigma(np.diag([1, bad]))


def test_overflow_is_an_error():
    huge = of_features(np.array([[1e200], [-1e200]]).repeat(3, 1))
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(DivergedError):
        frechet_distance(huge, of_features(np.eye(3)))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_samples(n):
    with pytest.raises(UsageError, match="at least 2"):
        of_features(np.zeros((n, 3)))
    with pytest.raises(UsageError, match="at least 2"):
        Statistics(n, np.zeros(3), sigma=np.eye(3))


def test_dims_must_agree():
    with pytest.raises(UsageError, match="3 and 4 dimensions"):
        frechet_distance(of_sigma(np.eye(3)), of_sigma(np.eye(4)))
    with pytest.raises(UsageError, match="3 and 4 dimensions"):
        Moments(3).add(np.zeros((2, 4)))
    with pytest.raises(UsageError, match="one row per sample"):
        Moments(3).add(np.zeros((2, 3, 1, 1)))
    with pytest.raises(UsageError, match="do not fit together"):
        Statistics(9, np.zeros(3), sigma=np.eye(4))
    with pytest.raises(UsageError, match="exactly one of sigma and rows"):
        Statistics(9, np.zeros(3))


@pytest.mark.parametrize("matrix", [np.diag([1.0, -0.1]), [[0, 1], [1, 0]], [[1, 0.5], [0.2, 1]], -np.eye(2)])
def test_not_a_covariance(matrix):
    with pytest.raises(FileError, match="not a covariance"):
        frechet_distance(of_sigma(matrix), of_sigma(np.eye(2)))
