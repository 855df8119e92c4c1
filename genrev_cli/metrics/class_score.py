"""The Inception score, for any classifier that is linear in its features."""

import numpy as np
import torch

from genrev_cli.errors import UsageError
from genrev_cli.metrics.arrays import Rows, as_rows, require_same_dims
from genrev_cli.metrics.features import ClassLayer

SPLITS = 10


def class_score(features: Rows, layer: ClassLayer, *, seed: int, splits: int = SPLITS) -> tuple[float, float]:
    """IS = exp E_x KL( p(c|x) ‖ E_x p(c|x) )   (Salimans et al. 2016, section 4): mean over `splits` parts and its standard deviation.

    features: (n, d). p = softmax(layer). The images are shuffled and divided as in torch-fidelity, with the same result for the same seed.
    It is 1 if all images get the same probabilities, and at most the number of classes. It depends on the number of images.

    Raises UsageError for fewer images than parts or other features than the layer's, DivergedError for NaN.
    """
    rows = as_rows(features)
    require_same_dims(rows.shape[1], layer.weight.shape[1])
    n = len(rows)
    if not 1 <= splits <= n:
        raise UsageError(f"Inception score: {n} images cannot be divided into {splits} parts; give more images")
    shuffled = torch.from_numpy(rows[np.random.RandomState(seed).permutation(n)])
    scores = []
    for i in range(splits):
        part = shuffled[i * n // splits : (i + 1) * n // splits]
        log_p = torch.nn.functional.linear(part, layer.weight, layer.bias).log_softmax(dim=1)
        mean = log_p.logsumexp(0) - np.log(len(part))  # log E_x p(c|x)
        scores.append((log_p.exp() * (log_p - mean)).sum(1).mean().exp().item())
    return float(np.mean(scores)), float(np.std(scores))
