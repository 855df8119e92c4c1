"""Reports: one HTML file with its header in a data block, which browsers neither show nor run."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from genrev_cli.errors import FileError
from genrev_cli.files.atomic import write_text
from genrev_cli.files.header import KEY, Header, array_digest, content_digest, parse_header

_OPEN, _CLOSE = f'<script type="application/json" id="{KEY}">', "</script>"
_BLOCK = re.compile(re.escape(_OPEN) + "(.*?)" + re.escape(_CLOSE), re.DOTALL)
SLOT = _OPEN + _CLOSE
"""The empty data block that a page must contain once; the header is put there."""


def unfilled(html: str) -> str:
    """Return a page with an empty `SLOT` in place of its header."""
    return _BLOCK.sub(SLOT, html)


def page_digest(html: str) -> str:
    """Return the content digest of a page without its header."""
    return content_digest({"page": array_digest("html", (), [unfilled(html).encode()])})


def text_digest(text: str) -> str:
    """Return the sha256 of a text file that has no header, as UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_page(path: Path, html: str, header: Header) -> None:
    """Write a page with `header` in place of its `SLOT`, atomically; the content digest is filled in.

    Bytes of file names that are not UTF-8 become question marks.
    """
    html = html.encode(errors="replace").decode()
    text = replace(header, sha256=page_digest(html)).to_json()
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")  # no path or title can end the block
    write_text(path, html.replace(SLOT, _OPEN + text + _CLOSE, 1))


def read_page(path: Path) -> tuple[Header, str]:
    """Return header and text of a report.

    Raises FileError if it is missing, not UTF-8, or not written by genrev.
    """
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        html = path.read_bytes().decode()  # not read_text, which changes line ends, and a file name may contain some
    except ValueError as error:
        raise FileError(f"{path}: not readable as HTML ({error})") from error
    found = _BLOCK.search(html)
    return parse_header(found[1] if found else None, path), html


def read_report_header(path: Path) -> Header:
    """Return the header only. Raises FileError like `read_page`."""
    return read_page(path)[0]
