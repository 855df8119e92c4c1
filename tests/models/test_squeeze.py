"""The checkerboard squeeze: a permutation whose halves both cover the whole image (Schirrmeister et al. 2018, Figure 2)."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from genrev_cli.models import build_model
from genrev_cli.models.invertible import Squeeze, squeeze, unsqueeze

MAP = [[[0, 2], [8, 10]], [[5, 7], [13, 15]], [[1, 3], [9, 11]], [[4, 6], [12, 14]]]


def test_pixel_by_pixel():
    assert squeeze(torch.arange(16.0).view(1, 1, 4, 4)).tolist() == [MAP]


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (2, 3, 4, 6), (0, 1, 4, 4)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64])
def test_inverse_to_the_bit(shape, dtype):
    batch, channels, height, width = shape
    x = torch.randperm(batch * channels * height * width, generator=torch.Generator().manual_seed(0)).view(shape).to(dtype)
    y = squeeze(x)
    assert y.shape == (batch, 4 * channels, height // 2, width // 2)
    assert torch.equal(unsqueeze(y), x)
    assert torch.equal(squeeze(unsqueeze(y)), y)
    assert torch.equal(y.flatten().sort().values, x.flatten().sort().values)


@pytest.mark.parametrize(("function", "shape"), [(squeeze, (2, 2, 4, 2)), (unsqueeze, (2, 4, 2, 1))])
def test_gradients(function, shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradcheck(function, x)
    assert gradgradcheck(function, x)
    assert gradgradcheck(lambda x: function(x) ** 3, x)  # its second derivative is not zero


def test_streams_stay_apart():
    a, b = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4)
    for pair in (Squeeze()((a, b)), Squeeze().inverse((squeeze(a), squeeze(b)))):
        assert (pair[0] == 0).all()
        assert (pair[1] == 1).all()


def checkerboard(height, width):
    return (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 0


def test_both_halves_cover_every_colour():
    """The first half of the channels holds one colour of the checkerboard, in each of red, green and blue."""
    channels = torch.tensor([1.0] * 6 + [0.0] * 6).view(1, 12, 1, 1).expand(1, 12, 2, 2)
    assert torch.equal(unsqueeze(channels)[0].bool(), checkerboard(4, 4).expand(3, 4, 4))


def test_coverage_at_every_depth():
    """Six squeezes of 64×64×3 with zero weights: each 2×2 patch holds exactly six of twelve values from stream 1, at every depth."""
    for depth in range(1, 7):
        scales = [{"blocks": 1, "hidden": 1}] * depth
        model = build_model({"name": "revnet", "image_shape": [3, 64, 64], "scales": scales})
        for parameter in model.parameters():
            torch.nn.init.zeros_(parameter)
        z = torch.zeros(1, model.latent_dim)
        z[:, : model.latent_dim // 2] = 1
        x = model.decode(z)[0]
        assert torch.equal(x.bool(), checkerboard(64, 64).expand(3, 64, 64))
        assert (x.view(3, 32, 2, 32, 2).sum(dim=(0, 2, 4)) == 6).all()
        assert torch.equal(model.encode(x[None]), z)
