"""What two runs of one command must have in common: every file and folder, with its content. Times, paths and speeds may differ."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from genrev_cli.errors import FileError
from genrev_cli.files.any import content_of, read_any_header

VARYING = {"made_by", "seconds", "images_per_second", "path", "inputs", "history", "checksum"}
"""Keys of headers, logs and results whose values depend on the time, the machine or the folder. Digests of inputs are in file contents."""

OWN = (".safetensors", ".h5", ".png", ".npz", ".gif", ".webp")


_MASKED = re.compile(
    r"<script type=.application/json.*?</script>|[0-9a-f]{12,}( with changes)?|data:image[^\"')]*"
    r"|([\d.]+ (s|min|h)\b ?)+|[\d.:,+-]*\d[\w+/=.:-]*",
    re.DOTALL,
)
"""What may vary in pages: headers (`_page` compares their fields), digests, commits, pictures, durations with their units, numbers."""


def contents(folder: Path) -> dict[str, str]:
    """Return the name of each file and folder → a digest of what may not vary, or 'damaged' for a file that does not match its header."""
    return {path.relative_to(folder).as_posix(): _content(path) for path in folder.rglob("*")}


def _content(path: Path) -> str:
    if path.is_dir() or path.name == "journal.log":  # Optuna's journal has the times of its entries
        return ""
    if path.suffix in OWN:
        try:
            header = read_any_header(path)
        except FileError:  # as a picture in a folder of samples
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        try:
            found = content_of(path, header)
        except FileError as error:
            return f"damaged: {error}"
        return "damaged: its digest is another" if found != header.sha256 else _digest([found, header.step, _steady(header.config)])
    text = path.read_text(errors="replace")
    if path.suffix == ".jsonl":
        return _digest([_steady(json.loads(line)) for line in text.splitlines()])
    if path.suffix == ".json":
        return _digest(_table(json.loads(text)))
    if path.suffix == ".html":
        return _page(path, text)
    return _digest(_MASKED.sub("", text) if path.suffix == ".md" else text)


def _page(path: Path, text: str) -> str:
    """Return the digest of a page's words and of the fields of its header.

    The digest in the header is checked and not compared: it covers the durations on the page, so it differs between two undisturbed runs,
    for example of `search`. The digests of its inputs are not compared either: these files are compared themselves.
    """
    try:
        header = read_any_header(path)
        if content_of(path, header) != header.sha256:
            return "damaged: its digest is another"
    except FileError as error:
        return f"damaged: {error}"
    return _digest([header.kind, header.step, _steady(header.config), _MASKED.sub("", text)])


def _table(value: Any) -> Any:
    """Return what may not vary of a result in JSON. The digest in its header covers all numbers, so it varies if one of them does."""
    numbers = {name: value[name] for name in value if name != "genrev"} if isinstance(value, dict) else value
    if numbers == _steady(numbers) or numbers == value:
        return _steady(value)
    return _steady({**value, "genrev": {name: value["genrev"][name] for name in value["genrev"] if name != "sha256"}})


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner) for key, inner in value.items() if key not in VARYING}
    return [_steady(inner) for inner in value] if isinstance(value, list) else value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return a sentence for each file that is missing, was left over, or differs."""
    missing = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    left = [f"{name} was left over" for name in sorted(found.keys() - wanted.keys())]
    other = [f"{name} differs ({found[name]})" for name in sorted(wanted.keys() & found.keys()) if wanted[name] != found[name]]
    return missing + left + other
