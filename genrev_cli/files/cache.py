"""The folder of what is kept between commands and can be made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return where features and compiled code are kept: $GENREV_CACHE, else genrev in the user's cache folder."""
    return Path(os.environ.get("GENREV_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "genrev"))
