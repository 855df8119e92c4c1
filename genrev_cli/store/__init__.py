"""Objects and their files: checkpoints, samplers, classifiers; and what is drawn from them."""
