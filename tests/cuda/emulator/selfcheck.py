"""Whether the emulation works with the installed torch: python -m emulator.selfcheck, in the preloaded environment.

Its exit code is 0, or that of the error or signal that ended it. It uses nothing of genrev.
"""

import contextlib

import torch
import torch.nn.functional as F

from emulator import RECORD, start


def check() -> None:
    """Run one of everything: allocation, convolution, its backward pass, a fused step of Adam, random numbers, copies."""
    start()
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    x = torch.arange(18.0).view(2, 1, 3, 3)
    layers = [torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Conv2d(1, 4, 3, padding=1)]
    layers[1].load_state_dict(layers[0].state_dict())
    layers[1].to("cuda")
    for layer, images in zip(layers, (x, x.to("cuda")), strict=True):
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
        F.batch_norm(layer(images), None, None, training=True).square().mul(images).sum().backward()
        optimizer.step()
    assert all(parameter.device == torch.device("cuda", 0) for parameter in layers[1].parameters()), "parameters are not on the device"
    for mine, theirs in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        torch.testing.assert_close(theirs.cpu(), mine)
    generators = torch.Generator().manual_seed(1), torch.Generator("cuda").manual_seed(1)
    drawn = [torch.randn(3, generator=generator, device=generator.device) for generator in generators]
    assert torch.equal(drawn[0], drawn[1].cpu()), "random numbers differ"
    RECORD.clear()
    x.pin_memory().to("cuda", non_blocking=True)
    assert not RECORD.waits, f"a pinned copy waits: {RECORD.waits}"
    x.to("cuda").sum().item()
    assert len(RECORD.waits) == 2, f"a blocking copy and a number were read, and recorded: {RECORD.waits}"
    with contextlib.suppress(RuntimeError):
        x.to("cuda") + x
    assert RECORD.mixups, "a mix of devices was let through"


if __name__ == "__main__":
    check()
