"""A training step of the MNIST INN: FrEIA's layers as its users put them together, and ours."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from genrev_cli.bench.harness import BenchOptions, Table, Variant, alternate, compared
from genrev_cli.config import read_recipe
from genrev_cli.errors import UnavailableError
from genrev_cli.models import build_model
from genrev_cli.models.inn import INN
from genrev_cli.models.invertible import AffineCoupling
from genrev_cli.models.invertible.affine import SLOPE
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.shapes import Images, Latents
from genrev_cli.stages.devices import has_bf16

RECIPE = "inn-mnist"
IMAGE_SHAPE = (1, 28, 28)
BATCH = 64
DIMS = 12
NOISE = 0.02


def inn_step(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Seconds of encode, restrict, decode and backward (without the optimizer), from the same weights on the same images.

    Raises UnavailableError without FrEIA.
    """
    table = read_recipe(RECIPE)["model"] | ({"levels": [{"couplings": 1, "hidden": 8}], "hidden_dense": 8} if options.quick else {})
    ours = build_model({**table, "image_shape": list(IMAGE_SHAPE)}).to(device)
    generator = torch.Generator().manual_seed(derive(0, "inn"))
    with torch.no_grad():
        for parameter in ours.parameters():  # a fresh network is the identity, of which nothing could be told apart
            parameter.add_(NOISE * torch.randn(parameter.shape, generator=generator).to(device))
    theirs, parameters = freia_network(ours).to(device), list(ours.parameters())
    x = torch.rand(BATCH, *IMAGE_SHAPE, generator=generator).to(device)
    variants = [
        Variant("FrEIA SequenceINN", _step(lambda x: theirs(x)[0].flatten(1), lambda z: _freia_decode(theirs, z), parameters, x)),
        Variant("genrev fp32", _step(ours.encode, ours.decode, parameters, x), target=1 / 0.95),
    ]
    notes = [
        f"{ours.parameter_count():,} parameters, {BATCH} images, {DIMS} of {ours.latent_dim} dimensions kept; "
        "error: of the gradient, relative to FrEIA's in the Euclidean norm",
        "FrEIA's inverse Haar layer halves its input in place; it is given a copy, without which the step would raise an error",
    ]
    if options.bf16 or has_bf16(device):
        variants.append(Variant("genrev bf16", _step(ours.encode, ours.decode, parameters, x, bf16=True), target=1 / 0.6))
    else:
        notes.append("bf16 left out: this CPU has no AVX512_BF16 or AMX and emulates it, slower than fp32; --bf16 measures it all the same")
    timings = alternate(variants, options.rounds, f"INN training step on {device.type}", progress)
    rows = compared(timings, lambda gradient: ((gradient - timings[0].result).norm() / timings[0].result.norm()).item())
    return [Table(f"training step of the MNIST INN on {device.type}", rows, tuple(notes))]


def _freia_decode(network: nn.Module, z: Latents) -> Images:
    return network(z.clone().unflatten(1, IMAGE_SHAPE), rev=True)[0]


def _step(
    encode: Callable[[Images], Latents],
    decode: Callable[[Latents], Images],
    parameters: list[nn.Parameter],
    x: Images,
    bf16: bool = False,
) -> Callable[[], Tensor]:
    """One step's gradient as a vector: L = mean |x − x̂| + mean z² over the dimensions that are cut off   (Nguyen et al. 2019, eq. 5)"""

    def run() -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            z = encode(x)
            kept = torch.cat([z[:, :DIMS], torch.zeros_like(z[:, DIMS:])], dim=1)
            x_hat = decode(kept)
        loss = (x - x_hat).abs().mean() + (z - kept).square().mean()
        return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, parameters)])

    return run


def freia_network(model: INN) -> nn.Module:
    """The same network of FrEIA's layers, on the very weights of `model`.

    Raises UnavailableError without FrEIA.
    """
    try:
        from FrEIA import framework, modules
    except ImportError as error:
        raise UnavailableError("bench inn: FrEIA is not installed; pip install 'genrev-cli[bench]'") from error
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
    """As FrEIA's users write it: activations not in place."""
    return nn.Sequential(branch.conv1, nn.LeakyReLU(SLOPE), branch.conv2, nn.LeakyReLU(SLOPE), branch.conv3)


def _dense_branch(branch: nn.Module, part: str) -> nn.Module:
    return nn.Sequential(getattr(branch, f"{part}1"), nn.ReLU(), getattr(branch, f"{part}2"))
