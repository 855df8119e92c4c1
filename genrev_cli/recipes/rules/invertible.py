"""Invertible networks of Nguyen, Ardizzone & Köthe 2019: 'inn' as an autoencoder, 'flow' by maximum likelihood.

Interpolated tables: section 3.1 for MNIST, CIFAR-10 and CelebA (inn-*); ours for likelihood on digits and MNIST (flow-*).
"""

from typing import Any

from genrev_cli.recipes.rules.cost import Pace, planned_steps
from genrev_cli.recipes.rules.rule import (
    Facts,
    Reasoned,
    Rule,
    Tables,
    batch_size,
    epochs_at,
    latent_dims,
    scaled,
    why_dims,
)

PASSES = 30
DENSE_WEIGHTS, SMALL_WEIGHTS = 40_000_000, 4_000_000
"""Weights of the dense coupling, at most: 48 million for CelebA in the paper."""
RECON, FLOW = Pace(0.03, 0.13), Pace(0.03, 0.075)


def _model(facts: Facts, levels: int, couplings: int, clamp: float) -> dict[str, Any]:
    hidden = min(32, scaled(128, facts)) if facts.small else scaled(128, facts)
    weights = SMALL_WEIGHTS if facts.small else DENSE_WEIGHTS
    dense = min(facts.values // 4, 1000, weights // (4 * facts.values))
    dense = min(dense, 64) if facts.small else max(round(dense * scaled(128, facts) / 128), 8)
    return {
        "name": "inn",
        "levels": Reasoned(
            [{"couplings": couplings, "hidden": hidden}] * levels,
            "channels of section 3.1, fewer for few images",
        ),
        "hidden_dense": Reasoned(dense, "between the paper's 180 (MNIST), 1,000 (CIFAR-10) and 200 (CelebA)"),
        "clamp": clamp,
    }


def _octaves(facts: Facts, first: int) -> int:
    """Return `first` levels for up to 32 pixels, one more for each doubling, as many as the shorter side can be halved."""
    more = max(0, (facts.longer - 1).bit_length() - 5)
    return max(1, min(first + more, facts.shorter.bit_length() - 1, 4))


def _inn(facts: Facts) -> Tables:
    model, dims = _model(facts, _octaves(facts, 1), 3, 1.0), latent_dims(facts, 2, most=256)
    batch = batch_size(facts, 64 if facts.small else 128, up_to=32 * 32 * 3 if facts.small else 64 * 64 * 3)
    steps = planned_steps(facts, model, batch, pace=RECON, minutes=8, full=6_000)  # the paper: 5,900 for CIFAR-10
    return {
        "model": model,
        "prior": {
            "name": "active-gaussian",
            "dim": Reasoned(dims, why_dims(facts, dims)),
            "bound": Reasoned(0.0, "section 2.2: not clamped"),
            "choose": Reasoned("first", "section 2.2"),
        },
        "pretrain-recon": {
            "weight_x": Reasoned(1.0, "equation 5"),
            "weight_z": Reasoned(1.0, "equation 5"),
            "lr": Reasoned(1e-3, "section 3.2"),
            "betas": Reasoned([0.8, 0.8], "the authors' code"),
            "eps": Reasoned(1e-4, "the authors' code"),
            "weight_decay": Reasoned(1e-6, "section 3.2"),
            "max_grad_norm": Reasoned(5.0, "ours, for images that nobody has tried; the paper does not clip"),
            "batch": Reasoned(batch, "128 in section 3.2; n/8 at most, and fewer large images"),
            "steps": steps,
            "lr_drop_epochs": Reasoned([epochs_at(facts, steps.value, batch, 2 / 3)], "after two thirds, as for CIFAR-10 in section 3.2"),
        },
    }


def _flow(facts: Facts) -> Tables:
    model = _model(facts, _octaves(facts, 2), 4, 2.0)
    batch = batch_size(facts, 64 if facts.small else 128, up_to=32 * 32 * 3)
    steps = planned_steps(facts, model, batch, pace=FLOW, minutes=8, full=20_000)
    most = max(round(PASSES * facts.images / batch), 300)
    if steps.value > most:
        steps = Reasoned(most, f"{PASSES} passes over the images, at least 300 steps: more overfit, see flow-digits")
    return {
        "model": model,
        "prior": {"name": "diagonal-gaussian"},
        "train-flow": {
            "lr": Reasoned(3e-3 if facts.values <= 1024 else 1e-3, "as in flow-mnist; less for larger images, ours"),
            "betas": [0.9, 0.999],
            "max_grad_norm": Reasoned(50.0, "clips the first steps only, see flow-digits"),
            "batch": Reasoned(batch, "128 as in flow-mnist; n/8 at most, and fewer large images"),
            "steps": steps,
            "lr_drop_epochs": Reasoned([epochs_at(facts, steps.value, batch, 0.8)], "as in flow-digits"),
        },
    }


RULES = {
    "inn": Rule(("pretrain-recon",), "invertible network as an autoencoder (Nguyen et al. 2019)", _inn),
    "flow": Rule(("train-flow",), "invertible network by maximum likelihood", _flow),
}
