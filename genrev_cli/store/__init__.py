"""Read and write checkpoints, samplers and classifiers as objects, and draw samples from them."""
