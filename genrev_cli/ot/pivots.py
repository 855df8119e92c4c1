"""Limits of the pivots of `simplex`, on the CPU and in the kernel."""

PIVOTS_PER_CELL = 3
LEAST_REDUCED_COST, LEAST_PIVOT = 1e-11, 1e-12
"""A smaller reduced cost, or pivot, counts as 0. Entries of the tableaus are about 1."""
