"""Distances between sets of images, features or codes, and errors of reconstructions. Everything here maps arrays to numbers."""
