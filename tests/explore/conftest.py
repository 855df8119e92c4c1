import threading
from contextlib import contextmanager

import pytest
import torch

from genrev_cli.cli import main
from genrev_cli.explore.server import listen, server_of
from genrev_cli.explore.session import Opened, Session
from genrev_cli.files.directions import open_directions
from genrev_cli.files.images import open_images
from genrev_cli.progress import SILENT
from genrev_cli.store.checkpoints import load_checkpoint

RECIPE = (
    '[model]\nname = "revnet"\nscales = [{ blocks = 1, hidden = 8 }, { blocks = 1, hidden = 8 }]\n'
    '[prior]\nname = "active-gaussian"\ndim = 4\n[pretrain-recon]\nlr = 1e-3\nbatch = 64\nsteps = 6\n'
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with digits.h5, a small network for them, and directions of its codes."""
    place = tmp_path_factory.mktemp("explored")
    (place / "tiny.toml").write_text(RECIPE)

    def run(*words):
        assert main([str(word) for word in words]) == 0

    run("prepare-data", "digits", "--out", place / "digits.h5")
    ckpt = place / "recon.safetensors"
    run("pretrain-recon", "--data", place / "digits.h5", "--recipe", place / "tiny.toml", "--out", ckpt, "--device", "cpu")
    run("encode", "--ckpt", ckpt, "--out", place / "codes.h5")
    run("fit-directions", place / "codes.h5", "--method", "means,pca", "--components", 2, "--out", place / "directions.safetensors")
    return place


@pytest.fixture(scope="session")
def opened(folder):
    """What a session of that folder works with; keywords replace parts of it."""

    def make(**others):
        given = {
            "model": load_checkpoint(folder / "recon.safetensors", torch.device("cpu")),
            "device": torch.device("cpu"),
            "data": open_images(folder / "digits.h5"),
            "directions": open_directions(folder / "directions.safetensors"),
            "points": 60,
            "dims": 3,
        }
        return Opened(**{**given, **others})

    return make


@pytest.fixture(scope="session")
def session(opened):
    return Session(opened(), SILENT)


@pytest.fixture(scope="session")
def served():
    """(session) → a context with the address of its page, served by a thread."""

    @contextmanager
    def serving(session):
        ready, found = threading.Event(), []

        def note(address):
            found.append(address)
            ready.set()

        with listen("127.0.0.1", 0) as listening:
            server = server_of(session, "127.0.0.1", listening, note)
            thread = threading.Thread(target=server.run, args=([listening],))
            thread.start()
            assert ready.wait(20)
            try:
                yield found[0]
            finally:
                server.should_exit = True
                thread.join(20)

    return serving
