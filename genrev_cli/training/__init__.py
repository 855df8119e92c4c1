"""What all training commands share: the loop, batches, optimisers, the log, and work split over processes."""
