"""Measurements against other tools: both sides in one process, alternating; ratios, with how far the results are apart."""
