"""Classifiers on codes whose classes are known."""

import math

import numpy as np
import pytest

from genrev_cli.metrics.probing import chance, draw_labelled, knn_accuracy, linear_accuracy


def two_gaussians(n, seed, distance=2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    codes = rng.normal(size=(n, 3))
    codes[:, 0] += distance * (labels - 0.5)
    return codes, labels


def test_the_linear_classifier_reaches_the_best_accuracy_that_there_is():
    """Φ(distance / 2) for two Gaussians of variance 1."""
    (codes, labels), (test, test_labels) = two_gaussians(4000, 0), two_gaussians(20_000, 1)
    scale = {"mean": codes.mean(0), "std": codes.std(0)}
    best = (1 + math.erf(1 / math.sqrt(2))) / 2
    assert linear_accuracy(codes, labels, test, test_labels, l2=1.0, **scale) == pytest.approx(best, abs=0.01)
    few = linear_accuracy(codes[:6], labels[:6], test, test_labels, l2=1.0, **scale)
    assert 0.5 < few < best


def test_the_nearest_neighbour_has_at_most_twice_the_smallest_error():
    """Cover & Hart 1967: R ≤ R₁ ≤ 2 R (1 − R) for many labels."""
    (codes, labels), (test, test_labels) = two_gaussians(4000, 0), two_gaussians(4000, 1)
    smallest = 1 - (1 + math.erf(1 / math.sqrt(2))) / 2
    error = 1 - knn_accuracy(codes, labels, test, test_labels, k=1)
    assert smallest - 0.02 < error < 2 * smallest * (1 - smallest) + 0.02
    assert 1 - knn_accuracy(codes, labels, test, test_labels, k=25) < error


def test_one_neighbour_decides_while_labels_are_few():
    codes, labels = np.array([[0.0], [1.0], [9.0]]), np.array([0, 1, 1])
    assert knn_accuracy(codes, labels, np.array([[0.2]]), np.array([0]), k=3) == 1  # three would outvote it


def test_a_single_class_is_what_is_always_named():
    codes = np.zeros((3, 2))
    assert linear_accuracy(codes, np.array([4, 4, 4]), np.zeros((4, 2)), np.array([4, 0, 4, 4]), l2=1, mean=0.0, std=1.0) == 0.75


def test_draws_are_balanced_as_far_as_there_are_labels():
    labels = np.repeat([0, 1, 2], [50, 20, 3])
    for count, wanted in ((3, [1, 1, 1]), (9, [3, 3, 3]), (13, [5, 5, 3]), (73, [50, 20, 3])):
        rows = draw_labelled(labels, count, np.random.default_rng(count))
        assert len(set(rows.tolist())) == count
        assert np.bincount(labels[rows]).tolist() == wanted
    some, others = (draw_labelled(labels, 9, np.random.default_rng(seed)) for seed in (0, 1))
    assert set(some.tolist()) != set(others.tolist())
    with pytest.raises(ValueError, match="74 of 73"):
        draw_labelled(labels, 74, np.random.default_rng(0))


def test_chance():
    assert chance(np.array([0, 0, 0, 2])) == 0.75
