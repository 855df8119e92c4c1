"""Temporary files: nothing of a killed writer stays, nothing of a living one is removed, permissions and parents are kept."""

import os
import platform
import resource
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save

from genrev_cli.files import atomic, hdf5, parts
from genrev_cli.files.atomic import atomic_path, write_text
from genrev_cli.files.checkpoint import read_checkpoint, safetensors_pieces, tensors_digest, write_checkpoint
from genrev_cli.files.header import Header

WRITER = """
import sys
from pathlib import Path
from genrev_cli.files.atomic import atomic_path
with atomic_path(Path(sys.argv[1]), folder=bool(sys.argv[2])) as part:
    print(part.name, flush=True)
    sys.stdin.read()
"""


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def saved(path, numbers):
    tensors = {"w": torch.arange(numbers, dtype=torch.float32)}
    write_checkpoint(path, tensors, Header("state", {}, tensors_digest(tensors)))


def test_a_kill_during_a_save_leaves_only_what_the_next_save_removes(tmp_path):
    """The kernel ends the process in the middle of the file, at its size limit."""
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        saved(tmp_path / "state.safetensors", 1 << 20)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGXFSZ
    (left,) = names(tmp_path)
    assert left.startswith(".state.safetensors.")
    assert left.endswith(".genrev-part")
    saved(tmp_path / "state.safetensors", 4)
    assert names(tmp_path) == ["state.safetensors"]


def test_the_bytes_are_those_of_the_librarys_own_writer():
    kinds = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    tensors = {f"{name}.{kind}": torch.arange(6).reshape(2, 3).to(kind) for kind in kinds for name in ("b", "a", "ü")}
    tensors |= {"flag": torch.tensor([True, False]), "empty": torch.zeros(0, 3), "number": torch.tensor(2.5), "turned": torch.ones(2, 3).T}
    metadata = {"genrev": '{"a": "\\n\\u0001\\u007f ü \\"/\\\\"}\t\x01\x7f'}
    ready = {name: tensor.contiguous() for name, tensor in tensors.items()}
    assert b"".join(bytes(piece) for piece in safetensors_pieces(tensors, metadata)) == save(ready, metadata)


def test_a_checkpoint_is_read_back(tmp_path):
    saved(tmp_path / "a.safetensors", 5)
    assert read_checkpoint(tmp_path / "a.safetensors")[1]["w"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("folder", ["", "yes"])
def test_a_living_writer_is_known_by_its_lock(tmp_path, monkeypatch, folder):
    """Its process number says nothing: in another container it may have none here."""
    target = tmp_path / "out"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, target, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    part = writer.stdout.readline().strip()
    monkeypatch.setattr(parts, "_alive", lambda _: False)
    parts.drop_orphans(target)
    assert names(tmp_path) == [part]
    writer.kill()
    writer.communicate()
    parts.drop_orphans(target)
    assert names(tmp_path) == []


def test_two_writers_with_one_process_number_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a") as one, atomic_path(tmp_path / "a") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "one"


def test_what_was_left_under_this_process_number_is_removed(tmp_path):
    """A restarted container has the process number of the one that was killed, often 1."""
    target = tmp_path / "state.safetensors"
    left = parts.beside(target)
    left.write_text("half")
    with atomic_path(target) as part:
        assert not left.exists()
        parts.drop_orphans(target)
        assert part.exists()


def test_a_file_can_be_read_as_soon_as_it_has_its_name(tmp_path, monkeypatch):
    """HDF5's library locks what it reads, and the writer's lock lasts until the folder is flushed."""
    out, read = tmp_path / "a.h5", []
    monkeypatch.setattr(atomic, "sync", lambda path: read.append(hdf5.read_header(out).kind) if path == tmp_path else None)
    with hdf5.writing(out, Header("samples", {}, "")) as writer:
        writer.create("a", (1,), "uint8")
    assert read == ["samples"]


def test_what_another_machine_left_stays(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(platform, "node", lambda: "another")
        theirs = parts.beside(tmp_path / "a")
    theirs.write_text("theirs")
    monkeypatch.setattr(parts, "_alive", lambda _: False)
    write_text(tmp_path / "a", "new")
    assert theirs.exists()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_what_is_replaced_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "a"
    write_text(path, "old")
    path.chmod(mode)
    with atomic_path(path) as part:
        assert part.stat().st_mode & 0o777 == mode  # from the start, so that nobody reads it meanwhile
        part.write_bytes(b"new")
    assert path.stat().st_mode & 0o777 == mode


def test_a_folder_that_is_replaced_keeps_its_permissions(tmp_path):
    (tmp_path / "a").mkdir(mode=0o700)
    with atomic_path(tmp_path / "a", folder=True) as part:
        (part / "file").write_text("new")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_each_new_folder_is_flushed_into_the_one_above(tmp_path, monkeypatch):
    flushed, sync = [], parts.sync

    def noted(path):
        flushed.append(path)
        sync(path)

    monkeypatch.setattr(parts, "sync", noted)
    parts.make_folder(tmp_path / "a" / "b" / "c")
    assert flushed == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    parts.make_folder(tmp_path / "a")
    assert len(flushed) == 3
