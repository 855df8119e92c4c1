"""A resumed run says what has changed since its state was saved, and refuses nothing for it."""

from dataclasses import replace

import h5py
import pytest

from genrev_cli.files.checkpoint import read_checkpoint, write_checkpoint
from genrev_cli.progress import Progress
from genrev_cli.runs import saved
from genrev_cli.runs.resume import STATE, run_folder


class Notes(Progress):
    def __init__(self):
        self.said = []

    def note(self, message):
        self.said.append(message)


@pytest.fixture
def resumed(tmp_path, recon):
    """(change of the state's header) → what is said when a run of 2 steps goes on to 4."""

    def run(change=lambda header: header):
        out, notes = tmp_path / "m.safetensors", Notes()
        recon(out, steps=2)
        state = run_folder(out) / STATE
        header, tensors = read_checkpoint(state)
        write_checkpoint(state, tensors, change(header))
        assert recon(out, steps=4, progress=notes).numbers["steps"] == 4
        return notes.said

    return run


def elsewhere(header):
    where = header.config["surroundings"] | {"torch": "2.9.0", "threads": 8, "isa": "DEFAULT"}
    return replace(header, config=header.config | {"surroundings": where})


def test_other_surroundings_are_named_in_one_sentence(resumed):
    (sentence,) = [said for said in resumed(elsewhere) if "later bits may differ" in said]
    assert sentence.startswith("the state was saved with torch 2.9.0, DEFAULT, 8 threads; the run goes on with torch ")
    assert sentence.endswith(", 1 threads: later bits may differ")


def test_nothing_is_said_where_nothing_has_changed(resumed):
    assert not [said for said in resumed() if "bits" in said or "content" in said]


def test_a_state_of_an_earlier_version_knows_only_its_versions(resumed):
    def older(header):
        made_by = header.made_by | {"versions": header.made_by["versions"] | {"torch": "2.4.1"}}
        return replace(header, config={"identity": header.config["identity"]}, made_by=made_by)

    (sentence,) = [said for said in resumed(older) if "later bits may differ" in said]
    assert sentence.startswith("the state was saved with torch 2.4.1; the run goes on with torch ")


def test_edited_data_are_named(resumed, data):
    def edit(header):
        with h5py.File(data, "r+") as file:
            file["images"][0] = 255 - file["images"][0]
        return header

    assert [said for said in resumed(edit) if said.startswith(f"{data}: its content was changed after it was made")]


def test_large_data_are_not_read_for_it(resumed, data, monkeypatch):
    monkeypatch.setattr(saved, "QUICKLY_READ", data.stat().st_size - 1)
    monkeypatch.setattr(saved.hdf5, "read_digest", lambda path: pytest.fail("read"))
    resumed()


def test_what_a_killed_run_of_another_machine_left_is_removed(tmp_path, recon):
    """The lock of the run keeps all others off its folder, so nobody writes there."""
    out = tmp_path / "m.safetensors"
    recon(out, steps=2)
    folder = run_folder(out)
    left = [folder / f".{STATE}.12-00000000-1a2b3c4d.genrev-part", folder / "previews" / ".a.png.1-00000000-1a2b3c4d.genrev-part"]
    beside = tmp_path / f".{out.name}.12-00000000-1a2b3c4d.genrev-part"
    for path in (*left, beside):
        path.write_text("half")
    recon(out, steps=3)
    assert not any(path.exists() for path in left)
    assert beside.exists(), "another machine may be writing beside the run folder"
