"""Optimal transport: exact between two sets of points, semi-discrete from the cube to codes, and its extension between codes."""
