"""Settings of commands: name, type, default, help, choices, bounds and panel, each written once. No file here imports torch.

Options, recipe tables, docs/cli.md and tables of the tests are derived from these dataclasses.
"""
