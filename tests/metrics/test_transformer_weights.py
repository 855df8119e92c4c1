import pytest
import torch
from safetensors.torch import save_file

from genrev_cli.errors import FileError, UnavailableError
from genrev_cli.metrics import transformer_weights as weights
from genrev_cli.metrics.transformer_weights import PUBLISHED, Published, find_transformer_weights, load_transformer_weights, weights_digest

STATE = {"a.weight": torch.arange(6.0).view(2, 3)}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Set up an empty home folder, without weights."""
    monkeypatch.setattr(weights.Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("GENREV_WEIGHTS", raising=False)
    return tmp_path


def put(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("features", PUBLISHED)
def test_search_order(tmp_path, monkeypatch, features):
    ours = put(tmp_path / "home/.cache/genrev" / PUBLISHED[features].file)
    assert find_transformer_weights(features) == ours
    variable = put(tmp_path / "variable.safetensors")
    monkeypatch.setenv("GENREV_WEIGHTS", str(variable))
    assert find_transformer_weights(features) == variable
    given = put(tmp_path / "given.safetensors")
    assert find_transformer_weights(features, given) == given
    with pytest.raises(FileError, match=r"gone: no such file \(--weights\)"):
        find_transformer_weights(features, tmp_path / "gone")
    monkeypatch.setenv("GENREV_WEIGHTS", str(tmp_path / "gone"))
    with pytest.raises(FileError, match=r"no such file \(\$GENREV_WEIGHTS\)"):
        find_transformer_weights(features)


def test_download(tmp_path, monkeypatch):
    source = tmp_path / "source.safetensors"
    ours = tmp_path / "home/.cache/genrev/d.safetensors"
    monkeypatch.setitem(PUBLISHED, "dinov2", Published("d.safetensors", source.as_uri(), "fetch it"))
    with pytest.raises(UnavailableError, match=r"no weights of dinov2: .*d\.safetensors, and they cannot be fetched .*; fetch it"):
        find_transformer_weights("dinov2")
    assert not list(ours.parent.iterdir())
    save_file(STATE, source)
    assert find_transformer_weights("dinov2") == ours
    assert [file.read_bytes() for file in ours.parent.iterdir()] == [source.read_bytes()]


def test_weights_that_have_to_be_converted():
    with pytest.raises(UnavailableError, match=r"not published as safetensors\); make model.safetensors with transformers: python -c"):
        find_transformer_weights("clip")


def test_reading(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    state, sha256 = load_transformer_weights(tmp_path / "a.safetensors")
    assert torch.equal(state["a.weight"], STATE["a.weight"])
    assert sha256 == weights_digest(tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    for content in (b"", whole[:-1], b"<html>not found</html>"):
        with pytest.raises(FileError, match="not a .safetensors file, or truncated"):
            load_transformer_weights(put(tmp_path / "b.safetensors", content))
    with pytest.raises(FileError, match="gone: no such file"):
        load_transformer_weights(tmp_path / "gone")
