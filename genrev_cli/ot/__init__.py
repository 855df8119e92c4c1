"""Optimal transport: exact between two sets of points, semi-discrete from the cube to a set of codes, and its extension between them."""
