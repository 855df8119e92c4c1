"""What may be written where: every refusal names the option that asked for it."""

import pytest

from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.targets import check_target


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
