"""Remove names of users and their folders from the report, because it may be published."""

import getpass
import re
from pathlib import Path

_SECRET = re.compile("TOKEN|SECRET|PASSW|KEY|CREDENTIAL", re.IGNORECASE)

_LOGIN = re.compile(r"//[^/@\s]+@")


def cleaned(text: str, scratch: Path | None = None) -> str:
    """Return the text with the home folder as '~', the temporary folder `scratch` as '(scratch)' and the user's name in paths as 'USER'."""
    places = [(str(scratch), "(scratch)")] if scratch else []
    homes = {str(home) for home in (Path.home(), Path.home().resolve()) if home != Path(home.anchor)}
    for place, shown in [*places, *((home, "~") for home in sorted(homes, key=len, reverse=True))]:
        text = re.sub(rf"{re.escape(place)}(?![\w.-])", shown, text)
    name = _user()
    return re.sub(rf"(?<=/){re.escape(name)}(?=/|$)", "USER", text) if name else text


def value_of(name: str, value: str) -> str:
    """Return an environment variable's value as it may be shown: '(set)' if its name suggests a secret, addresses without login."""
    return "(set)" if _SECRET.search(name) else cleaned(_LOGIN.sub("//", value))


def _user() -> str:
    """Return the user's name, '' if the system has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id without a name, as in some containers
        return ""
