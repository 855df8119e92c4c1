import numpy as np
import pytest
import torch

from genrev_cli.errors import DivergedError, UsageError
from genrev_cli.metrics.class_score import class_score
from genrev_cli.metrics.features import ClassLayer


def layer(classes, scale=1.0):
    return ClassLayer("IS", scale * torch.eye(classes, dtype=torch.float64))


def torch_fidelity(logits, splits, seed):
    """isc_features_to_metric of torch_fidelity/metric_isc.py at commit 5e211a9."""
    n = len(logits)
    feature = torch.from_numpy(logits)[np.random.RandomState(seed).permutation(n), :].double()
    p, log_p = feature.softmax(dim=1), feature.log_softmax(dim=1)
    scores = []
    for i in range(splits):
        chunk = slice(i * n // splits, (i + 1) * n // splits)
        kl = p[chunk] * (log_p[chunk] - p[chunk].mean(dim=0, keepdim=True).log())
        scores.append(kl.sum(dim=1).mean().exp().item())
    return float(np.mean(scores)), float(np.std(scores))


def test_equal_images_have_score_1():
    assert class_score(np.tile([[3.0, -1, 0.5]], (40, 1)), layer(3), seed=0) == (pytest.approx(1, abs=1e-12), pytest.approx(0, abs=1e-12))


@pytest.mark.parametrize("classes", [2, 7])
def test_certain_and_balanced_images_have_the_number_of_classes(classes):
    one_hot = np.eye(classes)[np.arange(10 * classes) % classes]
    value, _ = class_score(one_hot, layer(classes, 1e4), seed=0, splits=1)
    assert value == pytest.approx(classes, rel=1e-12)


def test_two_probabilities():
    """Half of the images have p = (a, 1 − a), half (1 − a, a): log IS = log 2 + a log a + (1 − a) log (1 − a)."""
    a = 0.9
    logits = np.log([[a, 1 - a], [1 - a, a]]).repeat(20, axis=0)
    value, spread = class_score(logits, layer(2), seed=0, splits=1)
    assert np.log(value) == pytest.approx(np.log(2) + a * np.log(a) + (1 - a) * np.log(1 - a), rel=1e-12)
    assert spread == 0


@pytest.mark.parametrize(("seed", "n", "splits"), [(2020, 101, 10), (0, 30, 3)])
def test_torch_fidelity_with_the_same_seed(seed, n, splits):
    rng = np.random.default_rng(0)
    features, weight = rng.standard_normal((n, 12)), rng.standard_normal((20, 12))
    found = class_score(features, ClassLayer("IS", torch.from_numpy(weight)), seed=seed, splits=splits)
    assert found == pytest.approx(torch_fidelity(features @ weight.T, splits, seed), rel=1e-12)


def test_a_bias_moves_the_logits():
    features, bias = np.zeros((10, 2)), torch.tensor([0.0, 5.0]).double()
    features[::2, 0] = 5
    with_bias = class_score(features, ClassLayer("CS", torch.eye(2).double(), bias), seed=0, splits=1)
    assert with_bias == class_score(features + bias.numpy(), layer(2), seed=0, splits=1)


def test_bad_features():
    with pytest.raises(UsageError, match="9 images cannot be divided into 10 parts"):
        class_score(np.zeros((9, 3)), layer(3), seed=0)
    with pytest.raises(UsageError, match="4 and 3 dimensions"):
        class_score(np.zeros((20, 4)), layer(3), seed=0)
    with pytest.raises(DivergedError, match="NaN"):
        class_score(np.full((20, 3), np.nan), layer(3), seed=0)
