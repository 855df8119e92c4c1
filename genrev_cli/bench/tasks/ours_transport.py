"""Fit and draw with genrev: {codes, kept, out, drawn, goal} → codes, heights and drawn codes in `out` (.npz). The map is kept in `kept`."""

from pathlib import Path

import numpy as np
import torch

from genrev_cli.bench.tasks.words import arguments
from genrev_cli.files.codes import open_codes
from genrev_cli.latents.transport import TransportMap
from genrev_cli.settings.sampling import SamplerFile
from genrev_cli.settings.transport_map import FitOtOptions
from genrev_cli.stages.fit_ot import fit_ot
from genrev_cli.store.samplers import load_sampler

MOST = 5000  # samples per code


def main(*, codes: str, kept: str, out: str, drawn: int, goal: float) -> None:
    """Write the file."""
    n = len(open_codes(Path(codes)).codes)
    fit_ot(Path(codes), Path(kept), FitOtOptions(target_chi2=goal, max_samples=MOST * n, rule="nearest", device="cpu"))
    sampler = load_sampler(SamplerFile(Path(kept)))[1]
    assert isinstance(sampler, TransportMap)
    new = sampler.sample(drawn, torch.Generator().manual_seed(0))
    np.savez(out, codes=sampler.codes.numpy(), heights=sampler.heights.numpy(), drawn=new.numpy())


if __name__ == "__main__":
    main(**arguments())
