import math

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_fid import fid_score, inception
from torch import nn

from genrev_cli.bench.random_inception import drawn_weights
from genrev_cli.errors import DivergedError, FileError, UsageError
from genrev_cli.metrics import features
from genrev_cli.metrics.features import (
    InceptionExtractor,
    NetworkExtractor,
    PixelExtractor,
    fold_batch_norm,
    inception_trunk,
    resize_tf1,
)
from genrev_cli.metrics.frechet import Moments, frechet_distance
from genrev_cli.metrics.weights import SHA256_PREFIX


def pixels(n, channels=3, side=32, seed=0):
    return torch.randint(0, 256, (n, channels, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def moments_of(rows):
    moments = Moments(rows.shape[1])
    moments.add(rows)
    return moments.statistics()


def distance(extractor, a, b):
    return frechet_distance(moments_of(extractor(a)), moments_of(extractor(b)))


@pytest.fixture(scope="module")
def weights():
    return drawn_weights(0)


@pytest.fixture(scope="module")
def extractor(weights):
    return InceptionExtractor(weights, weights_sha256="0" * 64)


def test_parity_with_pytorch_fid(weights, extractor, tmp_path, monkeypatch):
    monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: weights)
    images = pixels(6)
    for i, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / f"{i}.png")
    files = sorted(tmp_path.glob("*.png"))
    theirs = fid_score.get_activations(files, inception.InceptionV3(), batch_size=6, num_workers=0)
    ours = extractor(images).numpy()
    assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs)
    # Features differ by rounding, 1e-5 of their spread (order of sums, folded batch norm); the distance must not change.
    ours_distance = frechet_distance(*(moments_of(rows) for rows in (ours[:3], ours[3:])))
    assert ours_distance == pytest.approx(distance_by_eigenvalues(theirs[:3], theirs[3:]), rel=1e-5)


def distance_by_eigenvalues(x, y):
    """Compute tr √(AB) as the sum of the roots of the eigenvalues, in the few dimensions that the rows span."""
    q = np.linalg.qr(np.concatenate([x, y]).T)[0]
    x, y = x @ q, y @ q
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(a @ b).real.clip(0)).sum()
    return np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a) + np.trace(b) - 2 * root


def network_extractor(network=lambda x: x.float().mean((2, 3)), *, dims, **options):
    """Build an extractor for any network, with made-up names."""
    names = {"name": "net", "label": "FD-net", "kernel_label": "KD-net", "layer": "last", "weights_sha256": "0" * 64}
    return NetworkExtractor(network, dims=dims, **names, **options)


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_linear_network_closed_form(batch):
    """x ↦ Wx/255: the distance of x and x + k is |W k/255|², and that of a set and its permutation 0."""
    w = torch.randn(3 * 8 * 8, 5, generator=torch.Generator().manual_seed(0))
    linear = network_extractor(lambda x: x.flatten(1).float() / 255 @ w, dims=5, image_shape=(3, 8, 8), batch=batch)
    x = torch.randint(0, 200, (12, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    expected = (w.double().sum(0) * 51 / 255).square().sum().item()
    assert distance(linear, x, x + 51) == pytest.approx(expected, rel=1e-5)
    assert distance(linear, x, x.flip(0)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("image_shape", [None, (3, 12, 12)])
def test_rows_of_a_network_do_not_depend_on_the_batch(image_shape):
    network = nn.Sequential(nn.Conv2d(3, 20, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(500, 37), nn.ReLU(), nn.Linear(37, 19))
    seen = set()

    def run(x):
        seen.add((tuple(x.shape), x.is_contiguous()))
        return network(x.float() / 255)

    extractor = network_extractor(run, dims=19, image_shape=image_shape)
    x = pixels(23, side=12, seed=3)  # the last batch lacks one image, so it is filled up; without .contiguous() it would keep its strides
    whole = extractor(x)
    assert whole.shape == (23, 19)
    assert whole.dtype == torch.float32
    assert not whole.requires_grad
    for rows in ([0], [20, 3, 7], list(range(22, -1, -1))):
        assert torch.equal(extractor(x[rows]), whole[rows])
    assert torch.equal(extractor(x.contiguous(memory_format=torch.channels_last)), whole)
    assert seen == {((8, 3, 12, 12), True)}


def test_network_of_any_size():
    """Gray becomes RGB, trailing axes of length one are removed, and lower precision is returned as float32."""
    extractor = network_extractor(lambda x: x.half().mean((2, 3), keepdim=True), dims=3)
    assert extractor.any_size
    assert extractor.costly
    gray = pixels(3, channels=1, side=5)
    features = extractor(gray)
    assert features.dtype == torch.float32
    assert torch.equal(features, extractor(gray.repeat(1, 3, 1, 1)))
    torch.testing.assert_close(features, gray.float().mean((2, 3)).expand(-1, 3), atol=0.1, rtol=0)
    assert extractor(pixels(2, side=9)).shape == (2, 3)
    assert extractor.identity["weights_sha256"] == "0" * 64


@pytest.mark.parametrize("output", [torch.zeros(8, 4), torch.zeros(8, 3, 2, 1), torch.zeros(3), torch.zeros(7, 3)])
def test_networks_must_give_rows(output):
    with pytest.raises(UsageError, match=r"FD-net returned .* not \(8, 3\)"):
        network_extractor(lambda _: output, dims=3)(pixels(2))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_networks_must_give_finite_values(value):
    with pytest.raises(DivergedError, match=r"FD-net returned NaN or infinite values"):
        network_extractor(lambda x: torch.full((len(x), 3), value), dims=3)(pixels(2))


def test_features_do_not_depend_on_the_batch(extractor):
    images = pixels(9, seed=1)  # more than one internal batch
    whole = extractor(images)
    assert whole.shape == (9, 2048)
    assert whole.dtype == torch.float32
    for rows in ([0], [8, 2, 5]):
        assert torch.equal(extractor(images[rows]), whole[rows])


def test_gray_is_replicated(extractor):
    gray = pixels(1, channels=1)
    assert torch.equal(extractor(gray), extractor(gray.repeat(1, 3, 1, 1)))


def test_bf16_is_close_and_named_in_the_label(weights, extractor):
    fast = InceptionExtractor(weights, weights_sha256="0" * 64, precision="bf16")
    images = pixels(1)
    ours, exact = fast(images), extractor(images)
    assert ours.dtype == torch.float32
    assert 0 < (ours - exact).norm() / exact.norm() < 0.1
    assert fast.identity != extractor.identity
    assert extractor.identity["weights_sha256"] == "0" * 64


@pytest.mark.parametrize(
    ("weights_sha256", "precision", "remarks"),
    [
        (SHA256_PREFIX + 56 * "0", "fp32", ""),
        (SHA256_PREFIX + 56 * "0", "bf16", " (bf16)"),
        (64 * "0", "fp32", " (other weights)"),
        ("", "bf16", " (other weights, bf16)"),
    ],
)
def test_other_weights_are_named_in_the_label(weights, weights_sha256, precision, remarks):
    made = InceptionExtractor(weights, weights_sha256=weights_sha256, precision=precision)
    assert (made.label, made.kernel_label) == (f"FID{remarks}", f"KID{remarks}")


def test_folding_batch_norm_changes_no_output():
    generator = torch.Generator().manual_seed(0)
    block = inception.FIDInceptionA(8, 4).double().eval()
    for tensor in block.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.2, 1.0, generator=generator)
    x = torch.randn(2, 8, 9, 9, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        before = block(x)
        after = fold_batch_norm(block)(x)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in block.modules())
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("height", "width", "size"), [(4, 4, 7), (5, 3, 11), (32, 32, 299), (9, 12, 5), (6, 6, 6)])
def test_resize_tf1_by_hand(height, width, size):
    x = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(size), dtype=torch.float64)

    def at(i, j):
        y0, x0 = math.floor(i * height / size), math.floor(j * width / size)
        dy, dx = i * height / size - y0, j * width / size - x0
        y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
        p = x[0, 0]
        return (1 - dy) * ((1 - dx) * p[y0, x0] + dx * p[y0, x1]) + dy * ((1 - dx) * p[y1, x0] + dx * p[y1, x1])

    out = resize_tf1(x, size)
    assert out.shape == (1, 1, size, size)
    for i in range(0, size, max(1, size // 7)):
        for j in range(0, size, max(1, size // 7)):
            assert out[0, 0, i, j].item() == pytest.approx(at(i, j).item(), abs=1e-12)


def test_resize_tf1_in_float32_does_not_leave_the_image():
    for side in range(1, 400, 7):
        x = torch.arange(side).float().expand(1, 1, side, side)
        assert torch.allclose(resize_tf1(x, 299)[0, 0, 0], (torch.arange(299) * (side / 299)).clamp_max(side - 1), atol=1e-4)


@pytest.mark.parametrize(
    ("profile", "low", "middle", "high"),
    [("pytorch-fid", -1, 256 / 255 - 1, 1), ("tf", -1, 0, 127 / 128), ("torchmetrics", -1, 0, 127 / 128)],
)
def test_profiles_of_constant_images(profile, low, middle, high):
    x = torch.tensor([0.0, 128.0, 255.0]).view(3, 1, 1, 1).expand(3, 3, 20, 20)
    out = features.PROFILES[profile](x)
    assert out.shape == (3, 3, 299, 299)
    torch.testing.assert_close(out, torch.tensor([low, middle, high]).view(3, 1, 1, 1).expand_as(out), atol=1e-6, rtol=0)


def test_profiles_differ_in_antialiasing_and_normalisation():
    x = pixels(1, side=400).float()
    prepared = {name: prepare(x) for name, prepare in features.PROFILES.items()}
    torch.testing.assert_close(prepared["torchmetrics"].mean(), prepared["tf"].mean(), atol=1e-2, rtol=0)
    assert prepared["torchmetrics"].std() < 0.9 * prepared["pytorch-fid"].std()  # antialiasing smooths when shrinking
    small = pixels(1, side=32).float()  # and does nothing when enlarging, so then only the normalisation differs
    a, b = (features.PROFILES[name](small) for name in ("pytorch-fid", "torchmetrics"))
    torch.testing.assert_close((a + 1) * 127.5, b * 128 + 128, atol=1e-3, rtol=0)


@pytest.mark.parametrize("change", ["missing", "shape", "foreign"])
def test_foreign_weights(weights, change):
    state = dict(weights)
    if change == "missing":
        del state["Mixed_6a.branch3x3.conv.weight"]
    elif change == "shape":
        state["Mixed_6a.branch3x3.conv.weight"] = torch.zeros(1)
    else:
        state["AuxLogits.conv0.conv.weight"] = torch.zeros(1)
    with pytest.raises(FileError, match="do not fit pytorch-fid's InceptionV3"):
        inception_trunk(state)


def test_weights_are_not_changed(weights):
    before = weights["Conv2d_1a_3x3.conv.weight"].clone()
    InceptionExtractor(weights, weights_sha256="")
    assert torch.equal(weights["Conv2d_1a_3x3.conv.weight"], before)


def test_damaged_weights_give_no_features(weights):
    state = weights | {"Mixed_7c.branch1x1.bn.bias": torch.full((320,), math.nan)}
    with pytest.raises(DivergedError, match="NaN or infinite"):
        InceptionExtractor(state, weights_sha256="")(pixels(1))


@pytest.mark.parametrize("options", [{"profile": "tensorflow"}, {"precision": "fp16"}])
def test_unknown_options(options):
    with pytest.raises(UsageError, match="choose"):
        InceptionExtractor({}, weights_sha256="", **options)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 55, 55), (1, 64, 64), (3, 64, 48)])
def test_pixel_closed_forms(shape):
    extractor = PixelExtractor(shape)
    assert (extractor.label, extractor.kernel_label) == ("FD-pixel", "KD-pixel")
    assert not extractor.any_size
    assert not extractor.costly
    assert extractor.dims <= features.MAX_PIXEL_DIMS
    constant = lambda value: torch.full((4, *shape), value, dtype=torch.uint8)  # noqa: E731
    d = extractor.dims
    assert distance(extractor, constant(10), constant(61)) == pytest.approx(d * 0.2**2, rel=1e-5)
    x = torch.randint(0, 200, (12, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert distance(extractor, x, x + 51) == pytest.approx(d * 0.2**2, rel=1e-5)
    assert distance(extractor, x, x.flip(0)) == pytest.approx(0, abs=1e-12 * d)
    assert torch.equal(extractor(x), torch.cat([extractor(part) for part in x.split(5)]))


def test_pixels_are_area_averaged():
    x = pixels(2, channels=3, side=64)
    expected = (x.double() / 255).view(2, 3, 32, 2, 32, 2).mean((3, 5)).flatten(1)
    torch.testing.assert_close(PixelExtractor((3, 64, 64))(x).double(), expected, atol=1e-6, rtol=0)
    assert PixelExtractor((3, 64, 64)).identity["layer"] == "3x32x32 area-averaged"
    assert torch.equal(PixelExtractor((3, 32, 32))(x[..., :32, :32]), (x[..., :32, :32].float() / 255).flatten(1))


@pytest.mark.parametrize("bad", [pixels(2).float(), pixels(2)[0], pixels(2, channels=2), pixels(0)])
def test_pixels_must_be_uint8_images(extractor, bad):
    for each in (extractor, PixelExtractor((3, 32, 32)), network_extractor(dims=3), network_extractor(dims=3, image_shape=(3, 32, 32))):
        with pytest.raises(UsageError, match="uint8 images"):
            each(bad)


@pytest.mark.parametrize("shape", [(3, 16, 32), (3, 32, 31)])
def test_image_sizes_must_agree(shape):
    for each in (PixelExtractor((3, 32, 32)), network_extractor(dims=3, image_shape=(3, 32, 32))):
        assert not each.any_size
        with pytest.raises(UsageError, match="resize one"):
            each(torch.zeros((2, *shape), dtype=torch.uint8))
