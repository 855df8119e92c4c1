"""fit-gmm: codes → a mixture of Gaussians that samples them, to compare an OT map with."""

import time
import warnings
from pathlib import Path

import numpy as np
import torch

from genrev_cli.errors import UsageError
from genrev_cli.files.header import provenance
from genrev_cli.latents.samplers import Mixture
from genrev_cli.memory import require_room_for_algebra
from genrev_cli.progress import SILENT, Progress
from genrev_cli.result import Result
from genrev_cli.seeds import derive
from genrev_cli.settings.codes import FitGmmSettings
from genrev_cli.store.samplers import check_sampler_target, open_finite_codes, write_sampler


def fit_gmm(codes: Path, out: Path, settings: FitGmmSettings, *, progress: Progress = SILENT) -> Result:
    """Fit Gaussians with full covariances by expectation maximisation (scikit-learn) and write them as a sampler.

    Raises UsageError for fewer codes than components, FileError for an unusable file.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    start = time.perf_counter()
    check_sampler_target(out, "gmm", codes)
    given = open_finite_codes(codes)
    n, dim = given.codes.shape
    if n < 2:
        raise UsageError(f"{codes}: a covariance needs at least 2 codes")
    components = settings.components
    if components > n:
        raise UsageError(f"--components {components}: must be at most the number of codes, {n}")
    fitted = GaussianMixture(components, covariance_type="full", random_state=derive(settings.seed, "gmm") % 2**32)
    require_room_for_algebra()
    with warnings.catch_warnings(), progress.task("fit-gmm", 1, "fits") as bar:
        warnings.simplefilter("ignore", ConvergenceWarning)  # told below
        fitted.fit(given.codes.astype(np.float64))
        bar.advance()
    if not fitted.converged_:
        progress.note(f"{out}: expectation maximisation was stopped after {fitted.n_iter_} iterations, before it had converged")
    sampler = Mixture(dim, components)
    for name, array in {"weight": fitted.weights_, "mean": fitted.means_, "factor": np.linalg.cholesky(fitted.covariances_)}.items():
        getattr(sampler, name).copy_(torch.from_numpy(array))
    likelihood = float(fitted.lower_bound_)
    write_sampler(
        out, sampler,
        config={"fit": {"components": components, "seed": settings.seed}, "log_likelihood": likelihood},
        inputs={"codes": given.header.as_input(codes)},
        made_by=provenance(seconds=time.perf_counter() - start, seed=settings.seed, device="cpu"),
    )  # fmt: skip
    return Result(out, {"codes": n, "dim": dim, "components": components, "log_likelihood": likelihood, "iterations": fitted.n_iter_})
