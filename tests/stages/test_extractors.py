"""Feature extractors opened from options."""

import hashlib
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from genrev_cli.bench.random_inception import drawn_weights
from genrev_cli.errors import FileError, UsageError
from genrev_cli.files.checkpoint import tensors_digest
from genrev_cli.metrics.features import Extractor
from genrev_cli.metrics.frechet import Moments, frechet_distance
from genrev_cli.scoring import extractors
from genrev_cli.scoring.extractors import EFFECT_IMAGES, bf16_effect, open_extractor
from genrev_cli.settings.features import FeatureOptions
from genrev_cli.store.checkpoints import prefixed

CPU = torch.device("cpu")


def pixels(n, shape=(1, 8, 8), seed=0):
    return torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


class Means(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean((2, 3))


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "means.pt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
        torch.jit.script(Means()).save(path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a file of random Inception weights."""
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(drawn_weights(0), path)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": "incepton"}, "--features incepton: choose inception, pixel, dinov2, clip, or the path of a TorchScript file"),
        ({"features": "net.onnx"}, "--features net.onnx: choose"),
        ({"features": ""}, "choose"),
        ({"profile": "tensorflow"}, "--profile tensorflow: choose pytorch-fid, tf or torchmetrics"),
        ({"precision": "fp16"}, "--precision fp16: choose fp32 or bf16"),
        ({"features": "pixel", "profile": "tf"}, "do not apply to --features pixel"),
        ({"features": "pixel", "precision": "bf16"}, "do not apply to --features pixel"),
        ({"features": "dinov2", "profile": "tf"}, "--profile and --precision do not apply to --features dinov2"),
        ({"features": "net.pt", "weights": Path("w.pth")}, "do not apply to --features net.pt"),
        ({"features": "c.safetensors", "profile": "tf"}, "do not apply to --features c.safetensors"),
    ],
)
def test_invalid_options(options, message):
    with pytest.raises(UsageError, match=message):
        FeatureOptions(**options)


@pytest.mark.parametrize(
    "features", ["inception", "pixel", "dinov2", "clip", "a/net.PT", "net.pth", "net.ts", "net.torchscript", "c.safetensors"]
)
def test_valid_options(features):
    assert FeatureOptions(features).features == features


def test_pixel():
    extractor = open_extractor(FeatureOptions("pixel"), (1, 8, 8), CPU)
    assert (extractor.label, extractor.dims) == ("FD-pixel", 64)
    with pytest.raises(UsageError, match="several sizes"):
        open_extractor(FeatureOptions("pixel"), None, CPU)


@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 5, 7), None])
def test_torchscript(script, image_shape):
    extractor = open_extractor(FeatureOptions(str(script)), image_shape, CPU)
    assert (extractor.label, extractor.kernel_label, extractor.dims) == ("FD-means", "KD-means", 3)
    assert extractor.any_size
    assert extractor.costly
    sha256 = hashlib.sha256(script.read_bytes()).hexdigest()
    assert extractor.identity == {
        "extractor": "torchscript", "profile": "torchscript", "layer": "output", "dims": 3, "weights_sha256": sha256, "precision": "fp32",
    }  # fmt: skip
    x = pixels(9)
    torch.testing.assert_close(extractor(x), x.float().mean((2, 3)).expand(-1, 3), rtol=1e-6, atol=0)


def test_torchscript_is_identified_by_its_content(script):
    copy = script.with_name("copy.ts")
    shutil.copy(script, copy)
    first, second = (open_extractor(FeatureOptions(str(path)), (3, 8, 8), CPU) for path in (script, copy))
    assert first.identity == second.identity
    assert second.label == "FD-copy"


@pytest.mark.parametrize("name", ["gone.pt", "gone.safetensors"])
def test_missing_files(tmp_path, name):
    with pytest.raises(FileError, match=rf"{name}: no such file"):
        open_extractor(FeatureOptions(str(tmp_path / name)), (1, 8, 8), CPU)


def test_classifier(classifier):
    network, path = classifier
    extractor = open_extractor(FeatureOptions(str(path)), (1, 8, 8), CPU)
    assert (extractor.label, extractor.kernel_label, extractor.dims) == ("FD-classifier", "KD-classifier", 6)
    assert not extractor.any_size
    assert extractor.identity["layer"] == "penultimate"
    assert extractor.identity["weights_sha256"] == tensors_digest(prefixed("classifier", network))
    x = pixels(70)
    features = extractor(x)
    torch.testing.assert_close(features, network.features(x.float() / 255).detach(), rtol=1e-5, atol=1e-6)
    assert torch.equal(extractor(x[[5, 66]]), features[[5, 66]])
    assert features.std() > 0


@pytest.mark.parametrize(("image_shape", "found"), [((3, 8, 8), "3×8×8"), ((1, 8, 9), "1×8×9"), (None, "of several sizes")])
def test_a_classifier_refuses_other_image_shapes(classifier, image_shape, found):
    with pytest.raises(FileError, match=f"trained on images of 1×8×8, but these are {found}"):
        open_extractor(FeatureOptions(str(classifier[1])), image_shape, CPU)


def test_logits_of_inception_and_of_a_classifier(weights, classifier):
    """Logits of all classes; Inception's are without their bias, and absent if the file has no last layer."""
    network, path = classifier
    x = pixels(3)
    own = open_extractor(FeatureOptions(str(path)), (1, 8, 8), CPU)
    logits = own(x).double() @ own.classes.weight.T + own.classes.bias
    torch.testing.assert_close(logits.float(), network(x.float() / 255).detach(), rtol=1e-5, atol=1e-6)
    extractor = open_extractor(FeatureOptions(weights=weights), None, CPU)
    assert (extractor.classes.label, extractor.classes.bias) == ("IS (other weights)", None)
    assert torch.equal(extractor.classes.weight, load_file(weights)["fc.weight"].double())
    assert extractor.classes.weight.shape == (1008, extractor.dims)
    trunk = weights.with_name("trunk.safetensors")
    save_file({name: tensor for name, tensor in load_file(weights).items() if not name.startswith("fc.")}, trunk)
    assert open_extractor(FeatureOptions(weights=trunk), None, CPU).classes is None


def test_inception(weights):
    options = FeatureOptions(weights=weights, profile="tf", precision="bf16")
    extractor = open_extractor(options, None, CPU)
    assert (extractor.label, extractor.kernel_label) == ("FID (other weights, bf16)", "KID (other weights, bf16)")
    assert extractor.identity["profile"] == "tf"
    assert extractor.identity["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()


class Scaled(Extractor):
    """Pixels times a number; this imitates the error of a lower precision."""

    dims = 64

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, pixels):
        return self.scale * pixels.flatten(1).float() / 255


@pytest.fixture
def bf16_scale(monkeypatch):
    """Return a function that replaces Inception by pixels, multiplied by its argument in bf16."""

    def put(scale):
        monkeypatch.setattr(extractors, "InceptionExtractor", lambda *_, precision, **__: Scaled({"fp32": 1, "bf16": scale}[precision]))
        monkeypatch.setattr(extractors, "find_inception_weights", lambda *_, **__: None)
        monkeypatch.setattr(extractors, "load_inception_weights", lambda _: ({}, ""))

    return put


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.25])
def test_bf16_effect_closed_form(bf16_scale, scale):
    """Features times c multiply FD by c². The effect is |c² − 1| FD of the first images of both sides, for any division into blocks."""
    bf16_scale(scale)
    x, y = pixels(EFFECT_IMAGES + 9).numpy(), 255 - pixels(20, seed=1).numpy() // 2
    sides = []
    for rows in (x[:EFFECT_IMAGES], y):
        moments = Moments(64)
        moments.add(rows.reshape(len(rows), 64) / 255)
        sides.append(moments.statistics())
    effect = bf16_effect(FeatureOptions(precision="bf16"), CPU, [x[:100], x[100:110], x[110:]], [y])
    assert effect == pytest.approx(abs(scale**2 - 1) * frechet_distance(*sides), rel=1e-5)


def test_bf16_effect_needs_two_images(bf16_scale):
    bf16_scale(1)
    with pytest.raises(UsageError, match="at least 2"):
        bf16_effect(FeatureOptions(), CPU, [pixels(1).numpy()], [pixels(3).numpy()])
