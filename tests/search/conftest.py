import pytest
from search_cases import SCORED, SPACE

from genrev_cli.settings.search import SearchSettings


@pytest.fixture
def write_space(tmp_path, recipe):
    """(text) → the path of a space file; without one, a space that is searched in seconds."""

    def write(text=SPACE):
        path = tmp_path / "space.toml"
        path.write_text(text.replace("{recipe}", recipe).replace("{{", "{").replace("}}", "}"))
        return path

    return write


@pytest.fixture
def searched(tmp_path, data, write_space):
    """(**settings) → one call of search in the same folder. run: its options; text: of the space."""
    pytest.importorskip("optuna", reason="search needs optuna")
    from genrev_cli.progress import SILENT
    from genrev_cli.stages.search import search

    def run(*, run=SCORED, text=SPACE, progress=SILENT, out=tmp_path / "search", **settings):
        chosen = SearchSettings(**{"trials": 4, "pruner": "none", **settings})
        return search(write_space(text), data, out, chosen, run=run, progress=progress)

    return run
