"""Files on disk: atomic writes, headers with provenance, safetensors checkpoints, HDF5 images and codes."""
