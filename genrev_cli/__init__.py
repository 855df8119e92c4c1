"""genrev: generative autoencoders whose inverse is exact."""

__version__ = "0.1.0"
