import pytest

from genrev_cli.cli import main
from genrev_cli.doctor import codes, examination, storage
from genrev_cli.doctor.examination import Examination
from genrev_cli.settings.doctor import DoctorOptions

RECIPE = """
[model]
name = "revnet"
scales = [{ blocks = 1, hidden = 8, kernel = 3 }, { blocks = 1, hidden = 8, kernel = 3 }]

[prior]
name = "active-gaussian"
dim = 4

[pretrain-recon]
lr = 1e-3
batch = 8
"""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Shrink the data of the checks, so that they are fast."""
    monkeypatch.setattr(codes, "CODES", 300)
    monkeypatch.setattr(codes, "DIM", 4)
    monkeypatch.setattr(storage, "MEGABYTES", 0)
    monkeypatch.setattr(storage, "PNGS", 8)
    monkeypatch.setattr(examination.gc, "collect", lambda: 0)  # it looks through everything that the tests have loaded


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Return an empty home folder."""
    folder = tmp_path / "home" / "jane"
    folder.mkdir(parents=True)
    for name in ("GENREV_WEIGHTS", "GENREV_CACHE", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USER", "jane")
    monkeypatch.setenv("LOGNAME", "jane")
    return folder


@pytest.fixture
def tiny(tmp_path):
    """Return a recipe whose name tells that its images are digits."""
    path = tmp_path / "tiny-digits.toml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture
def open_examination(tmp_path, tiny):
    """Return a function that opens an examination on the CPU, by default of the tiny recipe."""

    def open_one(**options):
        chosen = {"recipe": tiny} if not {"recipe", "ckpt"} & set(options) else {}
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        return Examination(DoctorOptions(**{"device": "cpu", **chosen, **options}), scratch)

    return open_one


@pytest.fixture
def subject(open_examination):
    """Return the subject of the tiny recipe on the CPU."""
    return open_examination().subject


@pytest.fixture
def only(monkeypatch):
    """Return a function that replaces all checks by its arguments."""
    return lambda *checks: monkeypatch.setattr(examination, "CHECKS", checks)


@pytest.fixture
def run(capsys, tiny):
    """Return a function that runs `genrev doctor` on the CPU with the tiny recipe and returns exit code, stdout and stderr."""

    def command(*words):
        capsys.readouterr()
        given = [str(word) for word in words]
        recipe = [] if {"--recipe", "--ckpt"} & set(given) else ["--recipe", tiny]
        device = [] if "--device" in given else ["--device", "cpu"]
        code = main(["doctor", *recipe, *device, *given])
        return code, *capsys.readouterr()

    return command
