"""Time a training step of the CelebA RevNet with the published layers, memcnn's and genrev's, and measure their memory by depth."""

from functools import partial
from typing import Any

import torch
from torch import nn

from genrev_cli.bench.harness import Table
from genrev_cli.bench.peers import installed, left_out
from genrev_cli.bench.published_revnet import PublishedRevNet, memcnn_block
from genrev_cli.bench.saved import saved_bytes
from genrev_cli.bench.training_step import CHECKPOINT, PLAIN, REVERSIBLE, Network, Problem, loss_of, own_networks, peak_of_step, step_tables
from genrev_cli.config import read_recipe
from genrev_cli.latents import build_prior
from genrev_cli.methods.reconstruction import image_loss, latent_loss
from genrev_cli.models import Bijection, build_model
from genrev_cli.models.revnet import RevNet
from genrev_cli.progress import Progress
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.shapes import Images, Latents, Scalar

RECIPE = "grn-celeba64"
IMAGE_SHAPE = (3, 64, 64)
BATCH = 16
PUBLISHED, MEMCNN = "published layers", "memcnn"
BLOCKS = (2, 4, 8, 16)
BATCH_OF_DEPTH = 2
BIASES = 0.01
TARGET_KB = 250


def revnet_step(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure seconds, saved bytes and peak memory of encode, restrict, decode and backward, for the same weights and images."""
    batch = options.batch or BATCH
    problem, networks = make(batch, options.quick, device)
    count = sum(parameter.numel() for parameter in problem.parameters)
    notes = [f"{count:,} parameters, {batch} images, L = 10 mean |x − x̂| + 10 mean (z − ẑ)², 64 active dimensions within ±2"]
    if MEMCNN in networks:
        notes.append(f"{MEMCNN} keeps tensors that autograd's hooks do not see; only its peak includes them")
    else:
        notes.append(left_out(MEMCNN))
    title = f"training step of the CelebA RevNet on {device.type}"
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
    """Return the step and all implementations, the published layers first."""
    model = drawn(celeba_revnet(quick)).to(device)
    x = torch.rand(batch, *model.image_shape, generator=torch.Generator().manual_seed(derive(0, "revnet"))).to(device)
    published = PublishedRevNet(model)
    networks = {PUBLISHED: Network(published.encode, published.decode), **own_networks(model, 1 / 0.95, 1 / 0.7)}
    if installed(MEMCNN):
        networks[MEMCNN] = memcnn(model)
    return _problem(model, x), networks


def memcnn(model: Bijection) -> Network:
    """Return encoder and decoder of memcnn's blocks, with the parameters of `model`, a RevNet without margin."""
    assert isinstance(model, RevNet)
    peer = PublishedRevNet(model, memcnn_block)
    return Network(peer.encode, lambda z: peer.decode(z.clone()), seen=False)  # it frees its input


def celeba_revnet(quick: bool) -> RevNet:
    """Build the recipe's network; quick: a tiny one of the same kind."""
    table = read_recipe(RECIPE)["model"]
    if quick:
        table = {**table, "scales": [{"blocks": 1, "hidden": 4, "kernel": k} for k in (3, 3, 1)]}
    return _revnet({**table, "image_shape": [3, 16, 16] if quick else list(IMAGE_SHAPE)})


def _revnet(table: dict[str, Any]) -> RevNet:
    model = build_model(table)
    assert isinstance(model, RevNet)
    return model


def drawn(model: RevNet) -> RevNet:
    """Draw the network's weights again, equal in every run, and return it.

    They are drawn as in the recipe, except for the biases. Biases of 0 would put ReLUs at 0 for ẑ = 0, and rounding would then decide
    the gradient.
    """
    generator = torch.Generator().manual_seed(derive(0, "weights"))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            nn.init.normal_(parameter, std=BIASES, generator=generator)
    return model


def _problem(model: RevNet, x: Images) -> Problem:
    recipe = read_recipe(RECIPE)
    prior = build_prior({**recipe["prior"], "latent_dim": model.latent_dim}).to(x.device)
    weights = recipe["pretrain-recon"]

    def loss(x: Images, x_hat: Images, z: Latents, z_hat: Latents) -> Scalar:
        """L = w_x L_x + w_z L_z"""
        return weights["weight_x"] * image_loss(x, x_hat) + weights["weight_z"] * latent_loss(z, z_hat)

    return Problem(x, prior.restrict, loss, list(model.parameters()))


def revnet_depth(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Measure the kilobytes per image that autograd keeps for a step with 2, 4, 8 and 16 blocks per scale.

    It runs on the device 'meta', which computes nothing. The numbers are the same on every device.
    """
    names, depths = (PUBLISHED, PLAIN, CHECKPOINT, REVERSIBLE), BLOCKS[:2] if options.quick else BLOCKS
    rows: dict[str, dict[str, Any]] = {name: {"variant": name} for name in names}
    with progress.task("kept by depth", len(depths), "networks") as bar:
        for blocks in depths:
            for name, kilobytes in saved_by_depth(blocks, options.quick).items():
                rows[name][f"saved_kb_{blocks}_blocks"] = kilobytes
            bar.advance()
    rows[REVERSIBLE]["target_kb"] = TARGET_KB
    notes = (
        "autograd's saved tensors without the parameters, per image, for as many blocks on every scale except the last, which has 1",
        "reversible: should be equal at every depth; apart from it only the batch and ẑ are kept, to recompute the first streams",
    )
    return [Table("kept for the backward pass of the CelebA RevNet, by depth", list(rows.values()), notes)]


def saved_by_depth(blocks: int, quick: bool) -> dict[str, float]:
    """Return kilobytes per image for each network, with `blocks` blocks on every scale except the last."""
    with torch.device("meta"):
        config = celeba_revnet(quick).config
        *scales, last = config["scales"]
        model = _revnet({**config, "scales": [*({**scale, "blocks": blocks} for scale in scales), last]})
        problem = _problem(model, torch.rand(BATCH_OF_DEPTH, *model.image_shape))
    published, own = PublishedRevNet(model), own_networks(model, None, None)
    networks = {PUBLISHED: Network(published.encode, published.decode), **{name: own[name] for name in (PLAIN, CHECKPOINT, REVERSIBLE)}}
    kept = {name: saved_bytes(partial(loss_of, problem, network), problem.parameters) for name, network in networks.items()}
    return {name: count / 1e3 / BATCH_OF_DEPTH for name, count in kept.items()}
