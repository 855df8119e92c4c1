"""README.md and docs/: every link and path exists, every command is real, and citations can be opened."""

import re
from pathlib import Path

import pytest

from genrev_cli.settings.commands import all_commands

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}

PACKAGE = ROOT / "genrev_cli"
PARTS = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith("_"))

CODE = re.compile(r"```.*?\n(.*?)```|`([^`\n]+)`", re.S)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PATH = re.compile(rf"(?<![\w./-])((?:genrev_cli|tests|docs|pipelines|{'|'.join(PARTS)})/[\w./{{}},*-]*)")
COMMAND = re.compile(r"(?:^|&& |`)genrev ((?:--?[\w-]+ \S+ )*)([a-z][\w-]*)", re.M)
USERS = re.compile(r"data/.*\.(?:h5|npz)")
"""Files that a command of the user writes."""
TO_WRITE = ("settings/swae.py", "methods/swae.py", "recipes/rules/swae.py", "recipes/swae-mnist.toml")
"""Files that docs/extending.md tells the reader to write."""
NOTE = re.compile(r"\b[A-E][0-9]\b|\([A-E]\)")


def pieces(page):
    """Return the code of a page: blocks and inline code."""
    return ["".join(found) for found in CODE.findall(PAGES[page])]


def paths(page):
    """Yield every path in code that starts with a folder of the project or of the package, one for each choice in {a,b}."""
    for found in (path for piece in pieces(page) for path in PATH.findall(piece)):
        path = found.rstrip(".,")
        choice = re.search(r"\{([^}]*)\}", path)
        for one in choice[1].split(",") if choice else [""]:
            yield path.replace(choice[0], one) if choice else path


def exists(path):
    """Return True if a path, perhaps with *, exists in the project or package, or belongs to the reader."""
    if USERS.fullmatch(path) or path in TO_WRITE:
        return True
    return any(any(folder.glob(path.rstrip("/"))) for folder in (ROOT, PACKAGE))


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page):
    missing = [link for link in LINK.findall(PAGES[page]) if not ((ROOT / page).parent / link).exists()]
    assert not missing, f"{page} links to {missing}, which do not exist: correct the links or add the files"


@pytest.mark.parametrize("page", PAGES)
def test_no_table_is_cut_by_an_empty_line(page):
    """What follows would be shown as text."""
    lines = PAGES[page].splitlines()
    rows = [line.startswith("|") for line in [*lines, "", ""]]
    heads = [line.startswith(("|-", "| -", "|:")) for line in [*lines, "", ""]]
    cut = [i + 1 for i in range(1, len(lines) - 1) if not lines[i] and rows[i - 1] and rows[i + 1] and not heads[i + 2]]
    assert not cut, f"{page}: empty lines {cut} are inside of tables"


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page):
    missing = sorted({path for path in paths(page) if not exists(path)})
    assert not missing, f"{page} names {missing}, which do not exist: write where they are now"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_real(page):
    unknown = {name for piece in pieces(page) for _, name in COMMAND.findall(piece)} - {"help", *all_commands()} - plugin_commands(page)
    assert not unknown, f"{page} shows 'genrev {sorted(unknown)[0]}', which is no command: 'genrev --help' lists them"


def plugin_commands(page):
    """Return the commands that examples on a page register."""
    return set(re.findall(r'Trainer\(\s*(?:name=)?"([\w-]+)"', PAGES[page]))


@pytest.mark.parametrize("page", PAGES)
def test_every_citation_can_be_opened(page):
    notes = NOTE.findall(PAGES[page])
    assert not notes, f"{page} cites {notes}: cite the section, equation or figure of the paper, or the authors' repository and file"


def test_the_table_of_folders_is_complete():
    table = PAGES["docs/architecture.md"]
    missing = [part for part in PARTS if f"| `{part}/` |" not in table]
    assert not missing, f"docs/architecture.md, 'Where things are': add a row for {', '.join(missing)}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`ot/discrete.py`: `f`", ["ot/discrete.py"]),
        ("```sh\npython tests/a.py x\n```", ["tests/a.py"]),
        ("`recipes/{a,b}-*.toml`", ["recipes/a-*.toml", "recipes/b-*.toml"]),
        ("`samples/`, `OUT/previews/`, `raw/ot/x.py`", []),
    ],
)
def test_paths_are_found(monkeypatch, text, found):
    monkeypatch.setitem(PAGES, "page", text)
    assert list(paths("page")) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sh\ngenrev fit-ott codes.h5\n```", ["fit-ott"]),
        ("```sh\ngenrev --plugin my.py train-swae --data d.h5\n```", ["train-swae"]),
        ("see `genrev COMMAND --help` and `genrev info FILE`", ["info"]),
        ("```sh\ngenrev encode && genrev fit-gmm codes.h5\n```", ["encode", "fit-gmm"]),
    ],
)
def test_commands_are_found(monkeypatch, text, found):
    monkeypatch.setitem(PAGES, "page", text)
    assert [name for piece in pieces("page") for _, name in COMMAND.findall(piece)] == found
