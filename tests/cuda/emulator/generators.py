"""Random numbers of the emulated device: every CUDA generator has a twin on the CPU with the same seed."""

import torch

_STEP = 4
"""By how much a CUDA generator's offset grows with every use; it must be a multiple of four."""

_twins: dict[int, tuple[int, int, torch.Generator]] = {}
"""Address of a CUDA generator → its seed and offset after the last use, and its twin."""


def generator_on(device: torch.device, given: torch.Generator) -> torch.Generator:
    """Return the generator to draw from on the CPU in the place of `given`.

    A stream begins anew whenever a CUDA generator's offset is 0, as after `manual_seed`. An operator that is given no generator draws
    from the CPU's default one. Raises RuntimeError for a generator of another kind of device, as CUDA does, and for one that was set to a
    state in the middle of its stream.
    """
    if given.device.type != device.type:
        raise RuntimeError(f"Expected a '{device.type}' device type for generator but found '{given.device.type}'")
    if device.type != "cuda":
        return given
    seed, offset = given.initial_seed(), given.get_offset()
    before_seed, before_offset, twin = _twins.get(given._cdata, (None, None, None))
    if offset == 0:
        twin = torch.Generator().manual_seed(seed)
    elif (before_seed, before_offset) != (seed, offset):
        raise RuntimeError("the emulated device cannot go to a state in the middle of a generator's stream")
    given.set_offset(offset + _STEP)
    _twins[given._cdata] = (seed, offset + _STEP, twin)
    return twin
