"""Time a training step of the MNIST INN: built from FrEIA's layers, and genrev's."""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from genrev_cli.bench.harness import Table
from genrev_cli.bench.peers import installed, left_out
from genrev_cli.bench.training_step import REVERSIBLE, Network, Problem, own_networks, peak_of_step, step_tables
from genrev_cli.config import read_recipe
from genrev_cli.latents import build_prior
from genrev_cli.methods.reconstruction import image_loss, latent_loss
from genrev_cli.models import Bijection, build_model
from genrev_cli.models.inn import INN
from genrev_cli.models.invertible import AffineConvBranch, AffineCoupling
from genrev_cli.models.invertible.affine import SLOPE
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.shapes import Images, Latents, Scalar

RECIPE = "inn-mnist"
IMAGE_SHAPE = (1, 28, 28)
BATCH = 64
STD = 0.05
PEER = "FrEIA"
TARGET_KB = 20


def inn_step(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure seconds, saved bytes and peak memory of encode, restrict, decode and backward, for the same weights and images."""
    batch = options.batch or BATCH
    problem, networks = make(batch, options.quick, device)
    count = sum(parameter.numel() for parameter in problem.parameters)
    notes = [
        f"{count:,} parameters, {batch} images, L = mean |x − x̂| + mean (z − ẑ)², the first 12 dimensions kept; "
        f"{REVERSIBLE} should keep at most {TARGET_KB} kB per image",
        "FrEIA's inverse Haar layer halves its input in place, so it gets a copy; without the copy the step raises an error"
        if _peer(networks)
        else left_out(PEER),
    ]
    title = f"training step of the MNIST INN on {device.type}"
    return step_tables(
        title,
        problem,
        networks,
        lambda name: peak_of_step(make, name, batch, options, device=device),
        options=options,
        progress=progress,
        notes=notes,
    )


def make(batch: int, quick: bool, device: torch.device) -> tuple[Problem, dict[str, Network]]:
    """Return the step and all implementations, FrEIA's first if it is installed."""
    recipe = read_recipe(RECIPE)
    table = recipe["model"] | ({"levels": [{"couplings": 1, "hidden": 8}], "hidden_dense": 8} if quick else {})
    model = build_model({**table, "image_shape": list(IMAGE_SHAPE)}).to(device)
    assert isinstance(model, INN)
    generator = torch.Generator().manual_seed(derive(0, "inn"))
    with torch.no_grad():
        for parameter in model.parameters():  # a fresh network is the identity, which would hide errors
            parameter.copy_(STD * torch.randn(parameter.shape, generator=generator))
    prior = build_prior({**recipe["prior"], "latent_dim": model.latent_dim}).to(device)
    x = torch.rand(batch, *IMAGE_SHAPE, generator=generator).to(device)
    problem = Problem(x, prior.restrict, _loss, list(model.parameters()))
    if not installed(PEER):
        return problem, own_networks(model, None, None)
    return problem, {"FrEIA SequenceINN": freia(model), **own_networks(model, 1 / 0.95, 1 / 0.6)}


def freia(model: Bijection) -> Network:
    """Return encoder and decoder of FrEIA's layers, with the parameters of `model`, an INN, on its device."""
    assert isinstance(model, INN)
    theirs = freia_network(model).to(next(model.parameters()).device)
    return Network(lambda x: theirs(x)[0].flatten(1), lambda z: _decode(theirs, z))


def _peer(networks: dict[str, Network]) -> bool:
    return any(name.startswith(PEER) for name in networks)


def _loss(x: Images, x_hat: Images, z: Latents, z_hat: Latents) -> Scalar:
    """L_x + L_z   (Nguyen et al. 2019, eq. 5)"""
    return image_loss(x, x_hat) + latent_loss(z, z_hat)


def _decode(network: nn.Module, z: Latents) -> Images:
    return network(z.clone().unflatten(1, IMAGE_SHAPE), rev=True)[0]


def freia_network(model: INN) -> nn.Module:
    """Build the same network from FrEIA's layers. It shares the parameters of `model`."""
    from FrEIA import framework, modules

    *convolutional, dense = [layer for layer in model.chain.layers if isinstance(layer, AffineCoupling)]
    network = framework.SequenceINN(*model.image_shape)
    network.append(modules.HaarDownsampling)
    for coupling in convolutional:
        branches = iter((coupling.G, coupling.F))  # FrEIA's first subnet makes s₁ and t₁
        network.append(modules.GLOWCouplingBlock, subnet_constructor=_taking(map(_conv_branch, branches)), clamp=model.config["clamp"])
    network.append(modules.Flatten)
    parts = iter([_dense_branch(dense.G, "s"), _dense_branch(dense.G, "t"), _dense_branch(dense.F, "s"), _dense_branch(dense.F, "t")])
    network.append(modules.RNVPCouplingBlock, subnet_constructor=_taking(parts), clamp=model.config["clamp"])
    network.append(modules.Reshape, output_dims=(4 * model.image_shape[0], model.image_shape[1] // 2, model.image_shape[2] // 2))
    network.append(modules.HaarUpsampling)
    return network


def _taking(subnets: Iterator[nn.Module]) -> Callable[[int, int], nn.Module]:
    return lambda inputs, outputs: next(subnets)


def _conv_branch(branch: nn.Module) -> nn.Module:
    """Return the branch as in FrEIA's examples, with activations that are not in place."""
    assert isinstance(branch, AffineConvBranch)
    return nn.Sequential(branch.conv1, nn.LeakyReLU(SLOPE), branch.conv2, nn.LeakyReLU(SLOPE), branch.conv3)


def _dense_branch(branch: nn.Module, part: str) -> nn.Module:
    return nn.Sequential(getattr(branch, f"{part}1"), nn.ReLU(), getattr(branch, f"{part}2"))
