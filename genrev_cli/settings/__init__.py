"""Every setting once: name, type, default, help, choices, bounds and panel. No file here imports torch.

Options of commands, tables of recipes, docs/cli.md and the tests' tables are derived from these dataclasses.
"""
