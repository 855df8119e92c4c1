"""The losses of AE-OT-GAN (An et al. 2020, section 3.3) and of the GANs in its comparison (Table 1).

x real and x̃ generated images, in [0, 1];   D: images → scores, higher for more real;   L_D, L_G: the losses of D and of the generator
u = span·x: the pixels inside D, up to a shift. Penalties use gradients with respect to u, as the papers do, so their constants apply.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import relu, softplus

from genrev_cli.ot.discrete import costs
from genrev_cli.shapes import Images, Labels, Scalar, Scores
from genrev_cli.training.distributed import gathered, mean, shard, size
from genrev_cli.transfers import to_device, to_host

Discriminator = Callable[[Images], Scores]

GP_WEIGHT = 10.0  # λ (Gulrajani et al. 2017)
DIV_WEIGHT, DIV_POWER = 2.0, 6.0  # k, p (Wu et al. 2018); the authors' code has k = 10
QC_WEIGHT = 0.1  # γ (the code of Liu et al. 2019)


@dataclass(frozen=True)
class Judged:
    """loss: L_D. real, fake: D(x) and D(x̃), (B,) each."""

    loss: Scalar
    real: Scores
    fake: Scores


def vanilla_discriminator(D: Discriminator, x: Images, x_fake: Images, span: float, generator: torch.Generator) -> Judged:
    """L_D = E softplus(−D(x)) + E softplus(D(x̃)) = −E log σ(D(x)) − E log(1 − σ(D(x̃)))   (Goodfellow et al. 2014, eq. 1)"""
    real, fake = D(x), D(x_fake)
    return Judged(softplus(-real).mean() + softplus(fake).mean(), real, fake)


def vanilla_generator(fake: Scores) -> Scalar:
    """L_G = E softplus(−D(x̃)) = −E log σ(D(x̃)), which does not saturate   (Goodfellow et al. 2014, section 3)"""
    return softplus(-fake).mean()


def hinge_discriminator(D: Discriminator, x: Images, x_fake: Images, span: float, generator: torch.Generator) -> Judged:
    """L_D = E relu(1 − D(x)) + E relu(1 + D(x̃))   (Miyato et al. 2018, eq. 16)"""
    real, fake = D(x), D(x_fake)
    return Judged(relu(1 - real).mean() + relu(1 + fake).mean(), real, fake)


def critic_generator(fake: Scores) -> Scalar:
    """L_G = −E D(x̃)   (Miyato et al. 2018, eq. 17; Arjovsky et al. 2017)"""
    return -fake.mean()


def gradient_norms(D: Discriminator, x: Images, span: float) -> Scores:
    """Return ‖∇_u D‖ of each image, (B, C, H, W) → (B,), differentiable with respect to the weights of D."""
    x = x.detach().requires_grad_()
    return _gradient_norms(D(x), x, span)


def _gradient_norms(scores: Scores, x: Images, span: float) -> Scores:
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return gradient.flatten(1).norm(dim=1) / span


def interpolates(x: Images, x_fake: Images, generator: torch.Generator) -> Images:
    """x̂ = ε x + (1 − ε) x̃,  ε ~ U[0, 1] for each pair of images."""
    epsilon = shard(torch.rand(len(x) * size(), generator=generator, device=x.device))
    return x_fake + epsilon.view(-1, *[1] * (x.ndim - 1)).to(x) * (x - x_fake)


def wgan_gp_discriminator(D: Discriminator, x: Images, x_fake: Images, span: float, generator: torch.Generator) -> Judged:
    """L_D = E D(x̃) − E D(x) + λ E (‖∇D(x̂)‖ − 1)²,  λ = 10   (Gulrajani et al. 2017, eq. 3)"""
    real, fake = D(x), D(x_fake)
    penalty = (gradient_norms(D, interpolates(x, x_fake, generator), span) - 1).square().mean()
    return Judged(fake.mean() - real.mean() + GP_WEIGHT * penalty, real, fake)


def wgan_div_discriminator(D: Discriminator, x: Images, x_fake: Images, span: float, generator: torch.Generator) -> Judged:
    """L_D = E D(x̃) − E D(x) + k E ‖∇D(x̂)‖^p,  k = 2,  p = 6   (Wu et al. 2018, eq. 8, with −D for D)"""
    real, fake = D(x), D(x_fake)
    penalty = gradient_norms(D, interpolates(x, x_fake, generator), span).pow(DIV_POWER).mean()
    return Judged(fake.mean() - real.mean() + DIV_WEIGHT * penalty, real, fake)


@torch.no_grad()
def quadratic_potentials(x: Images, x_fake: Images, scale: float) -> tuple[Scores, Scores, Labels]:
    """Solve the optimal transport of a mini-batch with quadratic cost; return its potentials and its matching.

    max E φ(x) − E ψ(x̃),   φ(x_i) − ψ(x̃_j) ≤ c_ij = scale/2 · ‖x_i − x̃_j‖²,   E φ(x) + E ψ(x̃) = 0

    x, x_fake: (B, C, H, W) each. Returns φ (B,), ψ (B,), and for each x̃ the index of its x (B,). The solution is exact, on the CPU.
    """
    import ot as pot  # imported here, because it takes a second

    cost = scale / 2 * costs(x.flatten(1), x_fake.flatten(1), squared=True)
    (on_host,) = to_host(cost.double())
    plan, log = pot.emd([], [], on_host.numpy(), log=True)
    phi, psi = (torch.from_numpy(potential) for potential in (log["u"], -log["v"]))
    shift = (phi.mean() + psi.mean()) / 2
    matched = torch.from_numpy(plan.argmax(0))
    return to_device((phi - shift).to(x.dtype), x.device), to_device((psi - shift).to(x.dtype), x.device), to_device(matched, x.device)


def wgan_qc_discriminator(D: Discriminator, x: Images, x_fake: Images, span: float, generator: torch.Generator) -> Judged:
    """L_D = ½ (E D(x) − E φ(x))² + ½ E (D(x̃) − ψ(x̃))² + γ/(2√K) E (‖∇D(x̃)‖ − K ‖u' − ũ‖)²,  γ = 0.1

    φ, ψ: `quadratic_potentials` with the cost K/2 ‖u − ũ‖², K = 1 / (C·H·W). u': the real image matched with ũ; an optimal ψ rises
    towards it with the slope K ‖u' − ũ‖. From the published code of Liu et al. 2019; the text of the paper was not available to us.
    """
    K = 1 / x[0].numel()
    x_fake = x_fake.detach()
    x_all = gathered(x)
    phi, psi, matched = quadratic_potentials(x_all, gathered(x_fake), K * span**2)
    psi, x_matched = shard(psi), shard(x_all[matched])
    distance = span * (x_matched - x_fake).flatten(1).norm(dim=1)
    real, fake = D(x), D(x_fake.requires_grad_())
    regularity = (_gradient_norms(fake, x_fake, span) - K * distance).square().mean()
    regression = (mean(real.mean()) - phi.mean()).square() + (fake - psi).square().mean()
    return Judged(regression / 2 + QC_WEIGHT / (2 * K**0.5) * regularity, real, fake)


@dataclass(frozen=True)
class AdversarialLoss:
    """discriminator: (D, x, x̃, span, generator) → L_D and the scores. generator: D(x̃) → L_G.

    norm: the normalisation of D that this loss needs; None for the norm of D's paper. shown: maps scores to logged values.
    """

    discriminator: Callable[[Discriminator, Images, Images, float, torch.Generator], Judged]
    generator: Callable[[Scores], Scalar]
    norm: str | None
    shown: Callable[[Scores], Scores] = torch.Tensor.detach


LOSSES: dict[str, AdversarialLoss] = {
    "vanilla": AdversarialLoss(vanilla_discriminator, vanilla_generator, None, torch.sigmoid),
    "hinge-sn": AdversarialLoss(hinge_discriminator, critic_generator, "spectral"),
    "wgan-gp": AdversarialLoss(wgan_gp_discriminator, critic_generator, "layer"),
    "wgan-div": AdversarialLoss(wgan_div_discriminator, critic_generator, "layer"),
    "wgan-qc": AdversarialLoss(wgan_qc_discriminator, critic_generator, "none"),
}
"""Name → the losses of discriminator and generator, and the norm of the discriminator."""
