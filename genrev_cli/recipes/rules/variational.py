"""Strided convolutions: perceptual autoencoders (Zhang et al. 2020), VAE, Wasserstein autoencoders (Tolstikhin et al. 2018), and
regularized autoencoders (Ghosh et al. 2020).

Interpolated tables: those of the authors' code (zj10/PGA) for MNIST, CIFAR-10 and CelebA at 64×64; configs.py of tolstikhin/wae for
Wasserstein autoencoders; rae-mnist, -cifar10 and -celeba64 for regularized ones.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from genrev_cli.recipes.rules.cost import Pace, planned_steps
from genrev_cli.recipes.rules.rule import Facts, Reasoned, Rule, Tables, batch_size, latent_dims, scaled, why_dims

PLAIN_VALUES = 1024
"""Values of an image up to which networks are those for MNIST: no batch norm, and a dense layer."""
PERCEPTUAL, PLAIN = Pace(0.035, 0.19), Pace(0.02, 0.06)

PERCEPTUAL_WEIGHTS = {  # variant → (for MNIST, for CIFAR-10), in the order of the keys below
    "lpga": ((6e-2, 0.0, 1.5e-2, 0.0, 0.0), (3e-2, 0.0, 1.5e-2, 0.0, 0.0)),
    "vpga": ((6e-2, 0.0, 0.0, 1e-2, 2e-2), (3e-2, 0.0, 0.0, 5e-3, 3e-2)),
    "lvpga": ((6e-2, 0.0, 1e-2, 1.5e-2, 2e-2), (3e-2, 0.0, 2e-2, 1.5e-2, 5e-2)),
}
_WEIGHTS = ("weight_prior", "weight_codes", "weight_nll", "weight_noise", "weight_kl")


def _model(facts: Facts, norm: str, variational: bool) -> dict[str, Any]:
    plain = facts.values <= PLAIN_VALUES
    halvings = max(1, min((facts.longer - 1).bit_length() - 2, 6, facts.shorter.bit_length() - 1))
    if plain:
        halvings = min(halvings, 2)  # MNIST: 28 → 7
    widths = [scaled(min(64 << i, 512), facts) for i in range(halvings)]
    if facts.small:
        widths = [min(width, 16 << i, 128) for i, width in enumerate(widths)]
    model: dict[str, Any] = {
        "name": "strided",
        "channels": Reasoned(widths, "64, 128, … 512 as for CelebA, halved to about 4 pixels; fewer for few images"),
    }
    if plain:
        model["dense"] = Reasoned(scaled(256 if facts.small else 1024, facts), "a dense layer as for MNIST")
    model["norm"] = norm
    if variational:
        model["variational"] = Reasoned(True, "the encoder returns σ(x) besides μ(x)")
    return model


def _prior(facts: Facts, times: float) -> dict[str, Any]:
    dims = latent_dims(facts, times)
    return {
        "name": Reasoned("active-gaussian", "N(0, I) on all dimensions"),
        "dim": Reasoned(dims, why_dims(facts, dims)),
        "bound": 0.0,
        "choose": "first",
    }


def _steps(facts: Facts, model: dict[str, Any], batch: int, pace: Pace, *, full: int) -> Reasoned:
    return planned_steps(facts, model, batch, pace=pace, minutes=8, full=full)


def _perceptual(facts: Facts, variant: str) -> Tables:
    plain = facts.values <= PLAIN_VALUES
    model = _model(facts, "none" if plain else "inner", variant != "lpga")
    batch = batch_size(facts, 64)
    steps = _steps(facts, model, batch, PERCEPTUAL, full=40_000)
    weights, like = PERCEPTUAL_WEIGHTS[variant][0 if plain else 1], "MNIST" if plain else "CIFAR-10"
    warm_up = min(3000, steps.value // 5) if variant == "lpga" else 0
    return {
        "model": model,
        "prior": _prior(facts, 1 if variant == "lpga" or facts.small else 2),
        "train-pga": {
            "variant": variant,
            **{key: Reasoned(weight, f"as for {like}") for key, weight in zip(_WEIGHTS, weights, strict=True)},
            "warm_up": Reasoned(warm_up, "lpga: a fifth of the steps, at most the authors' 3,000; the others: none"),
            "lr": Reasoned(0.1 if plain else 0.2, f"as for {like}"),
            "momentum": Reasoned(0.9, "the authors' code"),
            "max_grad_norm": Reasoned(5.0, "ours, for images that nobody has tried; the authors do not clip"),
            "batch": Reasoned(batch, "64 in the authors' code; n/8 at most, and fewer large images"),
            "steps": steps,
        },
    }


def _vae(facts: Facts) -> Tables:
    plain = facts.values <= PLAIN_VALUES
    model = _model(facts, "none" if plain else "inner", True)
    batch = batch_size(facts, 64)
    return {
        "model": model,
        "prior": _prior(facts, 1 if facts.small else 2),  # fewer are filled sooner
        "train-vae": {
            "variant": "vae",
            "decoder_std": Reasoned(0.0, "the maximum likelihood value of each mini-batch (Rybkin et al. 2021)"),
            "lr": Reasoned(1e-3, "as in vae-mnist"),
            "betas": Reasoned([0.9, 0.999], "Adam's default"),
            "max_grad_norm": 0.0,
            "batch": batch,
            "steps": _steps(facts, model, batch, PLAIN, full=40_000),
        },
    }


def _wae(facts: Facts, variant: str) -> Tables:
    model = _model(facts, "all", False)
    batch = batch_size(facts, 64 if facts.small else 128)
    adversarial = variant == "wae-gan"
    table: dict[str, Any] = {
        "variant": variant,
        "weight_penalty": Reasoned(100.0, "λ for CelebA, configs.py of tolstikhin/wae"),
        "weight_x": Reasoned(0.05, "wae.py of tolstikhin/wae"),
        "lr": Reasoned(3e-4 if adversarial else 1e-3, "configs.py of tolstikhin/wae"),
        "betas": [0.5, 0.999],
        "max_grad_norm": 0.0,
        "batch": Reasoned(batch, "100 for CelebA; n/8 at most, and fewer large images"),
        "steps": _steps(facts, model, batch, PLAIN, full=30_000),
    }
    if adversarial:
        units = 128 if facts.small else max(scaled(1024, facts), 128)
        table |= {"lr_discriminator": 1e-3, "hidden": Reasoned(units, "1,024 in appendix F, fewer for few images"), "layers": 4}
    return {"model": model, "prior": _prior(facts, 1), "train-vae": table}


def _rae(facts: Facts, weight: str, value: float, why: str) -> Tables:
    model = _model(facts, "all", False)
    batch = batch_size(facts, 64 if facts.small else 128)
    table: dict[str, Any] = {
        "weight_x": Reasoned(float(facts.shape[0]), "one per channel: the authors sum squared errors over channels"),
        "weight_z": 0.0,
        "image_norm": "l2",
        "weight_code": Reasoned(1e-4, "β for MNIST and CelebA, configurations/config.py of the authors"),
        weight: Reasoned(value, why),
        "lr": Reasoned(1e-3, "rae_celeba.py of the authors"),
        "betas": Reasoned([0.9, 0.999], "Adam's default"),
        "max_grad_norm": 0.0,
        "batch": Reasoned(batch, "100 in the authors' code; n/8 at most, and fewer large images"),
        "steps": _steps(facts, model, batch, PLAIN, full=40_000),
    }
    return {"model": model, "prior": _prior(facts, 1), "pretrain-recon": table}


def _rule(command: str, about: str, tables: Callable[..., Tables], **choice: str) -> Rule:
    return Rule((command,), about, partial(tables, **choice))


RULES = {
    "lpga": _rule("train-pga", "perceptual generative autoencoder, likelihood (Zhang et al. 2020)", _perceptual, variant="lpga"),
    "vpga": _rule("train-pga", "perceptual generative autoencoder, variational (Zhang et al. 2020)", _perceptual, variant="vpga"),
    "lvpga": _rule("train-pga", "perceptual generative autoencoder, both losses (Zhang et al. 2020)", _perceptual, variant="lvpga"),
    "vae": _rule("train-vae", "variational autoencoder", _vae),
    "wae-mmd": _rule("train-vae", "Wasserstein autoencoder with an MMD (Tolstikhin et al. 2018)", _wae, variant="wae-mmd"),
    "rae-l2": Rule(
        ("pretrain-recon",),
        "regularized autoencoder, small weights (Ghosh et al. 2020)",
        partial(_rae, weight="weight_decoder", value=1e-7, why="λ for MNIST and CelebA, the same file"),
    ),
    "rae-gp": Rule(
        ("pretrain-recon",),
        "regularized autoencoder, small derivatives (Ghosh et al. 2020)",
        partial(_rae, weight="weight_gradient", value=1e-3, why="ours: noise of variance 0.001 on codes (docs/papers.md)"),
    ),
    "wae-gan": _rule("train-vae", "Wasserstein autoencoder with a discriminator (Tolstikhin et al. 2018)", _wae, variant="wae-gan"),
}
