"""Haar squeeze, affine coupling and the network built from them (Nguyen, Ardizzone & Köthe 2019)."""

import math

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from genrev_cli.errors import UsageError
from genrev_cli.models import build_model
from genrev_cli.models.invertible import AffineConvBranch, AffineCoupling, AffineDenseBranch, Haar, haar, unhaar


def randn(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def noisy(module, std=0.2):
    """Add noise to all parameters, so that the last layers are not zero and there is something to invert."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=std)
    return module


def inn(image_shape=(1, 4, 4), levels=((1, 3), (1, 3)), **settings):
    levels = [{"couplings": couplings, "hidden": hidden} for couplings, hidden in levels]
    return build_model({"name": "inn", "image_shape": list(image_shape), "levels": levels, "hidden_dense": 5, **settings})


def test_haar_by_hand():
    """Outputs are ½ of the sum and of the differences of columns, rows and both; the channels of an image stay apart."""
    x = torch.tensor([[[[1.0, 2.0], [3.0, 10.0]], [[4.0, 4.0], [4.0, 4.0]]]])
    assert haar(x).flatten().tolist() == [8, -4, -5, 3, 8, 0, 0, 0]


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (2, 3, 4, 6), (0, 1, 4, 4)])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.float64, 1e-15)])
def test_haar_is_orthonormal(shape, dtype, bound):
    x = randn(*shape, dtype=dtype)
    before = x.clone()
    y = haar(x)
    assert y.shape == (shape[0], 4 * shape[1], shape[2] // 2, shape[3] // 2)
    torch.testing.assert_close(unhaar(y), x, rtol=0, atol=bound * 4)
    torch.testing.assert_close(y.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1), rtol=bound * 10, atol=0)
    assert torch.equal(x, before)


def test_haar_matrix():
    jacobian = torch.func.jacrev(lambda x: haar(x[None])[0])(randn(2, 4, 2)).reshape(16, 16)
    torch.testing.assert_close(jacobian @ jacobian.T, torch.eye(16, dtype=torch.float64), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("function", "shape"), [(haar, (2, 2, 4, 2)), (unhaar, (2, 4, 2, 1))])
def test_haar_gradients(function, shape):
    x = randn(*shape).requires_grad_()
    assert gradcheck(function, x)
    assert gradgradcheck(lambda x: function(x) ** 3, x)


def test_haar_of_the_streams_equals_haar_of_the_image():
    """Therefore inverse squeezes may act on the joined streams."""
    x = randn(2, 4, 4, 4)
    assert torch.equal(torch.cat(Haar()(x.chunk(2, dim=1)), dim=1), haar(x))


class Fixed(nn.Module):
    """s and t that do not depend on the other stream."""

    def __init__(self, s, t):
        super().__init__()
        self.s, self.t = s, t

    def forward(self, x):
        return torch.full_like(x, self.s), torch.full_like(x, self.t)


@pytest.mark.parametrize("clamp", [0.5, 1.0, 3.0])
def test_affine_coupling_is_the_equation(clamp):
    """y₁ = x₁·exp(s₂) + t₂, y₂ = x₂·exp(s₁) + t₁ with s softly clamped (eq. 1, 2)."""
    coupling = AffineCoupling(Fixed(2.0, 10.0), Fixed(-1.0, 20.0), clamp)
    s2, s1 = (clamp * 0.636 * math.atan(s / clamp) for s in (2.0, -1.0))
    x = (torch.tensor([[3.0]], dtype=torch.float64), torch.tensor([[5.0]], dtype=torch.float64))
    y, log_det = coupling.forward_log_det(x)
    assert [stream.item() for stream in y] == pytest.approx([3 * math.exp(s2) + 10, 5 * math.exp(s1) + 20], rel=1e-14)
    assert log_det.item() == pytest.approx(s1 + s2, rel=1e-14)
    assert [stream.item() for stream in coupling.inverse(y)] == pytest.approx([3, 5], rel=1e-14)


@pytest.mark.parametrize("s", [-1e30, 1e30])
def test_the_scale_stays_within_the_clamp(s):
    x = torch.ones(1, 1)
    (y1, _), log_det = AffineCoupling(Fixed(s, 0.0), Fixed(0.0, 0.0), 2.0).forward_log_det((x, x))
    assert 0.99 * 2 < abs(log_det.item()) < 2
    assert y1.item() == pytest.approx(math.exp(log_det.item()))


@pytest.mark.parametrize("branch", [lambda: AffineConvBranch(3, 7), lambda: AffineDenseBranch(3 * 4 * 2, 7)], ids=["conv", "dense"])
def test_branches(branch):
    """The authors' initialisation gives the identity; with other weights the inverse undoes the coupling."""
    streams = randn(2, 3, 4, 2), randn(2, 3, 4, 2, seed=1)
    coupling = AffineCoupling(branch().double(), branch().double(), 1.0)
    assert all(torch.equal(a, b) for a, b in zip(coupling(streams), streams, strict=True))
    noisy(coupling)
    out, log_det = coupling.forward_log_det(streams)
    assert all(not torch.equal(a, b) for a, b in zip(out, streams, strict=True))
    back, minus = coupling.inverse_log_det(out)
    for a, b in zip(back, streams, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(minus, -log_det, rtol=1e-13, atol=1e-13)


def test_conv_branch_layer_by_layer():
    """conv · LeakyReLU(0.1) · conv · LeakyReLU(0.1) · conv; the first half of its outputs is s."""
    branch, x = noisy(AffineConvBranch(2, 5)).double(), randn(3, 2, 4, 4)
    leaky = nn.LeakyReLU(0.1)
    s, t = branch.conv3(leaky(branch.conv2(leaky(branch.conv1(x))))).split(2, dim=1)
    assert all(torch.equal(a, b) for a, b in zip(branch(x), (s, t), strict=True))


def test_scale_and_exponent_are_in_float32_under_autocast():
    """exp(s)·exp(−s) in bfloat16 would differ from 1 by 2e-3. Rounding t does no harm: what was added is subtracted."""
    streams = randn(64, 3, 4, 4, dtype=torch.float32), randn(64, 3, 4, 4, dtype=torch.float32, seed=1)
    coupling = noisy(AffineCoupling(AffineConvBranch(3, 7), AffineConvBranch(3, 7), 1.0))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        out, log_det = coupling.forward_log_det(streams)
        back = coupling.inverse(out)
    assert {tensor.dtype for tensor in (*out, *back, log_det)} == {torch.float32}
    assert (back[1] - streams[1]).abs().max() < 1e-5  # s and t are functions of y₁, which the inverse has to the bit


def test_branches_keep_each_hidden_map_once():
    """The activations work in place, so each branch keeps its two hidden maps only once for the backward pass."""
    branch, x = AffineConvBranch(2, 50), torch.rand(4, 2, 8, 8)
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.untyped_storage().data_ptr(), t), lambda t: t):
        branch(x)
    hidden = [t for t in kept.values() if t.shape == (4, 50, 8, 8)]
    assert len(hidden) == 2


def test_fresh_weights_are_the_identity():
    """Therefore the latent has the layout of the image, and its first entries are the first rows."""
    model = inn((3, 12, 8)).double()
    x = torch.rand(2, 3, 12, 8, dtype=torch.float64)
    torch.testing.assert_close(model.encode(x), x.flatten(1), rtol=0, atol=1e-15)
    spread = torch.stack([parameter.std() for name, parameter in model.named_parameters() if "conv1.weight" in name])
    torch.testing.assert_close(spread, torch.full_like(spread, 0.1), rtol=0.3, atol=0)


def test_clamp_bounds_the_log_determinant():
    """Each of n couplings scales every dimension once, by at most exp(±clamp)."""
    model = noisy(inn(levels=((2, 3), (1, 3)), clamp=0.25), std=3.0).double()
    _, log_det = model.encode_log_det(randn(5, 1, 4, 4))
    assert (log_det.abs() < 4 * 0.25 * 16).all()
    assert log_det.abs().max() > 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"levels": ()}, "0 levels at least 1"),
        ({"image_shape": (1, 1, 1)}, "inn: images of 1×1 cannot be halved 2 times; use fewer levels"),
        ({"image_shape": (1, 0, 28)}, r"image shape \(1, 0, 28\) must be positive"),
        ({"levels": ((-1, 3),)}, "couplings must be 0 to 1000"),
        ({"levels": ((1, 0),)}, "hidden at least 1"),
        ({"hidden_dense": -1}, "hidden_dense = -1"),
        ({"clamp": 0.0}, "clamp = 0.0"),
        ({"clap": 1.0}, "did you mean 'clamp'"),
    ],
)
def test_bad_configs(settings, said):
    with pytest.raises(UsageError, match=said):
        inn(**settings)


class Joined(nn.Module):
    """A branch in FrEIA's form: s and t in one tensor."""

    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return torch.cat(self.branch(x), dim=1)


class Part(nn.Module):
    """The s or the t of a branch. FrEIA's coupling of vectors calls them separately."""

    def __init__(self, branch, number):
        super().__init__()
        self.branch, self.number = branch, number

    def forward(self, x):
        return self.branch(x)[self.number]


def freia_of(model, image_shape):
    """Build the same network from FrEIA's layers, with the branches of `model`."""
    modules = pytest.importorskip("FrEIA.modules")
    framework = pytest.importorskip("FrEIA.framework")
    *convolutional, dense = [layer for layer in model.chain.layers if isinstance(layer, AffineCoupling)]
    net = framework.SequenceINN(*image_shape)
    net.append(modules.HaarDownsampling)
    for coupling in convolutional:
        branches = iter((coupling.G, coupling.F))  # subnet1 gives s₁ and t₁
        net.append(modules.GLOWCouplingBlock, subnet_constructor=lambda a, b, left=branches: Joined(next(left)), clamp=1.0)
    net.append(modules.Flatten)
    parts = iter([Part(dense.G, 0), Part(dense.G, 1), Part(dense.F, 0), Part(dense.F, 1)])
    net.append(modules.RNVPCouplingBlock, subnet_constructor=lambda a, b: next(parts), clamp=1.0)
    return net.double()


def test_equals_freia():
    """Values and log-determinants equal those of the authors' library, in its order of channels."""
    shape = (3, 4, 6)
    model = noisy(inn(shape, levels=((2, 5),))).double()
    x = randn(3, *shape)
    z, log_det = model.encode_log_det(x)
    flat, expected = freia_of(model, shape)(x)
    torch.testing.assert_close(haar(z.unflatten(1, shape)).flatten(1), flat, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_det, expected, rtol=1e-12, atol=1e-12)


def test_haar_equals_freia():
    modules = pytest.importorskip("FrEIA.modules")
    x = randn(2, 3, 4, 6)
    (y,), log_det = modules.HaarDownsampling([(3, 4, 6)]).double()([x])
    torch.testing.assert_close(haar(x), y, rtol=1e-15, atol=1e-15)
    assert float(log_det) == pytest.approx(0, abs=1e-12)
