"""One training run: its plan, its loop's callbacks, its state, its room on the disk."""
