"""The numbers that end the pivots of `simplex`, on the CPU and in its kernel."""

PIVOTS_PER_CELL = 3
LEAST_REDUCED_COST, LEAST_PIVOT = 1e-11, 1e-12
"""Below these a reduced cost, or a pivot, counts as 0. Entries of the tableaus are about 1."""
