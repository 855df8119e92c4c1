"""Published tools that are measured where they are installed: what the extra 'bench' brings."""

from importlib.util import find_spec


def installed(name: str) -> bool:
    """Is there a package of this name? It is not loaded by the question."""
    return find_spec(name) is not None


def left_out(name: str) -> str:
    """What stands beside a table in which `name` is missing."""
    return f"{name} left out, as it is not installed; pip install {name}, or all peers: pip install 'genrev-cli[bench]'"
