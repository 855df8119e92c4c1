"""GANs: 'aeotgan' starts from an autoencoder (An et al. 2020), 'gan' from noise.

Interpolated tables: aeotgan-mnist, aeotgan-cifar10, aeotgan-celeba64, aeotgan-celebahq256, gan-mnist. The networks are those of section 4
of An et al.: InfoGAN for small gray images, DCGAN up to 64 pixels, the residual network of WGAN-GP beyond.
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

RESNET_CHANNELS = (512, 512, 256, 128, 64, 32, 16)  # aeotgan-celebahq256
RECON, GAN = Pace(0.03, 0.05), Pace(0.06, 0.14)
GENERATOR_5 = Pace(0.17, 0.4)
"""Pace of AE-OT-GAN with k = 5: a step of the small dcgan takes 2.8 times as long (docs/results.md)."""


def _model(facts: Facts) -> dict[str, Any]:
    wide = min(scaled(64, facts), 16) if facts.small else scaled(64, facts)
    if facts.longer <= 32 and facts.shape[0] == 1:
        return {"name": Reasoned("infogan", "as for MNIST"), "width": Reasoned(wide, "64 in the paper, fewer for few images")}
    halvings = max(1, min((facts.longer - 1).bit_length() - 2, facts.shorter.bit_length() - 1))
    if halvings <= 4:
        return {
            "name": Reasoned("dcgan", "as for CelebA at 64×64"),
            "width": Reasoned(wide, "64 in the code of WGAN-GP, fewer for few images"),
            "stages": Reasoned(halvings, "halved to about 4 pixels"),
        }
    channels = [min(scaled(c, facts), 64) if facts.small else scaled(c, facts) for c in RESNET_CHANNELS[: halvings + 1]]
    return {"name": Reasoned("wgan-resnet", "as for CelebA-HQ"), "channels": Reasoned(channels, "a block per halving, to about 4 pixels")}


def _prior(facts: Facts, dims: int) -> dict[str, Any]:
    return {
        "name": Reasoned("active-gaussian", "all dimensions are active"),
        "dim": Reasoned(dims, why_dims(facts, dims)),
        "bound": 0.0,
        "choose": "first",
    }


_LIKE_MNIST = {
    "loss": Reasoned("vanilla", "section 3.3"),
    "weight_content": Reasoned(10.0, "β in eq. 1; as in aeotgan-mnist"),
    "weight_feature": Reasoned(0.1, "α in section 3.3; as in aeotgan-mnist"),
    "lr": Reasoned(5e-5, "as in aeotgan-mnist: with a faster generator the discriminator stays at chance"),
    "lr_discriminator": Reasoned(2e-4, "half of aeotgan-mnist's"),
}
_LIKE_CELEBA = {
    "loss": Reasoned("hinge-sn", "ours: with the vanilla loss the discriminator wins, and samples get worse (docs/results.md)"),
    "weight_content": Reasoned(2000.0, "β in eq. 1; as in aeotgan-celeba64"),
    "weight_feature": Reasoned(0.06, "α in section 3.3; as in aeotgan-celeba64"),
    "generator_updates": Reasoned(5, "k in section 4, training details (iii); as in aeotgan-celeba64"),
    "lr": Reasoned(2e-5, "as in aeotgan-celeba64"),
    "lr_discriminator": Reasoned(3e-4, "as in aeotgan-celeba64"),
}


def _aeotgan(facts: Facts) -> Tables:
    model, batch = _model(facts), batch_size(facts, 64)
    dense = model["name"].value == "infogan"
    steps = planned_steps(facts, model, batch, pace=GAN if dense else GENERATOR_5, minutes=4.5, full=20_000)
    return {
        "model": model,
        "prior": _prior(facts, latent_dims(facts, 2)),
        "pretrain-recon": {
            "image_norm": Reasoned("l2", "section 3.1"),
            "weight_x": 1.0,
            "weight_z": 0.0,
            "weight_code": Reasoned(1e-3, "as in aeotgan-mnist"),
            "lr": Reasoned(1e-3 if facts.small or dense else 5e-4, "as in aeotgan-mnist and -cifar10"),
            "betas": Reasoned([0.9, 0.999], "Adam's default"),
            "max_grad_norm": 0.0,
            "batch": batch,
            "steps": planned_steps(facts, model, batch, pace=RECON, minutes=3.5, full=20_000),
        },
        "train-gan": {
            "weight_adversarial": 1.0,
            **(_LIKE_MNIST if dense else _LIKE_CELEBA),
            "generated_per_real": Reasoned(3, "section 4, training details (i)"),
            "betas": [0.5, 0.999],
            "betas_discriminator": [0.5, 0.999],
            "batch": batch,
            "ema_halflife_images": ema(steps.value, batch),
            "steps": steps,
        },
    }


def _gan(facts: Facts) -> Tables:
    model, batch = _model(facts), batch_size(facts, 64)
    steps = planned_steps(facts, model, batch, pace=GAN, minutes=8, full=40_000)
    return {
        "model": {**model, "encoder": Reasoned(False, "a GAN from noise needs none")},
        "prior": _prior(facts, latent_dims(facts, 2)),
        "train-gan": {
            "loss": "vanilla",
            "weight_content": Reasoned(0.0, "without codes there are no pairs of images"),
            "weight_feature": 0.0,
            "lr": Reasoned(2e-4, "as in gan-mnist"),
            "lr_discriminator": Reasoned(1e-4, "as in gan-mnist"),
            "betas": [0.5, 0.999],
            "betas_discriminator": [0.5, 0.999],
            "batch": batch,
            "ema_halflife_images": ema(steps.value, batch),
            "steps": steps,
        },
    }


RULES = {
    "aeotgan": Rule(("pretrain-recon", "train-gan"), "AE-OT-GAN: autoencoder, transport map, GAN (An et al. 2020)", _aeotgan),
    "gan": Rule(("train-gan",), "GAN from noise, a baseline", _gan),
}
