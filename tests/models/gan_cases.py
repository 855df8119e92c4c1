"""GAN networks for the tests in this folder: the published configurations, and small ones for tests of the mathematics."""

import pytest
import torch
from torch import nn

from genrev_cli.models import build_model
from genrev_cli.models.gan import FAMILIES, NORMS, build_discriminator


def table(name, image_shape, latent_dim=5, **settings):
    return {"name": name, "image_shape": list(image_shape), "latent_dim": latent_dim, **settings}


HQ = [512, 512, 256, 128, 64, 32, 16]
PUBLISHED = {
    "infogan": table("infogan", (1, 28, 28), 64),
    "sngan": table("sngan", (3, 32, 32), 128),
    "sngan-resnet": table("sngan-resnet", (3, 32, 32), 128),
    "dcgan": table("dcgan", (3, 64, 64), 128),
    "dcgan-radford": table("dcgan", (3, 64, 64), 100, width=128),
    "wgan-resnet": table("wgan-resnet", (3, 64, 64), 128),
    "wgan-resnet-256": table("wgan-resnet", (3, 256, 256), 128, channels=HQ),
    "wgan-qc": table("wgan-qc", (3, 64, 64), 128),
    "wgan-qc-256": table("wgan-qc", (3, 256, 256), 128, stages=6, blocks=1),
}
SMALL = {
    "infogan": table("infogan", (1, 8, 8), width=4),
    "sngan": table("sngan", (3, 16, 24), width=4),
    "sngan-resnet": table("sngan-resnet", (3, 16, 16), width=4),
    "dcgan": table("dcgan", (3, 16, 8), width=6, stages=2),
    "wgan-resnet": table("wgan-resnet", (3, 16, 8), channels=[12, 8, 4]),
    "wgan-qc": table("wgan-qc", (3, 16, 8), width=4, most=8, stages=2),
}
OWN_NORM = {
    "infogan": "batch", "sngan": "spectral", "sngan-resnet": "spectral", "dcgan": "batch", "wgan-resnet": "layer", "wgan-qc": "none"
}  # fmt: skip

every_family = pytest.mark.parametrize("name", FAMILIES)
every_norm = pytest.mark.parametrize("norm", NORMS)
every_published = pytest.mark.parametrize("name", PUBLISHED)


def autoencoder(config, dtype=torch.float64):
    torch.manual_seed(0)
    return build_model(config).to(dtype)


def discriminator(config, norm, dtype=torch.float64):
    torch.manual_seed(0)
    D = build_discriminator(config, norm).to(dtype)
    for parameter in D.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)  # biases of zero would hide mistakes
    return D


def images(config, n=5, dtype=torch.float64):
    return torch.rand(n, *config["image_shape"], dtype=dtype, generator=torch.Generator().manual_seed(1))
