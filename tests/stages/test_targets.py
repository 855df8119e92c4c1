"""What may be written where: every refusal names the option that asked for it."""

import pytest

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.header import Header
from genrev_cli.files.pictures import write_json
from genrev_cli.files.targets import check_target, require_remake


@pytest.mark.parametrize("option", ["--out", "--save-stats"])
@pytest.mark.parametrize(("name", "kind", "said"), [("s.txt", UsageError, "must end in .npz"), ("in.npz", UsageError, "is an input")])
def test_a_wrong_file_name_is_refused(tmp_path, option, name, kind, said):
    with pytest.raises(kind, match=f"^{option} {tmp_path / name}: .*{said}"):
        check_target(tmp_path / name, "statistics", (".npz",), [tmp_path / "in.npz"], option=option)


@pytest.mark.parametrize("option", ["--out", "--save-stats"])
def test_files_of_others_are_kept(tmp_path, option):
    (tmp_path / "x.npz").write_bytes(b"mine")
    with pytest.raises(FileError, match=f"choose another {option}, or remove it"):
        check_target(tmp_path / "x.npz", "statistics", (".npz",), [], option=option)


def test_the_error_names_the_option_out_by_default(tmp_path):
    with pytest.raises(UsageError, match="^--out "):
        check_target(tmp_path / "x.txt", "statistics", (".npz",), [])


def record(path, sha256="1"):
    return {"path": path, "kind": "checkpoint", "sha256": sha256}


@pytest.fixture
def made(tmp_path):
    """A picture of reconstructions by the checkpoint 'a', as far as its header says."""
    path = tmp_path / "made.json"
    write_json(path, {}, Header("picture", {"shows": "reconstructions: rows"}, "", 0, inputs={"ckpt": record("/a")}))
    return path


@pytest.mark.parametrize(
    ("inputs", "roles", "allowed"),
    [
        ({"ckpt": record("/a", "trained longer")}, ("ckpt", "sampler"), True),
        ({"ckpt": record("/moved")}, ("ckpt", "sampler"), True),
        ({"ckpt": record("/b", "2")}, ("ckpt", "sampler"), False),
        ({"ckpt": record("/a"), "sampler": record("/map", "3")}, ("ckpt", "sampler"), False),
        ({"ckpt": record("/a"), "data": record("/data", "3")}, ("data",), True),
        ({"x": record("/b", "2"), "y": record("/a")}, (), True),
        ({"x": record("/b", "2")}, (), False),
    ],
    ids=["same path", "same content", "other checkpoint", "other codes", "no data before", "a file more", "another file"],
)
def test_only_what_was_made_from_the_same_files_is_replaced(made, inputs, roles, allowed):
    require_remake(made, inputs, roles, force=True)
    if allowed:
        require_remake(made, inputs, roles, force=False)
    else:
        with pytest.raises(FileError, match="was made from .*choose another --grid, or pass --force"):
            require_remake(made, inputs, roles, force=False, option="--grid")


def test_a_picture_of_another_kind_is_kept(made):
    with pytest.raises(FileError, match="shows reconstructions, not interpolations; .*--force"):
        require_remake(made, {"ckpt": record("/a")}, ("ckpt",), shows="interpolations", force=False)


def test_a_target_that_does_not_exist_is_free(tmp_path):
    assert require_remake(tmp_path / "new.png", {}, force=False) is None
