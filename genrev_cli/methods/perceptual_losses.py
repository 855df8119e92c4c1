"""The losses of perceptual generative autoencoders (Zhang et al. 2020, arXiv:1906.10335v1), which include those of a VAE.

f: x → z encoder;   g: z → x̂ decoder;   h = f ∘ g;   σ: the scales of q(z|x) = N(μ, diag σ²);   H: dimensions of z

As in the authors' code (zj10/PGA), every mean is over dimensions and batch, and squared errors are not halved. Pixels are in [−1, 1].
"""

import torch
from torch import Tensor

from genrev_cli.shapes import Codes, Images, Scalar, Scores


def signed_image_loss(x: Images, x_hat: Images) -> Scalar:
    """L_r = E (x̂ − x)² for pixels in [−1, 1]; x and x̂ are given in [0, 1]   (eq. 1)"""
    return 4 * (x_hat - x).square().mean()


def code_nll(z: Codes) -> Scalar:
    """L_nll^φ = ½ E z², which is −log N(z; 0, I) per dimension up to a constant   (eq. 5)"""
    return z.square().mean() / 2


def volume_loss(h: Codes, h_moved: Codes, radius: Scores) -> Scalar:
    """L_nll^θ = ½ E log(‖h(z + δ) − h(z)‖² / ‖δ‖²) ≈ 1/H · log |det ∂h/∂z|, per dimension   (eq. 6)

    h, h_moved: (B, H). radius: ‖δ‖, (B,). A step that rounds to 0 counts as the smallest positive number, with zero gradient.
    """
    moved = (h_moved - h).square().sum(1).clamp_min(torch.finfo(h.dtype).tiny)
    return (moved / radius.square()).log().mean() / 2


def noise_loss(h: Codes, h_noisy: Codes, spread: Tensor) -> Scalar:
    """E ((h(z + σu) − h(z)) / rms(z))², which is −log p(ẑ|z) up to constants   (eq. 10)

    h, h_noisy: (B, H). spread: rms(z)² = E z² over the batch, (H,).
    """
    return ((h_noisy - h) / spread.sqrt()).square().mean()


def kl_loss(mean: Codes, log_variance: Codes) -> Scalar:
    """KL(N(μ, diag σ²) ‖ N(0, I)) = ½ Σ (μ² + σ² − 1 − log σ²), per dimension   (eq. 10)"""
    return (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
