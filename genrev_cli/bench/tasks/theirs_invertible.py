"""Train a network of FrEIA's or memcnn's layers: {peer, recipe, array, batch, precision, device, out} → weights in `out` (.safetensors).

z = R(x);   ẑ = clip(z);   x̂ = R⁻¹(ẑ);   L = w_x·L_x + w_z·L_z

It prints {"cpu_of_training": CPU seconds without those of the start}. Adam is torch's with its defaults, as scripts have it.
"""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from genrev_cli.bench.inn_step import freia
from genrev_cli.bench.revnet_step import memcnn
from genrev_cli.bench.tasks.trainings import SEED, fresh, load_optimizers, read_images, write_weights
from genrev_cli.bench.tasks.words import arguments
from genrev_cli.bench.training_step import Network
from genrev_cli.config import read_recipe
from genrev_cli.methods.reconstruction import image_loss, latent_loss
from genrev_cli.models import Bijection
from genrev_cli.shapes import to_float

PEERS: dict[str, Callable[[Bijection], Network]] = {"FrEIA": freia, "memcnn": memcnn}


def main(*, peer: str, recipe: str, array: str, batch: int, precision: str, device: str, out: str) -> None:
    """Train for one epoch and write the weights."""
    pixels, c = read_images(array, device), read_recipe(recipe)["pretrain-recon"]
    model, prior = fresh(recipe, tuple(pixels.shape[1:]))
    model, prior = model.to(device), prior.to(device)
    assert isinstance(model, Bijection)
    network = PEERS[peer](model)
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(SEED))
    load_optimizers()
    start = time.process_time()
    with torch.no_grad():
        prior.fit(lambda: ((network.encode(to_float(part)), torch.zeros(len(part))) for part in pixels.split(batch)))
    first, second = map(float, c["betas"])
    more = {name: c[name] for name in ("eps", "weight_decay") if name in c}
    adam = torch.optim.Adam(model.parameters(), lr=c["lr"], betas=(first, second), **more)
    for chosen in order.split(batch):
        x = to_float(pixels[chosen])
        with torch.autocast(torch.device(device).type, torch.bfloat16) if precision == "bf16" else nullcontext():
            z = network.encode(x)
            z_hat = prior.restrict(z)
            x_hat = network.decode(z_hat)
        loss = c["weight_x"] * image_loss(x, x_hat, one_sided=c.get("one_sided", False)) + c["weight_z"] * latent_loss(z, z_hat)
        adam.zero_grad()
        loss.backward()
        if c["max_grad_norm"]:
            torch.nn.utils.clip_grad_norm_(model.parameters(), c["max_grad_norm"])
        adam.step()
    write_weights(out, model, prior)
    print(json.dumps({"cpu_of_training": time.process_time() - start}))


if __name__ == "__main__":
    main(**arguments())
