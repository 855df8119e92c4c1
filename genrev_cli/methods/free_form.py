"""Maximum likelihood of any autoencoder: free-form injective flows (Sorrenson et al. 2024, "Lifting Architectural Constraints of Injective
Flows", arXiv:2306.01843) and free-form flows (Draxler et al. 2024, arXiv:2310.16624).

f: x → y encoder;   g: y → x̂ decoder;   f′, g′: their Jacobians, (d, C·H·W) and (C·H·W, d);   p(y) = N(0, I);   sg(·) stops the gradient

An encoder with f′ = (g′)⁺, the pseudo-inverse, has log p(x) = log p(y) + ½ log det(f′ f′ᵀ) on the manifold of decoded images, and

    ∂ ½ log det(f′ f′ᵀ) = tr(∂f′ (f′)⁺) = tr(∂f′ g′) = ∂ E_v [vᵀ f′(x) sg(g′(y) v)],   E v vᵀ = I

So a vector–Jacobian product of the encoder and a Jacobian–vector product of the decoder give an unbiased gradient where g′ = (f′)⁺. The
reconstruction loss brings the decoder there. With as many dimensions as values f′ is square, ½ log det(f′ f′ᵀ) = log |det f′|, and an
inverse is enough: for a bijection the gradient is right for all weights (train-flow has the exact value too). A bijection with fewer
dimensions has f′(x̂) g′(y) = I for all weights, but g′ = (f′)⁺ only where f projects orthogonally; elsewhere the gradient is biased.

f′ is taken at the image x, not at x̂: at x̂ the likelihood would grow without limit by bending the manifold (their section 4, recalled).
v is uniform on the sphere of radius √d, as in the authors' code (vislearn/FFF, fff/loss.py): E v vᵀ = I like for a Gaussian, but without
the noise of its length. One v for each image and step.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.modules.batchnorm import _BatchNorm

from genrev_cli.errors import UsageError
from genrev_cli.latents import Prior
from genrev_cli.models import Autoencoder
from genrev_cli.shapes import Codes, Images, Latents, Scalar, Scores
from genrev_cli.training.distributed import shard, size


def directions(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Draw v uniform on the sphere of radius √n for each row of this process: (B, n) → (B, n)."""
    u = torch.randn(len(rows) * size(), rows.shape[1], generator=generator, device=rows.device)
    return math.sqrt(rows.shape[1]) * normalize(shard(u))


def pushed(x_hat: Images, z: Latents, v: Latents) -> Images:
    """Return g′(z) v of each image, for x̂ = g(z) in the graph of z: (B, …), (B, D), (B, D) → (B, …), without gradients.

    It is the derivative of u ↦ g′(z)ᵀ u in the direction v. Two backward passes through the graph that x̂ has anyway are faster here than
    a forward pass with torch's dual numbers, and they work for layers that define only their backward pass.
    """
    u = torch.zeros_like(x_hat, requires_grad=True)
    (pulled,) = torch.autograd.grad(x_hat, z, u, create_graph=True)
    return torch.autograd.grad(pulled, u, v, retain_graph=True)[0]


def volume_surrogate(x: Images, y: Codes, moved: Images, v: Codes) -> Scores:
    """S = vᵀ f′(x) sg(g′ v), whose gradient has the mean ∂ ½ log det(f′ f′ᵀ): (B, …), (B, d), (B, …), (B, d) → (B,).

    y: f(x) in the graph of x. moved: g′ v, without a graph. The value itself has mean tr(f′ g′), which is d where the decoder inverts the
    encoder; it is not a log-determinant.
    """
    (pulled,) = torch.autograd.grad(y, x, v, create_graph=True)
    return (pulled * moved).flatten(1).sum(1)


def likelihood_loss(y: Codes, surrogate: Scores, values: int) -> Scalar:
    """L_ml = E (½‖y‖² − S) / values, whose gradient is that of −E log p(x) / values. values: C·H·W."""
    return (y.square().sum(1) / 2 - surrogate).mean() / values


def log_prob_on_manifold(autoencoder: Autoencoder, prior: Prior, x: Images) -> Scores:
    """log p(x̂) = log N(y; 0, I) − ½ log det(g′ᵀ g′) in nats, exactly, for y = f(x), x̂ = g(y): (B, C, H, W) → (B,).

    It is a density per d-dimensional volume of the manifold of decoded images, in pixels from 0 to 1. So it cannot be compared with a
    density of images (bits per dimension), nor with one on another manifold. It takes d backward passes through the decoder.
    """
    with torch.no_grad():
        y = prior.select(prior.restrict(autoencoder.encode(x)))
    with torch.enable_grad():
        y = y.requires_grad_()
        x_hat = autoencoder.decode(prior.embed(y))
        u = torch.zeros_like(x_hat, requires_grad=True)
        (pulled,) = torch.autograd.grad(x_hat, y, u, create_graph=True)
        columns = [torch.autograd.grad(pulled[:, k].sum(), u, retain_graph=True)[0].flatten(1) for k in range(y.shape[1])]
    J, y = torch.stack(columns, dim=2), y.detach()
    log_volume = torch.linalg.svdvals(J).log().sum(1)
    return -y.square().sum(1) / 2 - y.shape[1] / 2 * math.log(2 * math.pi) - log_volume


def require_own_jacobians(network: nn.Module) -> None:
    """Raise UsageError for a network with batch norm, in which the code of an image depends on the others of the mini-batch."""
    if any(isinstance(module, _BatchNorm) for module in network.modules()):
        raise UsageError(
            "weight_nll needs the Jacobian of each image, and batch norm mixes the images of a mini-batch; "
            'set norm = "none" in [model], or use a network without batch norm, such as dense or convolutional'
        )


def agreement(surrogate: Tensor, dims: int) -> Scalar:
    """Return the mean of S / d, detached: 1 where the decoder inverts the encoder in all directions of the codes."""
    return surrogate.detach().mean() / dims
