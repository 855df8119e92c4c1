import hashlib
import shutil
import warnings
import zipfile

import pytest
import torch
from torch import Tensor, nn

from genrev_cli.errors import FileError
from genrev_cli.metrics.torchscript import ScriptedNetwork


class Pooled(nn.Module):
    """Return weighted means of the channels, or with return_features other features, like NVIDIA's files."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(12.0).view(3, 4) / 10)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        means = x.float().mean((2, 3))
        return self.dropout(means @ self.weight) if return_features else means


class Output(nn.Module):
    """A network without the argument return_features. kind: shape or type of its output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "maps":
            return x.float()
        if self.kind == "pooled maps":
            return x.float().mean((2, 3), keepdim=True)
        if self.kind == "integers":
            return x.long().sum((2, 3))
        if self.kind == "scalar":
            return x.float().mean()
        if self.kind == "vector":
            return x.float().mean((1, 2, 3))
        if self.kind == "raises":
            raise ValueError("no such images")
        return x.float().view(2, 3 * 5 * 5)  # accepts only 5 × 5 pixels


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.float(), x.float()


class Code:
    """Create a file when unpickled, so that a test sees it."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return shutil.copy, (__file__, str(self.mark))


@pytest.fixture
def scripted(tmp_path):
    """Return a function that writes a module to a TorchScript file, without the deprecation warning, and returns the path."""

    def save(module, name="net.pt"):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
            torch.jit.script(module).save(tmp_path / name)
        return tmp_path / name

    return save


def test_pixels_through_a_file(scripted):
    path = scripted(Pooled())
    network = ScriptedNetwork(path)
    x = torch.randint(0, 256, (3, 3, 6, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    first = network(x)
    assert all(
        torch.equal(network(x), first) for _ in range(4)
    )  # several runs, because the interpreter rewrites a network after the first ones
    torch.testing.assert_close(first, x.float().mean((2, 3)) @ Pooled().weight.detach(), rtol=1e-6, atol=1e-4)
    assert network.dims(6, 4) == 4
    assert network.layer == "features"
    assert network.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("kind", "dims"), [("pooled maps", 3), ("5 × 5", 75)])
def test_output_without_an_argument(scripted, kind, dims):
    network = ScriptedNetwork(scripted(Output(kind)))
    assert network.layer == "output"
    assert network.dims(5, 5) == dims


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Output("maps"), r"returns \(2, 3, 6, 6\) for 2 images"),
        (Output("scalar"), r"returns \(\) for 2 images"),
        (Output("vector"), r"returns \(2,\) for 2 images"),
        (Output("integers"), "returns torch.int64, but one float tensor"),
        (Pair(), "returns tuple, but one float tensor"),
        (Output("raises"), r"cannot take uint8 images of shape \(2, 3, 6, 6\) \(.*no such images"),
        (Output("5 × 5"), r"cannot take uint8 images of shape \(2, 3, 6, 6\) \(.*shape"),
    ],
)
def test_unfit_networks(scripted, module, message):
    path = scripted(module)
    with pytest.raises(FileError, match=message) as caught:
        ScriptedNetwork(path).dims(6, 6)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("content", ["state dict", "code"])
def test_pickles_are_refused_unread(tmp_path, zipped, content):
    path, mark = tmp_path / "w.pt", tmp_path / "mark"
    torch.save(nn.Linear(2, 2).state_dict() if content == "state dict" else Code(mark), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(FileError, match="not a TorchScript file .*weights without a network"):
        ScriptedNetwork(path)
    assert not mark.exists()


def test_a_pickle_hidden_in_torchscript_is_not_run(tmp_path, scripted):
    """TorchScript has its own reader, which cannot call Python functions."""
    torch.save(Code(tmp_path / "mark"), tmp_path / "evil.pt")
    with zipfile.ZipFile(tmp_path / "evil.pt") as archive:
        pickled = archive.read("evil/data.pkl")
    with zipfile.ZipFile(scripted(Pooled())) as source, zipfile.ZipFile(tmp_path / "mixed.pt", "w") as target:
        for name in source.namelist():
            target.writestr(name, pickled if name == "net/data.pkl" else source.read(name))
    with pytest.raises(FileError, match="not a TorchScript file that this torch can read"):
        ScriptedNetwork(tmp_path / "mixed.pt")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04"])
def test_other_files(tmp_path, content):
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(FileError, match="not a TorchScript file, or truncated"):
        ScriptedNetwork(tmp_path / "net.pt")


def test_damage(scripted, tmp_path):
    content = bytearray(scripted(Pooled()).read_bytes())
    (tmp_path / "half.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError, match="truncated"):
        ScriptedNetwork(tmp_path / "half.pt")
    weights = Pooled().weight.detach().numpy().tobytes()
    content[content.index(weights) + 5] ^= 1  # one bit of one weight, which torch itself would not notice
    (tmp_path / "bit.pt").write_bytes(content)
    with pytest.raises(FileError, match=r"damaged: 'net/data/0' .* checksum"):
        ScriptedNetwork(tmp_path / "bit.pt")


def test_missing(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        ScriptedNetwork(tmp_path / "net.pt")
