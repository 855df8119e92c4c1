"""How well simple classifiers learn classes from a few labelled codes."""

import warnings

import numpy as np

from genrev_cli.memory import require_room_for_algebra

Labels = np.ndarray
"""(n,) int64, from 0."""


def draw_labelled(labels: Labels, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` places, (count,), drawn at random, with as equal numbers of each class as there are: (n,) → (count,).

    Raises ValueError if there are fewer labels.
    """
    if count > len(labels):
        raise ValueError(f"{count} of {len(labels)} labels")
    order = rng.permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    return order[np.argsort(turn[order], kind="stable")][:count]  # first one of each class, then a second one, …


def chance(labels: Labels) -> float:
    """Return the accuracy of always naming the most frequent class."""
    return float(np.bincount(labels).max() / len(labels))


def knn_accuracy(codes: np.ndarray, labels: Labels, test: np.ndarray, test_labels: Labels, *, k: int) -> float:
    """Return the accuracy of k-nearest neighbours in Euclidean distance: learn from (n, d), (n,), measure on (m, d), (m,).

    k = 1 is used while there are fewer than k labels for each class on average.
    """
    from sklearn.neighbors import KNeighborsClassifier

    require_room_for_algebra()
    enough = len(labels) >= k * len(np.unique(labels))
    model = KNeighborsClassifier(k if enough else 1, algorithm="brute").fit(codes, labels)
    return float((model.predict(test) == test_labels).mean())


def linear_accuracy(
    codes: np.ndarray, labels: Labels, test: np.ndarray, test_labels: Labels, *, l2: float, mean: np.ndarray, std: np.ndarray
) -> float:
    """Return the accuracy of multinomial logistic regression, learnt from (n, d), (n,) and measured on (m, d), (m,).

    mean, std: (d,) of codes, with or without labels; the classifier gets (x − mean)/std. l2: λ in Σ loss + λ/2 |w|².
    """
    if len(np.unique(labels)) < 2:
        return float((test_labels == labels[0]).mean())
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    require_room_for_algebra()
    std = np.where(std > 0, std, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # an accuracy does not depend on the last digits of the weights
        model = LogisticRegression(C=1 / l2, max_iter=300).fit((codes - mean) / std, labels)
    return float((model.predict((test - mean) / std) == test_labels).mean())
