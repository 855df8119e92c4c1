"""Compare gradients averaged in buckets with gradients averaged after the backward pass, in two processes.

Each process prints for every case: its name, the number of buckets sent, the number of gradients that came after the first bucket, the
largest difference over the largest gradient, and a digest of all gradients.
"""

import functools
import hashlib
import json
import os
import sys
from unittest import mock

import pytest
import torch
from torch import nn

from genrev_cli.models import build_model
from genrev_cli.training import buckets
from genrev_cli.training.batch_norm import share_statistics
from genrev_cli.training.distributed import average, joined, mean, rank
from genrev_cli.training.optim import Optimizer, descend

BYTES = 4096
"""Size of a bucket, so that small networks fill many."""


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(10 + rank()))


def seeded(make):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return make()


def convolutions(normed=False):
    norm = nn.BatchNorm2d(12) if normed else nn.Identity()
    return nn.Sequential(nn.Conv2d(3, 12, 3), norm, nn.ReLU(), nn.Conv2d(12, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(192, 10))


def revnet(memory):
    config = {"name": "revnet", "scales": [{"blocks": 3, "hidden": 16}], "image_shape": [3, 8, 8]}
    network = build_model(config)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)
    network.memory = memory
    return network


def plain():
    network = seeded(convolutions)
    return [(network, network(images(4, 3, 8, 8)).square().mean())]


def channels_last():
    network = seeded(convolutions).to(memory_format=torch.channels_last)
    return [(network, network(images(4, 3, 8, 8).to(memory_format=torch.channels_last)).square().mean())]


def transposed():
    """Return a case where a gradient and its parameter have different memory orders."""
    network = seeded(lambda: nn.ModuleList([nn.Linear(40, 30, bias=False), nn.Linear(30, 40, bias=False)]))
    return [(network, (images(5, 40) @ network[0].weight.T @ network[1].weight.T).square().mean())]


def two_losses():
    """Return a case where the second loss goes through the network of the first one, whose parameters are in both optimizers."""
    f, g = seeded(convolutions), seeded(lambda: nn.Linear(10, 300))
    codes = f(images(4, 3, 8, 8))
    return [(f, codes.square().mean()), (nn.ModuleList([f, g]), g(codes).abs().mean())]


def late():
    """Return a case where the gradient of the first layer is the last one, although its parameters are listed last."""
    network = seeded(lambda: nn.ModuleList([nn.Linear(50, 10), nn.Linear(60, 50), nn.Linear(40, 60)]))
    return [(network, network[0](network[1](network[2](images(5, 40)))).square().mean())]


def normed():
    """Return a case where batch norm sums over the processes during the backward pass."""
    network = seeded(lambda: convolutions(normed=True))
    share_statistics(network)
    return [(network, network(images(4, 3, 8, 8)).square().mean())]


def penalty():
    network = seeded(convolutions)
    x = images(4, 3, 8, 8).requires_grad_()
    (slope,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
    return [(network, mean(slope.flatten(1).norm(dim=1).mean() - 1).square() + network(x).mean())]


def invertible(memory):
    network = seeded(lambda: revnet(memory))
    return [(network, network.decode(network.encode(images(4, 3, 8, 8)) * 1.1).square().mean())]


@functools.cache
def compiled_network(normed):
    network = seeded(lambda: convolutions(normed))
    share_statistics(network)
    network.compile(backend="aot_eager")
    return network


def compiled(normed=False):
    """Return a case with one compiled graph, which contains batch norm's sums over processes. Hooks must not cause a second graph."""
    torch._dynamo.utils.counters.clear()
    network = compiled_network(normed)
    loss = network(images(4, 3, 8, 8)).square().mean()
    assert torch._dynamo.utils.counters["stats"].get("unique_graphs", 0) <= 1
    return [(network, loss)]


def low_precision():
    network = seeded(convolutions)
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(images(4, 3, 8, 8)).float().square().mean()
    return [(network, loss)]


CASES = {
    "plain": plain,
    "channels last": channels_last,
    "transposed": transposed,
    "two losses": two_losses,
    "late": late,
    "normed": normed,
    "penalty": penalty,
    "reversible": lambda: invertible("reversible"),
    "checkpoint": lambda: invertible("checkpoint"),
    "compiled": compiled,
    "compiled and normed": lambda: compiled(normed=True),
    "low precision": low_precision,
}


def taken(case):
    """Return the flat gradients that optimizers get from `descend`, the number of buckets, and that of gradients after the first one."""
    given, sent, late = [], [], []
    pairs = [(Optimizer([network], lr=0.0, max_grad_norm=0.0), loss) for network, loss in CASES[case]()]
    put, send = buckets._Bucket.put, buckets._Bucket.send
    with (
        mock.patch.multiple(
            buckets._Bucket,
            put=lambda self, *words: (late.append(len(sent) > 0), put(self, *words))[1],
            send=lambda self: (sent.append(self), send(self)),
        ),
        mock.patch.object(Optimizer, "apply", lambda self, gradients: given.extend(gradients)),
    ):
        descend(*pairs)
    return given, len(sent), sum(late)


def expected(case):
    """Return the same gradients, averaged after the backward pass."""
    pairs = [(list(network.parameters()), loss) for network, loss in CASES[case]()]
    return [part for parameters, loss in pairs for part in average(torch.autograd.grad(loss, parameters, retain_graph=len(pairs) > 1))]


def main():
    torch.set_num_threads(1)
    with joined(60.0, pytest.fail), mock.patch.multiple(buckets, FIRST_BYTES=BYTES // 4, BYTES=BYTES):
        for case in sys.argv[1:] or CASES:
            (found, sent, late), right = taken(case), expected(case)
            assert [part.shape for part in found] == [part.shape for part in right]
            found, right = (torch.cat([part.reshape(-1) for part in parts]) for parts in (found, right))
            difference = ((found - right).abs().max() / right.abs().max()).item()
            digest = hashlib.sha256(found.contiguous().numpy().tobytes()).hexdigest()
            print(json.dumps([case, sent, late, difference, digest]), flush=True)


if __name__ == "__main__":
    assert "RANK" in os.environ
    main()
