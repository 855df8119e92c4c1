"""Search over the settings of training commands: the space, its trials, and what they found.

Only `study`, `pruning` and `outcome` import Optuna, and nothing imports these before a search runs.
"""
