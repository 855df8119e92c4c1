"""The FID's Inception network with random weights: the same work as with the published weights, without a download."""

import math

import torch
from pytorch_fid import inception as pytorch_fid
from torch import Tensor, nn

from genrev_cli.metrics.features import inception_trunk


def drawn_weights(seed: int) -> dict[str, Tensor]:
    """Return a state dict with the published names: convolutions drawn as in He et al. 2015, batch norms close to the identity."""
    with torch.device("meta"):
        shapes = pytorch_fid._inception_v3(num_classes=1008, aux_logits=False, weights=None).state_dict()
    generator, state = torch.Generator().manual_seed(seed), {}
    for name, like in shapes.items():
        if like.ndim > 1:
            state[name] = torch.empty(like.shape).normal_(0, math.sqrt(2 / math.prod(like.shape[1:])), generator=generator)
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(like.shape, dtype=like.dtype)
        else:
            low, high = (0.8, 1.2) if name.endswith(("bn.weight", "running_var")) else (-0.1, 0.1)
            state[name] = torch.empty(like.shape).uniform_(low, high, generator=generator)
    return state


def random_inception_weights(seed: int) -> dict[str, Tensor]:
    """Return `drawn_weights` with batch norms that hold the moments of a batch of noise images.

    Without them the activations shrink or grow over 94 layers, and rounding errors could not be compared.
    """
    state, generator = drawn_weights(seed), torch.Generator().manual_seed(seed)
    trunk = inception_trunk(state)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        trunk.train()(2 * torch.rand((4, 3, 299, 299), generator=generator) - 1)
    return state | trunk.state_dict()


def pytorch_fid_network(state: dict[str, Tensor]) -> pytorch_fid.InceptionV3:
    """Return pytorch-fid's own module in evaluation mode, with the given weights.

    Its constructor would download the published weights. So it is not called, and its four blocks are set here.
    """
    stages = inception_trunk(state)
    network = pytorch_fid.InceptionV3.__new__(pytorch_fid.InceptionV3)
    nn.Module.__init__(network)
    network.resize_input = network.normalize_input = True
    network.last_needed_block = pytorch_fid.InceptionV3.DEFAULT_BLOCK_INDEX
    network.output_blocks = [network.last_needed_block]
    last = nn.Sequential(*stages[15:], nn.AdaptiveAvgPool2d((1, 1)))
    network.blocks = nn.ModuleList([stages[:4], stages[4:7], stages[7:15], last])
    return network.eval()
