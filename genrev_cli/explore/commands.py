"""The command that makes the picture on the page."""

import shlex
from pathlib import Path

from genrev_cli.explore.asked import Changes
from genrev_cli.files.directions import DirectionSet
from genrev_cli.settings.edits import FULL, RESTRICTED, words_of


def command_of(name: str, changes: Changes, *, ckpt: Path, directions: DirectionSet | None) -> str:
    """Return the line `genrev edit …` that makes the same picture from the file of the photo; '' without any edit, and for a share of the
    rest, which `edit` keeps or cuts off as a whole.

    name: of the photo's file; the page saves the original under it.
    """
    if not changes.edits or 0 < changes.rest < 1:
        return ""
    latent = FULL if changes.rest else RESTRICTED
    photo = f"./{name}" if name.startswith("-") else name
    found = ["--directions", str(directions.path)] if directions and (changes.edits.move or changes.edits.toward) else []
    return shlex.join(["genrev", "edit", photo, "--ckpt", str(ckpt), *found, *words_of(changes.edits), "--latent", latent])


def file_name(given: str) -> str:
    """Return the last part of a name that a browser sent, with plain characters only: a name in commands and in saved files, never a path
    that is opened.
    """
    last = given.replace("\\", "/").rpartition("/")[2]
    plain = "".join(letter for letter in last if letter.isprintable() and letter not in '<>:"|?*')[:100].strip()
    return plain if plain.strip(".") else "photo.png"
