"""Scores: what fid, compare and the evaluations during training compute."""
