"""Everything that a training run needs: its job, its state and callbacks, its disk estimate, its monitor."""
