"""Codes on a plane, tested with points of known geometry."""

import numpy as np
import pytest

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics.embedding import PERPLEXITY, pca, perplexity, tsne


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def rotation(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def clusters(rng, n, d=8, apart=50.0):
    """Return two clusters of n points each, far apart."""
    centre = np.zeros(d)
    centre[0] = apart
    return np.concatenate([rng.standard_normal((n, d)), centre + rng.standard_normal((n, d))])


def test_pca_finds_the_plane_of_the_points(rng):
    """Points on a rotated and shifted plane keep all distances, and the two axes hold all the variance."""
    flat = rng.standard_normal((40, 2)) * [5, 2]
    turn, shift = rotation(rng, 6)[:2], rng.standard_normal(6)
    x, y, share = pca(flat @ turn + shift, flat[:7] @ turn + shift)
    between = lambda points: np.linalg.norm(points[:, None] - points, axis=2)  # noqa: E731
    np.testing.assert_allclose(between(x), between(flat), atol=1e-12)
    np.testing.assert_allclose(y, x[:7], atol=1e-12)
    np.testing.assert_allclose(share, np.linalg.eigvalsh(np.cov(flat.T))[::-1] / np.cov(flat.T).trace(), rtol=1e-12)


def test_pca_depends_only_on_the_real_codes(rng):
    """Generated codes far away along another axis do not turn the plane; its origin is the mean of the real codes."""
    x = rng.standard_normal((200, 5)) * [9, 4, 1, 1, 0]
    away = np.array([0, 0, 0, 0, 1e6])
    plane, near, _ = pca(x, x[:3])
    np.testing.assert_allclose(pca(x, x[:3] + away)[1], near, atol=1e-6)
    np.testing.assert_allclose(near, plane[:3], atol=1e-12)
    np.testing.assert_allclose(plane.mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("x", [np.arange(5.0)[:, None], np.ones((4, 3))])
def test_points_on_a_line_get_second_coordinate_zero(x):
    for plane in (pca(x, x)[0], tsne(x, x, 0)[0]):
        assert plane.shape == (len(x), 2)
        assert np.isfinite(plane).all()
    assert (pca(x, x)[0][:, 1] == 0).all()
    assert pca(x, x)[2].sum() == pytest.approx(float(x.std() > 0))


def test_tsne_keeps_clusters_apart_in_both_sets(rng):
    """Neighbours stay neighbours: t-SNE does not know which codes are real and which generated."""
    x, y = clusters(rng, 40), clusters(rng, 20)
    a, b = tsne(x, y, 0)
    first, second = np.concatenate([a[:40], b[:20]]), np.concatenate([a[40:], b[20:]])
    inside = max(np.linalg.norm(part - part.mean(0), axis=1).mean() for part in (first, second))
    assert np.linalg.norm(first.mean(0) - second.mean(0)) > 2 * inside


def test_tsne_depends_only_on_its_seed(rng):
    x, y = clusters(rng, 12), clusters(rng, 6)
    for first, again in zip(tsne(x, y, 3), tsne(x, y, 3), strict=True):
        np.testing.assert_array_equal(first, again)


def test_perplexity_of_few_points():
    assert perplexity(2000) == PERPLEXITY
    assert all(0 < perplexity(n) < n for n in (3, 4, 50, 91, 92))


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (np.ones((3, 2)), np.ones((3, 4)), UsageError),
        (np.ones((1, 2)), np.ones((3, 2)), UsageError),
        (np.ones((3, 2)), np.ones((0, 2)), UsageError),
        (np.full((3, 2), np.nan), np.ones((3, 2)), DivergedError),
    ],
)
def test_bad_codes_are_named(x, y, error):
    for embed in (pca, lambda x, y: tsne(x, y, 0)):
        with pytest.raises(error):
            embed(x, y)
