"""The random split of images that come without one."""

import numpy as np

from genrev_cli.data.folder import random_split
from genrev_cli.settings.prepare import PrepareConfig


def drawn_split(n: int, config: PrepareConfig) -> tuple[np.ndarray, str, int]:
    """Return the split of n images (n,) uint8, its rule in words, and its seed."""
    rule = f"random: {config.val_fraction:g} val, {config.test_fraction:g} test, seed {config.split_seed}"
    return random_split(n, config.val_fraction, config.test_fraction, config.split_seed), rule, config.split_seed
