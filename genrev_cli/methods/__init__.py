"""One paper's method per file: the losses as free functions, the method below them."""
