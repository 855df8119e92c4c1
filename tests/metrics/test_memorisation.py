import numpy as np
import pytest
import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics import memorisation
from genrev_cli.metrics.memorisation import authentic, nearest


def points(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d))


def dgm_eval(train, samples):
    """compute_authpct of dgm-eval at commit 74c79f7, in float64 and as an array."""
    train, samples = torch.from_numpy(train), torch.from_numpy(samples)
    real = torch.cdist(train, train, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(float("inf"))
    made = torch.cdist(train, samples, compute_mode="donot_use_mm_for_euclid_dist").min(dim=0)
    return (real.min(dim=0).values[made.indices] < made.values).numpy()


def test_copies_are_not_authentic():
    train = points(60, 5, 0)
    assert not authentic(train, train).any()
    assert not authentic(train, train[[3, 3, 9]] + 1e-9).any()
    twice = np.concatenate([train, train])  # the nearest other image is at distance 0, and so is a copy
    assert not authentic(twice, train).any()


def test_far_samples_are_authentic():
    train = points(60, 5, 0)
    assert authentic(train, train + 100).all()
    assert authentic(train, 50 * points(20, 5, 1) + 500).all()


def test_by_hand():
    """Training images at 0, 1, 5, 9 have their nearest others at 1, 1, 4, 4. A sample at just this distance is not authentic."""
    train = np.array([0.0, 1, 5, 9])[:, None]
    samples = np.array([-0.5, -1, -1.5, 2.9, 3.1, 8, 13, 13.5])[:, None]
    #  nearest:  0 at 0.5, 0 at 1, 0 at 1.5, 1 at 1.9, 5 at 1.9, 9 at 1, 9 at 4, 9 at 4.5
    assert authentic(train, samples).tolist() == [False, False, True, True, False, False, False, True]


@pytest.mark.parametrize(("n", "m", "d"), [(40, 30, 3), (17, 50, 8)])
def test_dgm_eval(n, m, d):
    train, samples = points(n, d, 0), 0.9 * points(m, d, 1)
    assert authentic(train, samples).tolist() == dgm_eval(train, samples).tolist()


def test_fresh_samples_of_a_gaussian_are_between_copies_and_far_ones():
    share = authentic(points(2000, 4, 0), points(2000, 4, 1)).mean()
    assert 0.4 < share < 0.6


@pytest.mark.parametrize(("block", "entries"), [(1, 1), (7, 20), (4096, 1 << 22)])
@pytest.mark.parametrize("k", [1, 3])
def test_nearest_against_brute_force(monkeypatch, block, entries, k):
    monkeypatch.setattr(memorisation, "_BLOCK", block)
    monkeypatch.setattr(memorisation, "_CHUNK_ENTRIES", entries)
    x, among = points(11, 4, 0) + 30, points(23, 4, 1) + 30
    every = np.linalg.norm(x[:, None] - among, axis=2)
    places, distances = nearest(x, among, k)
    assert (places == np.argsort(every, axis=1)[:, :k]).all()
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :k], rtol=1e-14)
    own = np.arange(23)
    places, distances = nearest(among, among, k, leave_out=own)
    apart = np.linalg.norm(among[:, None] - among, axis=2)
    apart[own, own] = np.inf
    assert (places == np.argsort(apart, axis=1)[:, :k]).all()
    np.testing.assert_allclose(distances, np.sort(apart, axis=1)[:, :k], rtol=1e-14)


def test_copies_are_at_distance_zero_far_from_the_origin():
    train = (points(50, 600, 0) + 1e4).astype(np.float32)
    places, distances = nearest(train[[4, 40]], train)
    assert places[:, 0].tolist() == [4, 40]
    assert (distances == 0).all()


def test_progress_reaches_its_end(monkeypatch):
    monkeypatch.setattr(memorisation, "_BLOCK", 7)
    steps = []
    authentic(points(40, 3, 0), points(9, 3, 1), advance=steps.append)
    assert (sum(steps), max(steps)) == (80, 7)


def test_bad_sets():
    train = points(5, 3, 0)
    with pytest.raises(UsageError, match="AuthPct: 1 training images; at least 2"):
        authentic(train[:1], train)
    with pytest.raises(UsageError, match="0 points"):
        authentic(train, train[:0])
    with pytest.raises(UsageError, match="6 of 5"):
        nearest(train, train, 6)
    with pytest.raises(UsageError, match="5 of 4"):
        nearest(train, train, 5, leave_out=np.arange(5))
    with pytest.raises(UsageError, match="2 and 3 dimensions"):
        nearest(train[:, :2], train)
    with pytest.raises(DivergedError, match="sample 3 has NaN"):
        nearest(train, np.where(np.arange(5)[:, None] == 3, np.nan, train))
