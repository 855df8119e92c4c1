"""docs/python.md and docs/python.ipynb: every line of code runs, in order, in the folder of a reader."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
PAGE = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(encoding="utf-8"), re.S)
NOTEBOOK = json.loads((DOCS / "python.ipynb").read_text(encoding="utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
STEPS = "STEPS = 300"
"""The length of the notebook's trainings; the test shortens it."""


@pytest.fixture
def reader(digits, tmp_path, monkeypatch):
    """A folder with data, checkpoints and photos of one's own; caches are elsewhere."""
    for path in digits.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path / path.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENREV_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_page(reader, capsys):
    names = {}
    for number, block in enumerate(PAGE):
        exec(compile(block, f"block {number} of docs/python.md", "exec"), names)
    with Image.open("samples.png") as picture:
        assert picture.width > 100
    assert names["line"].shape == (1, 5, 1, 8, 8)
    assert names["variations"].shape == (8, 1, 8, 8)
    assert (names["line"][0, 0] == names["model"].reconstruct("photo.jpg", full=True)[0]).all()
    assert names["bits"].shape == (6,)
    assert "a likelihood needs" in capsys.readouterr().out


def test_the_notebook(tmp_path, monkeypatch):
    """Its cells run from nothing. The page shows the pictures and numbers of a longer training."""
    monkeypatch.chdir(tmp_path)
    assert sum(STEPS in cell for cell in CELLS) == 1
    names = {"display": lambda picture: picture.load()}
    for number, cell in enumerate(CELLS):
        exec(compile(cell.replace(STEPS, "STEPS = 2"), f"code cell {number} of docs/python.ipynb", "exec"), names)
    assert names["model"].sample(1).shape == (1, 1, 8, 8)


def test_the_notebook_is_small_and_shows_what_it_made():
    assert (DOCS / "python.ipynb").stat().st_size < 200_000
    outputs = [output for cell in NOTEBOOK["cells"] for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    assert not any(output["output_type"] == "error" for output in outputs)
    assert str(Path.home()) not in json.dumps(NOTEBOOK["cells"])
