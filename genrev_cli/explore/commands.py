"""The command that makes the picture on the page."""

import shlex
from pathlib import Path

from genrev_cli.explore.asked import Changes
from genrev_cli.files.directions import DirectionSet
from genrev_cli.files.pretrained import short
from genrev_cli.settings.edits import FULL, RESTRICTED, words_of


def command_of(name: str, changes: Changes, *, ckpt: Path, directions: DirectionSet | None, invert: bool = False) -> str:
    """Return the line `genrev edit …` that makes the same picture from the file of the photo; '' where nothing changes.

    name: of the photo's file; the page saves the original under it. invert: the file is the negative of the photo.
    """
    if not changes.edits and changes.rest == 1:
        return ""
    cut = not changes.rest and bool(changes.edits)
    latent = ["--latent", RESTRICTED if cut else FULL, *([] if cut or changes.rest == 1 else ["--rest", str(changes.rest)])]
    photo = f"./{name}" if name.startswith("-") else name
    needed = short(directions.path) if directions and (changes.edits.move or changes.edits.toward) else ""
    found = ["--directions", needed] if needed and needed != short(ckpt) else []  # a model of this package brings its own
    turned = ["--invert"] if invert else []
    return shlex.join(["genrev", "edit", photo, "--ckpt", short(ckpt), *turned, *found, *words_of(changes.edits), *latent])


def file_name(given: str) -> str:
    """Return the last part of a name that a browser sent, with plain characters only: a name in commands and in saved files, never a path
    that is opened.
    """
    last = given.replace("\\", "/").rpartition("/")[2]
    plain = "".join(letter for letter in last if letter.isprintable() and letter not in '<>:"|?*')[:100].strip()
    return plain if plain.strip(".") else "photo.png"
