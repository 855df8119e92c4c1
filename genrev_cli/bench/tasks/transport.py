"""Fit a transport map to codes and draw new codes: POT's and OTT's solvers, and `genrev fit-ot`, until the cells' masses are right.

χ² = Σ w_i²/b_i − 1,   w: masses of the cells on fresh samples,  b_i = 1/n
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import genrev_cli
from genrev_cli.bench.harness import Table
from genrev_cli.bench.ot_semidiscrete import JUDGES_PER_CODE, mixture
from genrev_cli.bench.tasks.race import TARGET, Side, race
from genrev_cli.bench.tasks.words import program
from genrev_cli.files.npz import reading_npz
from genrev_cli.ot.cells import judge
from genrev_cli.progress import Progress
from genrev_cli.runs.resume import run_folder
from genrev_cli.seeds import derive
from genrev_cli.settings.bench import BenchOptions
from genrev_cli.shapes import Codes

CODES, DIMS, DRAWN = 2000, 32, 10_000
GOALS = (0.1, 0.05)
LIMIT = 60.0  # seconds of CPU time for a solver of other people


def transport(options: BenchOptions, device: torch.device, progress: Progress) -> list[Table]:
    """Fit a map from the cube to codes to each χ² of GOALS, and draw 10,000 codes (the nearest, without interpolation). Runs on a CPU."""
    n, drawn, limit = (60, 50, 2.0) if options.quick else (CODES, DRAWN, LIMIT)
    with TemporaryDirectory() as scratch:
        codes = mixture(n, DIMS)
        array, file = Path(scratch, "codes.npy"), Path(scratch, "codes.h5")
        np.save(array, codes.numpy())
        genrev_cli.write_codes(file, codes.numpy())
        tasks = [{"codes": array, "drawn": drawn, "goal": goal, "limit": limit} for goal in GOALS]
        return [_table(codes, file, task, options, progress=progress) for task in tasks]


def _table(codes: Codes, file: Path, task: dict[str, Any], options: BenchOptions, *, progress: Progress) -> Table:
    home, goal = file.parent, task["goal"]

    def side(name: str, solver: str, needs: dict[str, str]) -> Side:
        out = home / f"{solver}.npz"
        words = program("theirs_transport", solver=solver, out=out, **task)
        return Side(name, words, judged(out), needs=needs, clean=[out])

    ours, kept = home / "genrev.npz", home / "ot.safetensors"
    words = program("ours_transport", codes=file, kept=kept, out=ours, drawn=task["drawn"], goal=goal)
    sides = [
        side("POT solve_semidiscrete", "pot", {"ot": "POT"}),
        side("OTT SemidiscreteSolver", "ott", {"ott": "ott-jax", "jax": "jax"}),
        Side("genrev fit-ot", words, judged(ours), clean=[ours, kept, run_folder(kept)], target=TARGET),
    ]
    notes = [
        f"chi2: of the cells' masses on {JUDGES_PER_CODE} fresh samples per code, by one judge for all; wanted: {goal:g}",
        "POT: its defaults; OTT: no regularisation, POT's rates; 256 samples a step; they look at χ² after 100 steps, 200 more, …, "
        f"and end at the goal or after {task['limit']:g} CPU seconds",
    ]
    title = f"map of {len(codes)} codes in {codes.shape[1]} dimensions to χ² {goal:g}, and {task['drawn']} drawn codes"
    return race(title, sides, options, progress, notes=notes)


def judged(path: Path) -> Callable[[str], dict[str, Any]]:
    """Return a judge of the codes (n, d), heights (n,) and drawn codes in `path` (.npz)."""

    def columns(_: str) -> dict[str, Any]:
        with reading_npz(path) as found:
            codes, heights = (torch.from_numpy(found[name]).float() for name in ("codes", "heights"))
            drawn = found["drawn"]
        accuracy = judge(codes, heights, samples=JUDGES_PER_CODE * len(codes), seed=derive(0, "task-transport-judge"))
        return {"chi2": accuracy.chi2, "empty": accuracy.empty, "drawn": len(drawn)}

    return columns
