"""Encode images, decode codes and go between codes, as tensors: what the commands and the Python interface have in common."""

import math

import torch
from torch import Tensor

from genrev_cli.errors import UsageError
from genrev_cli.latents import DiagonalGaussian, Prior
from genrev_cli.latents.flow import Flow
from genrev_cli.latents.paths import PATHS
from genrev_cli.latents.samplers import Resampled
from genrev_cli.latents.transport import TransportMap
from genrev_cli.methods import free_form
from genrev_cli.methods.likelihood import bits_of_images, noise, require_density
from genrev_cli.models import Bijection
from genrev_cli.shapes import Codes, Images, Latents, Pixels, Scores, to_pixels
from genrev_cli.store.checkpoints import Checkpoint
from genrev_cli.training.method import require_normal

_BLOCK = 64


def encoded(model: Checkpoint, x: Images, *, full: bool) -> Codes | Latents:
    """Return z = E(x), (B, D), with `full`; otherwise y, the active dimensions of clip(E(x)), (B, d)."""
    z = model.autoencoder.encode(x)
    return z if full else model.own_prior.select(model.own_prior.restrict(z))


def decoded(model: Checkpoint, z: Codes | Latents) -> Images:
    """Return the images of codes (B, d), whose other dimensions are 0, or of whole latents (B, D): (B, C, H, W).

    Raises UsageError for another number of dimensions.
    """
    prior = model.own_prior
    if z.shape[1] == prior.latent_dim:
        return model.autoencoder.decode(z)
    if z.shape[1] != prior.dim:
        raise UsageError(f"codes have {z.shape[1]} dimensions, but those of {model.path} have {_dimensions(prior)}")
    return model.autoencoder.decode(prior.embed(z))


def _dimensions(prior: Prior) -> str:
    return str(prior.dim) if prior.dim == prior.latent_dim else f"{prior.dim}, or {prior.latent_dim} for the full latent"


def pictures_of(model: Checkpoint, z: Latents) -> Pixels:
    """Return the images of any number of latents, which are decoded in blocks: (n, D) → (n, C, H, W) uint8 on the CPU."""
    return torch.cat([to_pixels(model.autoencoder.decode(block)).cpu() for block in z.split(_BLOCK)])


def reconstructed(model: Checkpoint, x: Images, *, full: bool) -> Images:
    """Return the images decoded from the full latent of images, or from its active dimensions: (B, C, H, W) → (B, C, H, W)."""
    z = model.autoencoder.encode(x)
    return model.autoencoder.decode(z if full else model.own_prior.restrict(z))


def log_prob(model: Checkpoint, x: Images, generator: torch.Generator) -> Scores:
    """Return a lower bound of the log-probability of 8-bit images in nats, with one draw of noise: (B, C, H, W) → (B,).

    log P(x) ≥ E_u log p(x̃) − D log 256, which is −D ln 2 times the bits per dimension of `genrev fid --metrics bpd`.
    Raises UsageError for a model without a likelihood.
    """
    autoencoder, prior = model.autoencoder, model.own_prior
    require_density(autoencoder, prior)
    assert isinstance(autoencoder, Bijection)
    assert isinstance(prior, DiagonalGaussian)
    bits = bits_of_images(autoencoder, prior, x, noise(autoencoder, len(x), generator))
    return -math.prod(autoencoder.image_shape) * math.log(2) * bits


def log_prob_on_manifold(model: Checkpoint, x: Images) -> Scores:
    """Return the log-density of reconstructions on the manifold of decoded images, in nats: (B, C, H, W) → (B,); see `free_form`.

    Raises UsageError for a prior other than N(0, I).
    """
    require_normal("a density on the manifold", model.own_prior)
    return free_form.log_prob_on_manifold(model.autoencoder, model.own_prior, x)


def flow_of(model: Checkpoint) -> Flow:
    """Return the flow that a model's codes are drawn from. Raises UsageError where they are not."""
    if not (isinstance(model.prior, Resampled) and isinstance(model.prior.sampler, Flow)):
        raise UsageError(f"{model.path}: has no flow; give a file of 'genrev fit-flow' as its sampler")
    return model.prior.sampler


def same_dims(flow: Flow, codes: Codes) -> Codes:
    """Return codes (B, d) as they are. Raises UsageError if the flow has another d."""
    if codes.shape[1] != flow.dim:
        raise UsageError(f"codes have {codes.shape[1]} dimensions, but the flow has {flow.dim}")
    return codes


ALONG_MAP, ALONG_FLOW = "map", "flow"
"""The paths through codes that a transport map, or a flow, can make, besides those of PATHS."""
ALONG = {"ot": ALONG_MAP, "flow": ALONG_FLOW}
"""Name of a sampler → the path along it."""
TITLES = {ALONG_MAP: "OT map", ALONG_FLOW: "flow"}
"""Path → what pictures call it."""


def between(model: Checkpoint, ends: Latents, t: Tensor, *, path: str, full: bool) -> Latents:
    """Return the path between two latents at the points t: (2, D), (n,) → (n, D). path: a name of PATHS, ALONG_MAP or
    ALONG_FLOW.

    full: the path goes between the latents themselves, else between their projections on the support of the prior. Along a map, both ends
    are the codes nearest to the latents' that the map was fitted to. Along a flow, the path is the arc between their Gaussian codes.
    Raises UsageError for an unknown path, and where codes are not drawn from the map or flow that it needs.
    """
    if path in (ALONG_MAP, ALONG_FLOW):
        return _along_the_sampler(model, ends, t, path)
    if path not in PATHS:
        raise UsageError(f"path {path}: choose {', '.join((*PATHS, ALONG_MAP))} or {ALONG_FLOW}")
    z = ends if full else model.own_prior.restrict(ends)
    return PATHS[path](z[0], z[1], t)


def _along_the_sampler(model: Checkpoint, ends: Latents, t: Tensor, path: str) -> Latents:
    prior, kind = model.prior, TransportMap if path == ALONG_MAP else Flow
    if not (isinstance(prior, Resampled) and isinstance(prior.sampler, TransportMap | Flow) and isinstance(prior.sampler, kind)):
        needed = "a transport map of 'genrev fit-ot'" if path == ALONG_MAP else "a flow of 'genrev fit-flow'"
        raise UsageError(f"path {path}: needs {needed} as the sampler of {model.path}")
    y = prior.select(prior.restrict(ends))
    return prior.embed(prior.sampler.between(y[0], y[1], t))
