"""One paper's method per file: first the losses as functions, then the method."""
