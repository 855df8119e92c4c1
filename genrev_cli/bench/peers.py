"""Find the published tools that are compared if they are installed. The extra 'bench' installs them."""

from importlib.util import find_spec


def installed(name: str) -> bool:
    """Return True if the package is installed. It is not imported."""
    return find_spec(name) is not None


def left_out(name: str) -> str:
    """Return the note for a table without the tool `name`."""
    return f"{name} left out because it is not installed; run pip install {name}, or for all such tools: pip install 'genrev-cli[bench]'"
