"""One loop for every method: pure steps, one optimiser call, batches on the device, a log, a state to resume from."""
