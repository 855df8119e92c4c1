"""Regularized autoencoders (Ghosh et al. 2020, "From Variational to Deterministic Autoencoders", arXiv:1903.12436, section 3).

g: z → x̂ decoder;   L_RAE = L_rec + β·L_z + λ·L_reg,   L_z = ½ ‖z‖²

Two of their L_reg keep the decoder smooth, so that codes between those of images give images too: RAE-L2 by small weights, RAE-GP by small
derivatives. Their codes follow no given prior: a mixture of Gaussians is fitted to them afterwards (`fit-gmm`).
L_rec and L_z are `image_loss` with norm 'l2' and `code_loss`, with the means of the authors' code (ParthaEth/Regularized_autoencoders-RAE-,
models/rae/loss_functions.py) instead of sums.
"""

from collections.abc import Iterable

import torch
from torch import nn

from genrev_cli.shapes import Codes, Images, Latents, Scalar


def kernel_loss(modules: Iterable[nn.Module]) -> Scalar:
    """L_L2 = ‖θ‖² = Σ w² over the kernels of a decoder, without biases and the scales of norms, as Keras's l2 in the authors' code."""
    kernels = [parameter for module in modules for parameter in module.parameters() if parameter.ndim > 1]
    return torch.stack([kernel.square().sum() for kernel in kernels]).sum()


def pulled(x_hat: Images, z: Latents, u: Images) -> Latents:
    """Return g′(z)ᵀ u of each image, for x̂ = g(z) in the graph of z: (B, …), (B, D), (B, …) → (B, D), differentiable."""
    return torch.autograd.grad(x_hat, z, u, create_graph=True)[0]


def gradient_loss(pulled: Codes, values: int) -> Scalar:
    """L_GP = E ‖g′(z)‖²_F / values = E ‖g′(z)ᵀ u‖² / values,  E u uᵀ = I: (B, d) → ().   pulled: g′(z)ᵀ u; values: C·H·W

    One u for each image gives it without bias. To first order it is what noise of variance σ² on codes adds to mean (x − x̂)², over σ².
    The paper has ½ ‖∇g‖²; the authors' code takes the gradient of Σ x̂² instead of the Jacobian, so its λ is on another scale.
    """
    return pulled.square().sum(1).mean() / values
