"""The losses of perceptual generative autoencoders (Zhang, Zhang, Li, Bengio & Paull 2020; C); a VAE's are among them.

f: x → z encoder;   g: z → x̂ decoder;   h = f ∘ g;   σ: the scales of q(z|x) = N(μ, diag σ²);   H: the dimensions of z

Every mean is over dimensions as well as the batch, and squared errors are not halved, as in the authors' code; pixels are in [−1, 1].
"""

import torch
from torch import Tensor

from genrev_cli.shapes import Codes, Images, Scalar


def signed_image_loss(x: Images, x_hat: Images) -> Scalar:
    """L_r = E (x̂ − x)² of pixels in [−1, 1]   (eq. 1)"""
    return 4 * (x_hat - x).square().mean()


def code_nll(z: Codes) -> Scalar:
    """L_nll^φ = ½ E z², what −log N(z; 0, I) is of each dimension but for a constant   (eq. 5)"""
    return z.square().mean() / 2


def volume_loss(h: Codes, h_moved: Codes, radius: Tensor) -> Scalar:
    """L_nll^θ = ½ E log(‖h(z + δ) − h(z)‖² / ‖δ‖²) ≈ 1/H · log |det ∂h/∂z|, of each dimension   (eq. 6)

    h, h_moved: (B, H). radius: ‖δ‖, (B,). A step that rounding swallows counts as the least number that there is, and has no slope.
    """
    moved = (h_moved - h).square().sum(1).clamp_min(torch.finfo(h.dtype).tiny)
    return (moved / radius.square()).log().mean() / 2


def noise_loss(h: Codes, h_noisy: Codes, spread: Tensor) -> Scalar:
    """E ((h(z + σu) − h(z)) / rms(z))², −log p(ẑ|z) of eq. 10 but for constants

    h, h_noisy: (B, H). spread: rms(z)², E z² of each dimension over the batch, (H,).
    """
    return ((h_noisy - h) / spread.sqrt()).square().mean()


def kl_loss(mean: Codes, log_variance: Codes) -> Scalar:
    """KL(N(μ, diag σ²) ‖ N(0, I)) = ½ Σ (μ² + σ² − 1 − log σ²), of each dimension   (eq. 10)"""
    return (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
