"""Sources of images: a source has labels, a split and checksums, and yields decoded pixels in blocks.

Nothing here imports torch, so the decoding processes start in a fraction of a second.
"""
