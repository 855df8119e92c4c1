"""Plugins: networks, methods, data sources and metrics from a user's own file.

A plugin is a Python file that calls `register_network`, `register_trainer`, `register_source` or `register_metric`; each of these stands
beside its registry. Pass it as `--plugin FILE` to any command or in $GENREV_PLUGINS, or install a package with an entry point in the group
`genrev.plugins`. Headers of files record the plugins that are needed to read them.
"""

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError, UsageError

FLAG, VARIABLE, GROUP = "--plugin", "GENREV_PLUGINS", "genrev.plugins"

HINT = f"or pass {FLAG} FILE if a plugin defines it"
"""End of every error about an unknown network, trainer, source or metric."""


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin. name: its file or entry point. sha256: digest of the file's content, or the package's version."""

    name: str
    sha256: str


_loaded: dict[str, Plugin] = {}
_places: dict[Path, str] = {}
"""File of a plugin, or folder of an installed package → name of the plugin."""
_loading: ContextVar[Plugin | None] = ContextVar("loading", default=None)
_owners: dict[tuple[str, str], Plugin] = {}


def register(kind: str, name: str, registry: dict[str, Any], entry: Any) -> None:
    """Add an entry to a registry. kind: 'network', 'trainer', 'source' or 'metric'.

    Raises UsageError for a name that genrev or another plugin uses.
    """
    plugin = _loading.get()
    if name in registry and _owners.get((kind, name)) is None:
        raise UsageError(f"{kind} '{name}': genrev uses this name; choose another")
    if name in registry and plugin and _owners[kind, name].name != plugin.name:
        raise UsageError(f"{kind} '{name}': {_owners[kind, name].name} uses this name; choose another")
    registry[name] = entry
    if plugin:
        _owners[kind, name] = plugin


def load_asked(words: Sequence[str]) -> list[str]:
    """Load the plugins of a command line, of the environment and of installed packages. Return the words without --plugin.

    Raises UsageError for --plugin without a file, FileError for a plugin that is missing or fails.
    """
    files, rest = _taken(words)
    for path in [*os.environ.get(VARIABLE, "").split(os.pathsep), *files]:
        if path:
            load_file(Path(path))
    for point in entry_points(group=GROUP):
        if point.name not in _loaded:
            _run(Plugin(point.name, point.dist.version if point.dist else ""), point.load)
            top = Path(getattr(sys.modules.get(point.module.partition(".")[0]), "__file__", None) or point.name)
            _places[top.parent if top.name == "__init__.py" else top] = point.name
    return rest


def _taken(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files that follow --plugin, and the other words."""
    files, rest, left = [], [], iter(words)
    for word in left:
        if word == FLAG:
            path = next(left, None)
            if path is None:
                raise UsageError(f"{FLAG}: needs the path of a Python file")
            files.append(path)
        elif word.startswith(f"{FLAG}="):
            files.append(word.removeprefix(f"{FLAG}="))
        else:
            rest.append(word)
    return files, rest


def load_file(path: Path) -> None:
    """Run the file of a plugin, unless its content was run before. Raises FileError when it is missing or fails."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise FileError(f"{FLAG} {path}: cannot be read ({error.strerror})") from error
    if _loaded.get(path.name) == Plugin(path.name, digest):
        return
    name = f"genrev_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileError(f"{FLAG} {path}: is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module
    _places[Path(str(spec.origin))] = path.name
    loader = spec.loader
    _run(Plugin(path.name, digest), lambda: loader.exec_module(module))


def _run(plugin: Plugin, code: Any) -> None:
    token = _loading.set(plugin)
    try:
        code()
    except UsageError as error:
        raise UsageError(f"{FLAG} {plugin.name}: {error}") from error
    except Exception as error:  # the plugin's own bug
        raise FileError(f"{FLAG} {plugin.name}: fails with {type(error).__name__}: {error}") from error
    finally:
        _loading.reset(token)
    _loaded[plugin.name] = plugin


def fault(error: BaseException) -> str:
    """Return which line of a plugin raised an error, or called what raised it: 'swae.py, line 40, in step'; '' if no plugin did."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        for place in (Path(frame.filename), *Path(frame.filename).parents):
            if place in _places:
                file = f" ({Path(frame.filename).name})" if place.is_dir() else ""
                return f"{_places[place]}{file}, line {frame.lineno}, in {frame.name}"
    return ""


def needed(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the plugins that registered some entries, for a header: name → sha256. names: (kind, name) of each entry."""
    owners = [_owners[entry] for entry in names if entry in _owners]
    return {plugin.name: plugin.sha256 for plugin in owners}


def missing(recorded: object) -> str:
    """Return which recorded plugins are not loaded as they were, and the cure; '' if all are. recorded: `needed`, from a header."""
    records = recorded if isinstance(recorded, dict) else {}
    absent = [f"{name} (sha256 {str(digest)[:12]}…)" for name, digest in records.items() if name not in _loaded]
    if absent:
        return f"it was made with the plugin {', '.join(absent)}; pass it with {FLAG} FILE"
    changed = [name for name, digest in records.items() if _loaded[name].sha256 != digest]
    return f"the plugin {', '.join(changed)} has another content than the one that it was made with" if changed else ""
