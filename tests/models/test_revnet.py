"""The reversible network of Schirrmeister et al. 2018: initialisation, padding, coupling by hand, and settings that are refused."""

import pytest
import torch
from torch import nn

from genrev_cli.errors import UsageError
from genrev_cli.models import build_model
from genrev_cli.models.invertible import AdditiveCoupling


def revnet(image_shape, *scales):
    scales = [dict(zip(("blocks", "hidden", "kernel"), scale, strict=True)) for scale in scales]
    return {"name": "revnet", "image_shape": list(image_shape), "scales": scales}


def test_initialisation():
    """Xavier-uniform weights with gain 1, i.e. within ±√(6 / (fan_in + fan_out)), and zero biases, as in the authors' MNIST notebook."""
    torch.manual_seed(0)
    model = build_model(revnet((3, 8, 8), (1, 50, 3)))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all()
        else:
            bound = (6 / (9 * (50 + 6))) ** 0.5
            assert 0.98 * bound < parameter.abs().max() <= bound
            assert parameter.var().item() == pytest.approx(bound**2 / 3, rel=0.1)


def test_the_other_initialisation_is_torchs():
    """Weights and biases are uniform within ±1/√(fan in), as in the authors' CelebA notebooks, which call no initialisation."""
    torch.manual_seed(0)
    model = build_model({**revnet((3, 8, 8), (2, 50, 3)), "init": "default"})
    for name, parameter in model.named_parameters():
        bound = 1 / (9 * (50 if ".outer." in name else 6)) ** 0.5
        assert 0 < parameter.abs().max() <= bound
        if name.endswith("weight"):
            assert parameter.var().item() == pytest.approx(bound**2 / 3, rel=0.1)


@pytest.mark.parametrize(("given", "kept"), [({}, {}), ({"init": "xavier"}, {}), ({"init": "default"}, {"init": "default"})])
def test_older_headers_mean_xavier(given, kept):
    """The key is written only where it is not 'xavier', so headers without it keep their meaning."""
    config = build_model({**revnet((1, 8, 8), (1, 4, 3)), **given}).config
    assert config == {**revnet((1, 8, 8), (1, 4, 3)), **kept}
    torch.manual_seed(0)
    again = build_model(config)
    assert all((parameter == 0).all() == (not kept) for name, parameter in again.named_parameters() if name.endswith("bias"))


def test_padding_is_cropped():
    """28 → 32: two rows of zeros on every side go into the latent, and the decoder crops them."""
    scales = [(0, 1, 1)] * 4
    model = build_model(revnet((1, 28, 28), *scales))
    x = 1 + torch.rand(4, 1, 28, 28)
    z = model.encode(x)
    assert z.shape == (4, 1024)
    assert (z == 0).sum(dim=1).tolist() == [1024 - 784] * 4
    padded = build_model(revnet((1, 32, 32), *scales)).decode(z)
    assert torch.equal(padded[:, :, 2:30, 2:30], x)
    assert torch.equal(model.decode(z), x)


def test_coupling_is_the_equation():
    """y₁ = x₁ + F(x₂), y₂ = x₂ + G(y₁) with F, G by hand (eq. 1)."""

    class Times(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def forward(self, x):
            return self.factor * x

    coupling = AdditiveCoupling(Times(2.0), Times(10.0))
    assert coupling((torch.tensor(1.0), torch.tensor(3.0))) == (7.0, 73.0)
    assert coupling.inverse((torch.tensor(7.0), torch.tensor(73.0))) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "name = None is unknown; choose convolutional"),
        ({"name": "renvet"}, "name = 'renvet' is unknown"),
        ({"name": "revnet", "image_shape": [1, 8, 8]}, "key 'scales' is missing"),
        (revnet((1, 8, 8)), "0 scales at least 1"),
        (revnet((0, 8, 8), (1, 8, 3)), "must be positive"),
        (revnet((1, 8), (1, 8, 3)), "image_shape: must have 3 values, not 2"),
        (revnet((1, 8, 8), (-1, 8, 3)), "blocks must be 0 to 1000"),
        (revnet((1, 8, 8), (1, 0, 3)), "hidden at least 1"),
        (revnet((1, 8, 8), (1, 8, 2)), "the kernel odd"),
        (revnet((1, 8, 8), (1, 8, -1)), "the kernel odd"),
        ({**revnet((1, 8, 8), (1, 8, 3)), "init": "he"}, "init = 'he'; choose xavier or default"),
        (revnet((1, 8, 8), *[(1, 8, 3)] * 5), "5 scales are too many for images of 8×8"),
        ({**revnet((1, 8, 8), (1, 8, 3)), "scale": 1}, "unknown key 'scale'; did you mean 'scales'?"),
        (
            {"name": "revnet", "image_shape": [1, 8, 8], "scales": [{"blocks": 1, "hiden": 8}]},
            "unknown key 'hiden'; did you mean 'hidden'?",
        ),
    ],
)
def test_bad_configs(config, said):
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        build_model(config)
