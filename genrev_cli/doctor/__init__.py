"""What a machine does with genrev: what it is, and short checks that each end in one line."""
