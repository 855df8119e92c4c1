import hashlib
import subprocess

import pytest
import torch
from safetensors.torch import save_file

from genrev_cli.errors import FileError, UnavailableError
from genrev_cli.metrics import weights
from genrev_cli.metrics.weights import NAME, find_inception_weights, load_inception_weights

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Set up an empty home and torch hub folder, without weights."""
    monkeypatch.setattr(weights.Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("GENREV_WEIGHTS", raising=False)
    return tmp_path


def put(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def published(monkeypatch):
    """Make any file count as the published one."""
    monkeypatch.setattr(weights, "SHA256_PREFIX", "")


@pytest.mark.parametrize("name", ["w.pth", "w.pt", NAME, "w.safetensors"])
def test_round_trip(tmp_path, name, monkeypatch):
    path = tmp_path / name
    suffix = path.suffix
    save_file(STATE, path) if suffix == ".safetensors" else torch.save(STATE, path)
    if suffix != ".safetensors":
        monkeypatch.setattr(weights, "SHA256_PREFIX", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    state, sha256 = load_inception_weights(path)
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w"])
def test_only_the_published_file_is_read_in_torchs_format(tmp_path, name, monkeypatch):
    torch.save(STATE, tmp_path / name)
    monkeypatch.setattr(weights, "_load_torch", lambda path: pytest.fail("unpickled"))
    with pytest.raises(FileError, match=r"not the published weights.*6726825d….*safetensors\.torch\.save_file\(torch\.load\(FILE"):
        load_inception_weights(tmp_path / name)


@pytest.mark.usefixtures("published")
def test_code_in_a_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return subprocess.check_call, (["touch", str(tmp_path / "evil")],)

    torch.save({"a": Evil()}, tmp_path / "w.pth")
    with pytest.raises(FileError, match="not a readable weights file"):
        load_inception_weights(tmp_path / "w.pth")
    assert not (tmp_path / "evil").exists()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_not_weights(tmp_path, name, content):
    with pytest.raises(FileError, match="not a readable weights file"):
        load_inception_weights(put(tmp_path / name, content))


@pytest.mark.usefixtures("published")
def test_truncated(tmp_path):
    torch.save(STATE, tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    with pytest.raises(FileError, match="truncated"):
        load_inception_weights(put(tmp_path / "w.pth", content[: len(content) // 2]))


@pytest.mark.usefixtures("published")
def test_not_a_state_dict(tmp_path):
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(FileError, match="not a state dict"):
        load_inception_weights(tmp_path / "w.pth")


def test_a_file_with_the_published_name_must_have_its_checksum(tmp_path):
    torch.save(STATE, tmp_path / NAME)
    with pytest.raises(FileError, match=r"truncated or corrupt.*6726825d"):
        load_inception_weights(tmp_path / NAME)


def test_missing_says_where_it_looked_and_the_cure(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "URL", (tmp_path / "nowhere").as_uri())
    with pytest.raises(UnavailableError) as caught:
        find_inception_weights()
    places = ("GENREV_WEIGHTS", str(tmp_path / "home/.cache/genrev" / NAME), str(tmp_path / "hub/checkpoints" / NAME))
    for part in (*places, f"{weights.URL} (sha256 6726825d…) cannot be fetched", "--weights FILE", "--features pixel (not comparable"):
        assert part in str(caught.value)
    assert caught.value.exit_code == 5
    assert not list((tmp_path / "home/.cache/genrev").iterdir())


def test_search_order(tmp_path, monkeypatch):
    hub = put(tmp_path / "hub/checkpoints" / NAME)
    assert find_inception_weights() == hub
    ours = put(tmp_path / "home/.cache/genrev" / NAME)
    assert find_inception_weights() == ours
    variable = put(tmp_path / "variable.pth")
    monkeypatch.setenv("GENREV_WEIGHTS", str(variable))
    assert find_inception_weights() == variable
    given = put(tmp_path / "given.pth")
    assert find_inception_weights(given) == given


def test_a_named_file_must_exist(tmp_path, monkeypatch):
    put(tmp_path / "hub/checkpoints" / NAME)
    with pytest.raises(FileError, match=r"nowhere\.pth: no such file \(--weights\)"):
        find_inception_weights(tmp_path / "nowhere.pth")
    monkeypatch.setenv("GENREV_WEIGHTS", str(tmp_path / "nowhere.pth"))
    with pytest.raises(FileError, match=r"no such file \(\$GENREV_WEIGHTS\)"):
        find_inception_weights()
    with pytest.raises(FileError, match="no such file"):
        load_inception_weights(tmp_path / "nowhere.pth")


def test_download(tmp_path, monkeypatch):
    source = put(tmp_path / "source.pth", b"weights")
    monkeypatch.setattr(weights, "URL", source.as_uri())
    ours = tmp_path / "home/.cache/genrev" / NAME
    with pytest.raises(FileError, match="truncated or corrupt"):
        find_inception_weights()
    assert not list(ours.parent.iterdir())  # no partial file is left
    monkeypatch.setattr(weights, "SHA256_PREFIX", hashlib.sha256(b"weights").hexdigest()[:8])
    assert find_inception_weights() == ours
    assert [file.read_bytes() for file in ours.parent.iterdir()] == [b"weights"]
