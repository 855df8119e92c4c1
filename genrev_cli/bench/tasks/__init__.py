"""Whole tasks: genrev's commands against the programs that people use now, each in its own process."""
