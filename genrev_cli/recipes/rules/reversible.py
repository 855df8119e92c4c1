"""Reversible networks: Schirrmeister et al. 2018 (v2). 'grn' has an adversary, 'grn-ot' exact transport, 'revgan' is a GAN's generator.

Interpolated tables: Figure 4 for CelebA at 64×64 (grn-celeba64), the authors' network for MNIST (grn-mnist), ours for digits (grn-digits).
"""

from typing import Any

from genrev_cli.recipes.rules.cost import Pace, planned_steps
from genrev_cli.recipes.rules.rule import (
    Facts,
    Reasoned,
    Rule,
    Tables,
    batch_size,
    ema,
    latent_dims,
    scaled,
    why_dims,
)

MOST_SCALES = 6  # Figure 4
COARSE = 8  # the longer side of the coarsest map, at most
MOST_WIDE = 2000  # channels of a stream, beyond which a 3×3 convolution would have most of the network's weights
PADDING = 1.31  # MNIST is padded from 28×28 to 32×32

RECON, ADVERSARIAL, TRANSPORT = Pace(0.03, 0.11), Pace(0.05, 0.13), Pace(0.02, 0.1)
JUDGING = 3.3e-6
"""CPU seconds of a discriminator per value of its images: networks without one of their own get one of a paper's size."""


def padded_area(facts: Facts, scales: int) -> float:
    """Return the area of the images padded to multiples of 2^scales, as a multiple of their own."""
    _, height, width = facts.shape
    unit = 2**scales
    return -(-height // unit) * -(-width // unit) * unit**2 / (height * width)


def scale_count(facts: Facts) -> int:
    """Return how often images are squeezed: as often as possible, up to 6 times, while padding adds less than a third.

    But so often that at most 8 pixels are left along the longer side, or 2^6 times fewer.
    """
    possible = [k for k in range(1, MOST_SCALES + 1) if 2**k < 2 * facts.longer] or [1]
    cheap = [k for k in possible if padded_area(facts, k) <= PADDING]
    needed = next((k for k in possible if -(-facts.longer // 2**k) <= COARSE), possible[-1])
    return max(needed, *cheap, 1)


def revnet(facts: Facts) -> dict[str, Any]:
    """Return the [model] of a reversible network."""
    count = scale_count(facts)
    scales = []
    for depth in range(count):
        point = depth == count - 1 and count > 2 and (-(-facts.longer // 2**count) <= 2 or facts.shape[0] * 2 * 4**depth > MOST_WIDE)
        hidden = min(scaled(min(25 << depth, 400), facts), min(16 << depth, 64) if facts.small else 10_000)
        scales.append({"blocks": 1 if point else 2, "hidden": hidden, "kernel": 1 if point else 3})
    pattern = "16, 32, 64, 64, …" if facts.small else "Figure 4: 25, 50, … 400, times (n / 50,000)^¼"
    return {"name": "revnet", "scales": Reasoned(scales, f"{count} squeezes: few pixels left, little padding. Channels: {pattern}")}


def _prior(facts: Facts) -> dict[str, Any]:
    dims = latent_dims(facts, most=32 if facts.small else 128)  # small: tried with 32 on CelebA
    return {
        "name": "active-gaussian",
        "dim": Reasoned(dims, why_dims(facts, dims)),
        "bound": Reasoned(2.0, "footnote 1"),
    }


def _rates(facts: Facts) -> tuple[float, float, str]:
    """Return the learning rates of network and adversary, and why."""
    if facts.small:
        return 1e-3, 1e-3, "as in grn-digits, for few steps"
    return 3e-4, 1e-3, "as in grn-mnist; section 3.1 has 1e-4 for 200,000 steps"


def _steps(facts: Facts, model: dict[str, Any], batch: int, pace: Pace, *, minutes: float) -> Reasoned:
    return planned_steps(facts, model, batch, pace=pace, minutes=minutes, full=20_000)  # the paper: 200,000 for 200,000 images


def _grn(facts: Facts) -> Tables:
    model, (lr, lr_adversary, why) = revnet(facts), _rates(facts)
    batch = batch_size(facts, (64 if facts.values <= 32 * 32 * 3 else 32) if facts.small else 256)
    shared: dict[str, Any] = {
        "weight_x": Reasoned(10.0, "Only_Clamp.ipynb of the authors"),
        "weight_z": Reasoned(10.0, "section 2"),
        "betas": Reasoned([0.0, 0.9], "section 3.1"),
        "max_grad_norm": Reasoned(5.0, "Only_Clamp.ipynb"),
        "batch": Reasoned(batch, "the authors have 250; n/8 at most, and fewer large images"),
    }
    if facts.shape[0] == 1:
        shared["one_sided"] = Reasoned(True, "ours, for gray: many have a black or white background (docs/results.md)")
    recon = {**shared, "lr": Reasoned(lr, why), "steps": _steps(facts, model, batch, RECON, minutes=3.5)}
    return {
        "model": model,
        "prior": _prior(facts),
        "pretrain-recon": recon,
        "train-adversarial": adversarial_table(facts, model, batch, shared, lr=lr, lr_adversary=lr_adversary),
    }


def adversarial_table(
    facts: Facts, model: dict[str, Any], batch: int, shared: dict[str, Any], *, lr: float, lr_adversary: float
) -> dict[str, Any]:
    """Return the table of train-adversarial."""
    steps = _steps(facts, model, batch, ADVERSARIAL, minutes=4.5)
    return {
        **shared,
        "lr": Reasoned(lr / 2 if facts.small else lr, "the network starts near its end"),
        "lr_adversary": Reasoned(lr_adversary, "as in grn-mnist; section 3.1 has 4e-4"),
        "max_grad_norm_adversary": Reasoned(1000.0, "Continue_Adversarial.ipynb"),
        "prior_samples": Reasoned(3 * batch, "750 for 250 images, Continue_Adversarial.ipynb"),
        "hidden": Reasoned([400, 800], "section 3.1"),
        "ema_halflife_images": ema(steps.value, batch),
        "steps": steps,
    }


def _grn_ot(facts: Facts) -> Tables:
    model = revnet(facts)
    most = max(128, min(1000, round(1000 * 32 * 32 * 3 / facts.values)))
    most = min(most, 256) if facts.small else max(most, min(20 * facts.classes, 1000))
    batch = max(min(most, facts.images // 2), 2)
    batch -= batch % 8 if batch > 16 else 0  # so that processes can share it
    most = 600 if facts.images >= 2000 else 120
    steps = min(most, _steps(facts, model, batch, TRANSPORT, minutes=8).value) if facts.small else most
    return {
        "model": model,
        "prior": {"name": Reasoned("class-gaussians", "one Gaussian per class; one for all images without labels")},
        "train-ot": {
            "weight_perturbation": Reasoned(15.0, "OptimalTransport.ipynb of the authors"),
            "noise": Reasoned(0.01, "the same notebook"),
            "lr": Reasoned(1e-3, "the same notebook"),
            "max_grad_norm": Reasoned(5.0, "ours; the notebook does not clip"),
            "batch": Reasoned(batch, "many codes of each class: 1,000 as in grn-ot-mnist, half the images at most, fewer large images"),
            "steps": Reasoned(steps, "600, or 120 for few images: with more steps the Gaussians shrink (docs/results.md)"),
        },
    }


def _revgan(facts: Facts) -> Tables:
    model = revnet(facts)
    batch, dims = batch_size(facts, 32 if facts.small else 128), latent_dims(facts, 2)
    steps = _steps(facts, model, batch, Pace(0.05 + JUDGING * batch * facts.values, 0.11), minutes=8)
    return {
        "model": model,
        "prior": {"name": "active-gaussian", "dim": Reasoned(dims, why_dims(facts, dims)), "bound": 0.0, "choose": "widest"},
        "train-gan": {
            "loss": "vanilla",
            "weight_content": Reasoned(0.0, "without codes there are no pairs of images"),
            "weight_feature": 0.0,
            "lr": Reasoned(5e-4 if facts.small else 2e-4, "as in revgan-digits, or slower for larger networks"),
            "lr_discriminator": Reasoned(5e-4 if facts.small else 2e-4, "as the generator's"),
            "betas": [0.5, 0.999],
            "betas_discriminator": [0.5, 0.999],
            "max_grad_norm": Reasoned(5.0, "as in pretrain-recon"),
            "batch": batch,
            "ema_halflife_images": ema(steps.value, batch),
            "steps": steps,
        },
    }


RULES = {
    "grn": Rule(("pretrain-recon", "train-adversarial"), "generative reversible network (Schirrmeister et al. 2018)", _grn),
    "grn-ot": Rule(("train-ot",), "reversible network, exact transport per class (Schirrmeister et al. 2018)", _grn_ot),
    "revgan": Rule(("train-gan",), "GAN from noise with a reversible generator", _revgan),
}
