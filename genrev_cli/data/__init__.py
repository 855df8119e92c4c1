"""Where images come from: a source knows its labels, split and checksums, and yields decoded pixels block by block.

Nothing here imports torch: the decoding processes start in a fraction of a second.
"""
