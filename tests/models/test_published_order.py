"""The RevNet equals a plain transcription of the paper: one tensor, split and joined around every step, as in the authors' code."""

import torch
import torch.nn.functional as F

from genrev_cli.models.invertible import AdditiveCoupling, Squeeze
from genrev_cli.models.revnet import RevNet, Scale


def _squeeze(x):
    return torch.cat((x[:, :, 0::2, 0::2], x[:, :, 1::2, 1::2], x[:, :, 0::2, 1::2], x[:, :, 1::2, 0::2]), dim=1)


def _branch(branch, x):
    hidden = F.conv2d(x, branch.inner.weight, branch.inner.bias, padding=branch.inner.weight.shape[-1] // 2)
    return F.conv2d(F.relu(hidden), branch.outer.weight, branch.outer.bias, padding=branch.outer.weight.shape[-1] // 2)


def _encode(net, x):
    x = _squeeze(F.pad(x, net.padding))
    for layer in net.chain.layers:
        x1, x2 = x.chunk(2, dim=1)
        if isinstance(layer, Squeeze):
            x = torch.cat((_squeeze(x1), _squeeze(x2)), dim=1)
        else:
            assert isinstance(layer, AdditiveCoupling)
            y1 = x1 + _branch(layer.F, x2)
            x = torch.cat((y1, x2 + _branch(layer.G, y1)), dim=1)
    return x.flatten(1)


def test_encode_equals_the_transcription_to_the_bit():
    torch.manual_seed(0)
    net = RevNet((3, 14, 14), (Scale(2, 5), Scale(2, 7), Scale(1, 6, 1)))  # padded to 16
    x = torch.rand(4, 3, 14, 14)
    assert torch.equal(net.encode(x), _encode(net, x))


def test_volume_preserving():
    """|det ∂z/∂x| = 1, because additive couplings are shears and squeezes are permutations."""
    torch.manual_seed(0)
    net = RevNet((1, 8, 8), (Scale(1, 8), Scale(1, 8))).double()
    jacobian = torch.func.jacrev(lambda x: net.encode(x[None])[0])(torch.rand(1, 8, 8, dtype=torch.float64)).reshape(64, 64)
    assert abs(torch.linalg.slogdet(jacobian).logabsdet) < 1e-10
