"""Classical autoencoders: the baselines of Nguyen, Ardizzone & Köthe 2019, section 3.1. Dense for small gray images, else convolutional.

'aae' has an adversary on their codes (Makhzani et al. 2015), 'fif' a likelihood (Sorrenson et al. 2024).

Interpolated tables: classic-mnist, classic-cifar10, classic-celeba; aae-mnist; configs/fif/mnist.yaml and celeba.yaml of vislearn/FFF.
"""

from typing import Any

from genrev_cli.recipes.rules.cost import Pace, planned_steps
from genrev_cli.recipes.rules.reversible import adversarial_table
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

DENSE_VALUES = 1024
"""Values of an image up to which dense layers are used; MNIST has 784."""
PACE, LIKELIHOOD = Pace(0.01, 0.08), Pace(0.02, 0.16)


def _model(facts: Facts) -> dict[str, Any]:
    if facts.values <= DENSE_VALUES:
        units = [scaled(units, facts) for units in ((256, 128) if facts.small else (512, 256, 128))]
        return {"name": "dense", "hidden": Reasoned(units, "'classic' in section 3.1, fewer units for few images")}
    halvings = max(1, min((facts.longer - 1).bit_length() - 2, 6, facts.shorter.bit_length() - 1))
    widths = [scaled(min(128 << i, 1024), facts) for i in range(halvings)]
    if facts.small:
        widths = [min(width, 32 << i, 128) for i, width in enumerate(widths)]
    stages = [{"channels": width, "kernel": 4, "stride": 2, "padding": [1, 1]} for width in widths]
    return {
        "name": "convolutional",
        "stages": Reasoned(stages, "as for CelebA in section 3.1: 4×4 convolutions of stride 2, down to about 4 pixels"),
    }


def _classic(facts: Facts) -> Tables:
    model, dims = _model(facts), latent_dims(facts, 2, most=256)
    batch = batch_size(facts, 64 if facts.small else 128)
    steps = planned_steps(facts, model, batch, pace=PACE, minutes=8, full=20_000)  # the paper: 39,000 for CIFAR-10
    return {
        "model": model,
        "prior": {
            "name": Reasoned("active-gaussian", "all dimensions are active"),
            "dim": Reasoned(dims, why_dims(facts, dims)),
            "bound": 0.0,
            "choose": "first",
        },
        "pretrain-recon": {
            "weight_x": Reasoned(1.0, "section 3.2: only the L1 loss"),
            "weight_z": 0.0,
            "lr": Reasoned(1e-3 if facts.values <= DENSE_VALUES else 5e-4, "section 3.2: 1e-3; half of it for convolutions is ours"),
            "betas": Reasoned([0.9, 0.999], "Adam's default"),
            "weight_decay": Reasoned(1e-5, "section 3.2"),
            "max_grad_norm": Reasoned(5.0, "ours, for images that nobody has tried; the paper does not clip"),
            "batch": Reasoned(batch, "128 in section 3.2; n/8 at most, and fewer large images"),
            "steps": steps,
            "lr_drop_epochs": Reasoned([epochs_at(facts, steps.value, batch, 0.8)], "as in section 3.2 for CelebA"),
        },
    }


def _aae(facts: Facts) -> Tables:
    classic = _classic(facts)
    model, dims = classic["model"], latent_dims(facts)
    recon = classic["pretrain-recon"]
    shared = {
        "weight_x": Reasoned(10.0, "as for reversible networks"),
        "weight_z": Reasoned(0.0, "all dimensions are active, so there is no latent loss"),
        "betas": Reasoned([0.0, 0.9], "as for reversible networks"),
        "max_grad_norm": Reasoned(5.0, "as for reversible networks"),
        "batch": recon["batch"],
    }
    prior = classic["prior"] | {"dim": Reasoned(dims, why_dims(facts, dims))}
    adversarial = adversarial_table(facts, model, recon["batch"].value, shared, lr=3e-4, lr_adversary=1e-3)
    return {**classic, "prior": prior, "train-adversarial": adversarial}


def _fif(facts: Facts) -> Tables:
    classic = _classic(facts)
    model, dims = classic["model"], latent_dims(facts)
    batch = batch_size(facts, 64 if facts.small else 256)
    steps = planned_steps(facts, model, batch, pace=LIKELIHOOD, minutes=8, full=40_000)
    return {
        "model": model,
        "prior": classic["prior"] | {"dim": Reasoned(dims, why_dims(facts, dims))},
        "pretrain-recon": {
            "weight_x": Reasoned(10.0, "'noisy_reconstruction' of the authors, of squared errors; both losses are divided by C·H·W here"),
            "weight_z": 0.0,
            "image_norm": "l2",
            "weight_nll": Reasoned(1.0, "'nll' of the authors"),
            "lr": Reasoned(1e-3, "the authors' configs"),
            "betas": Reasoned([0.9, 0.999], "Adam's default"),
            "max_grad_norm": Reasoned(5.0, "ours"),
            "batch": Reasoned(batch, "256 for CelebA; n/8 at most, and fewer large images"),
            "steps": steps,
            "lr_drop_epochs": Reasoned([epochs_at(facts, steps.value, batch, 0.8)], "ours, as for 'classic'"),
        },
    }


RULES = {
    "classic": Rule(("pretrain-recon",), "classical autoencoder, a baseline (Nguyen et al. 2019)", _classic),
    "fif": Rule(("pretrain-recon",), "injective flow: an autoencoder by maximum likelihood (Sorrenson et al. 2024)", _fif),
    "aae": Rule(("pretrain-recon", "train-adversarial"), "adversarial autoencoder (Makhzani et al. 2015)", _aae),
}
