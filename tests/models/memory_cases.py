"""Networks, memory modes and a loss through both directions, for the tests of the backward pass."""

import pytest
import torch
from torch import nn

from genrev_cli.models import build_model


def revnet(image_shape, *scales, **settings):
    scales = [dict(zip(("blocks", "hidden", "kernel"), scale, strict=True)) for scale in scales]
    return {"name": "revnet", "image_shape": list(image_shape), "scales": scales, **settings}


def inn(image_shape, *levels, dense=5, clamp=1.0):
    levels = [dict(zip(("couplings", "hidden"), level, strict=True)) for level in levels]
    return {"name": "inn", "image_shape": list(image_shape), "levels": levels, "hidden_dense": dense, "clamp": clamp}


NETWORKS = {
    "revnet": revnet((3, 16, 16), (2, 9, 3), (1, 12, 3), (1, 10, 3), (1, 20, 1)),  # down to 1×1
    "revnet-padded": revnet((1, 6, 5), (1, 6, 3), (2, 7, 5)),
    "revnet-ends-on-a-squeeze": revnet((1, 8, 8), (1, 6, 3), (0, 1, 1)),
    "inn": inn((1, 8, 8), (2, 8), (1, 6), dense=9),
    "inn-padded": inn((1, 6, 5), (1, 6), (2, 7), dense=0),
    "inn-dense-only": inn((2, 2, 2), (0, 1)),
}
every_network = pytest.mark.parametrize("network", NETWORKS)
every_saving = pytest.mark.parametrize("memory", ["reversible", "checkpoint"])


def built(network, memory="plain", dtype=torch.float32, gain=1.0):
    """Build a network with a little noise on parameters that start at zero, and all weights times `gain`."""
    torch.manual_seed(0)
    model = build_model(NETWORKS[network] if isinstance(network, str) else network)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
            parameter *= gain
    model.memory = memory
    return model.to(dtype)


def images(model, n=4, dtype=torch.float32):
    return torch.rand(n, *model.image_shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def restricted(z):
    """Keep the first third of the dimensions, clipped, and set the rest to zero."""
    active = torch.arange(z.shape[1], device=z.device) < z.shape[1] // 3
    return torch.where(active, z.clamp(-1, 1), 0)


def loss(model, x):
    """Compute a loss of encode → restrict → decode."""
    z = model.encode(x)
    return (x - model.decode(restricted(z))).abs().mean() + z.square().mean()


def loss_log_det(model, x):
    """Compute the same loss with both log-determinants added."""
    z, encoded = model.encode_log_det(x)
    x_hat, decoded = model.decode_log_det(restricted(z))
    return (x - x_hat).abs().mean() + z.square().mean() + (encoded + decoded.square()).mean()


def gradient(model, x, of=loss, inputs=None, **options):
    """Return the gradient with respect to the trained parameters, or to `inputs`, as one vector."""
    inputs = [parameter for parameter in model.parameters() if parameter.requires_grad] if inputs is None else inputs
    return torch.cat([part.flatten() for part in torch.autograd.grad(of(model, x), inputs, **options)])


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()
