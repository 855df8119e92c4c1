"""Descend a transport loss: {side, steps, n, d, device} → {"loss": that of the last step, "cpu_of_steps": CPU seconds}.

x: (n, d), at first from N(1, 4 I);   x ← x − n/10 · ∇ OT(x, s)
s: (n, d), new samples from N(0, I) in each step;   OT: by Euclidean distance
"""

import json
import time
from collections.abc import Callable

import torch
from torch import Tensor

from genrev_cli.bench.tasks.words import arguments


def main(*, side: str, steps: int, n: int, d: int, device: str) -> None:
    """Print the loss, and the CPU seconds without those of the start."""
    loss_of = (pot_loss if side == "pot" else genrev_loss)()
    generator = torch.Generator().manual_seed(0)
    x = (1 + 2 * torch.randn(n, d, generator=generator)).to(device).requires_grad_()
    start = time.process_time()
    for _ in range(steps):
        s = torch.randn(n, d, generator=generator).to(device)
        loss = loss_of(x, s)
        (gradient,) = torch.autograd.grad(loss, x)
        with torch.no_grad():
            x -= n / 10 * gradient
    print(json.dumps({"loss": loss.item(), "cpu_of_steps": time.process_time() - start}))


def pot_loss() -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss as POT's examples compute it."""
    import ot

    def loss(x: Tensor, s: Tensor) -> Tensor:
        weights = torch.full((len(x),), 1 / len(x), device=x.device)
        return ot.emd2(weights, weights, torch.cdist(x, s))

    return loss


def genrev_loss() -> Callable[[Tensor, Tensor], Tensor]:
    """Return genrev's loss."""
    from genrev_cli.ot.discrete import transport_loss

    return transport_loss


if __name__ == "__main__":
    main(**arguments())
