"""The random split of images that come without one."""

import numpy as np

from genrev_cli.data.source import TEST, TRAIN, VAL
from genrev_cli.settings.prepare import PrepareConfig


def random_split(n: int, val_fraction: float, test_fraction: float, seed: int) -> np.ndarray:
    """Return a split (n,) uint8 with round(n · fraction) images for val and test, drawn without replacement by NumPy's PCG64."""
    order = np.random.default_rng(seed).permutation(n)
    n_val, n_test = round(n * val_fraction), round(n * test_fraction)
    split = np.full(n, TRAIN, np.uint8)
    split[order[:n_test]] = TEST
    split[order[n_test : n_test + n_val]] = VAL
    return split


def drawn_split(n: int, config: PrepareConfig) -> tuple[np.ndarray, str, int]:
    """Return the split of n images (n,) uint8, its rule in words, and its seed."""
    rule = f"random: {config.val_fraction:g} val, {config.test_fraction:g} test, seed {config.split_seed}"
    return random_split(n, config.val_fraction, config.test_fraction, config.split_seed), rule, config.split_seed
