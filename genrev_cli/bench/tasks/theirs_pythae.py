"""Train an autoencoder with pythae: {variant, recipe, array, batch, device, folder, out} → weights in `out` (.safetensors).

It prints {"cpu_of_training": CPU seconds without those of the start}. pythae's losses are of pixels in [0, 1], genrev's of [−1, 1]:

    vae:      ½ Σ (x − x̂)² + Σ KL                                          genrev with decoder_std 2, times C·H·W
    wae-mmd:  a Σ (x − x̂)² + λ MMD²,                     a = 4 w_x          genrev's
    wae-gan:  b ½ Σ (x − x̂)² − log D(f(x)),              b = 8 w_x / λ      genrev's over λ   (pythae's Adversarial_AE)
"""

import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genrev_cli.bench.tasks.trainings import SEED, fresh, load_optimizers, read_images, write_weights
from genrev_cli.bench.tasks.words import arguments
from genrev_cli.config import read_recipe
from genrev_cli.models import Variational
from genrev_cli.models.adversary import CodeDiscriminator
from genrev_cli.shapes import to_float
from genrev_cli.training.loop import seeded


def main(*, variant: str, recipe: str, array: str, batch: int, device: str, folder: str, out: str) -> None:
    """Train for one epoch by pythae's pipeline, which writes its own files into `folder`, and write the weights."""
    from pythae.pipelines import TrainingPipeline

    pixels, c = read_images(array, "cpu"), read_recipe(recipe)["train-vae"]
    network, prior = fresh(recipe, tuple(pixels.shape[1:]))
    assert isinstance(network, Variational)
    with seeded(SEED, "discriminator"):
        model = build(variant, network, c)
    load_optimizers()
    start = time.process_time()
    TrainingPipeline(model, config(variant, c, batch, device=device, folder=Path(folder)))(train_data=to_float(pixels))
    write_weights(out, network.cpu(), prior)
    print(json.dumps({"cpu_of_training": time.process_time() - start}))


def build(variant: str, network: Variational, c: dict[str, Any]) -> Any:
    """Return pythae's model with genrev's networks. c: the recipe's settings of train-vae."""
    from pythae.models import VAE, WAE_MMD, Adversarial_AE, Adversarial_AE_Config, VAEConfig, WAE_MMD_Config

    sizes = {"input_dim": network.image_shape, "latent_dim": network.latent_dim}
    encoder, decoder = parts(network)
    if variant == "vae":
        return VAE(VAEConfig(**sizes), encoder, decoder)
    if variant == "wae-mmd":
        scales = {"reconstruction_loss_scale": 4 * c["weight_x"], "reg_weight": c["weight_penalty"], "kernel_choice": "imq"}
        return WAE_MMD(WAE_MMD_Config(**sizes, **scales, kernel_bandwidth=1.0), encoder, decoder)
    scales = {"adversarial_loss_scale": 1.0, "reconstruction_loss_scale": 8 * c["weight_x"] / c["weight_penalty"]}
    D = discriminator(CodeDiscriminator(network.latent_dim, c["hidden"], c["layers"]))
    return Adversarial_AE(Adversarial_AE_Config(**sizes, **scales, deterministic_posterior=True), encoder, decoder, D)


def config(variant: str, c: dict[str, Any], batch: int, *, device: str, folder: Path) -> Any:
    """Return the settings of one epoch of pythae's trainer."""
    from pythae.trainers import AdversarialTrainerConfig, BaseTrainerConfig

    common = {"output_dir": str(folder), "num_epochs": 1, "per_device_train_batch_size": batch, "no_cuda": device == "cpu"}
    betas = {"betas": list(map(float, c["betas"]))}
    if variant != "wae-gan":
        return BaseTrainerConfig(**common, learning_rate=c["lr"], optimizer_params=betas)
    rates = {"autoencoder_learning_rate": c["lr"], "discriminator_learning_rate": c["lr_discriminator"]}
    return AdversarialTrainerConfig(**common, **rates, autoencoder_optimizer_params=betas, discriminator_optimizer_params=betas)


def parts(network: Variational) -> tuple[Any, Any]:
    """Return genrev's encoder and decoder as pythae's. Each registers its own layers, because pythae has an optimizer for each."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.mean, self.log_variance, self.whole = network.features, network.mean, network.log_variance, (network,)

        def forward(self, x: Tensor) -> Any:
            if self.log_variance is None:
                mean = self.whole[0].encode(x)
                return ModelOutput(embedding=mean, log_covariance=torch.zeros_like(mean))  # not used
            mean, log_variance = self.whole[0].posterior(x)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.whole = network.decoder, (network,)

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.whole[0].decode(z))

    return Encoder(), Decoder()


def discriminator(D: CodeDiscriminator) -> Any:
    """Return genrev's discriminator as pythae's, which returns probabilities."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDiscriminator

    class Discriminator(BaseDiscriminator):
        def __init__(self) -> None:
            super().__init__()
            self.D = D

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(embedding=torch.sigmoid(self.D(z)))

    return Discriminator()


if __name__ == "__main__":
    main(**arguments())
