"""python -m genrev_cli, which is also what torchrun starts."""

from genrev_cli.cli import entry

if __name__ == "__main__":
    entry()
