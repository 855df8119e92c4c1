"""What fid, compare and the curves of a training measure."""
