"""Preview pictures: bounded in number, evenly spread, and the same whether a run was killed or not."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from genrev_cli.errors import InterruptedRun
from genrev_cli.runs import previews
from genrev_cli.runs.previews import LIMIT, spread
from genrev_cli.runs.resume import run_folder
from genrev_cli.settings.schedule import RunOptions

RUN = RunOptions(device="cpu", log_every=1, preview_every=1)


def grown(until, every, start=(), first=None):
    """Return the steps that are kept of previews each `every` steps, thinned after each."""
    kept = set(start)
    for step in range(first or every, until + 1, every):
        kept = spread({*kept, step}, step, every)
    return kept


@pytest.mark.parametrize("every", [1, 20, 500])
def test_previews_are_bounded_and_evenly_spread(every):
    kept = set()
    for count in range(1, 1100):
        step = count * every
        kept = spread({*kept, step}, step, every)
        ordered = sorted(kept)
        assert len(kept) <= LIMIT
        assert {every, step} <= kept
        gaps = {b - a for a, b in pairwise(ordered[1:-1])}  # the first is `every`, the newest where it is
        assert len(gaps) <= 1
        assert len(kept) > LIMIT // 2 or len(kept) == count


def test_few_pictures_are_all_kept():
    assert spread([7, 50, 77, 100], 100, 50) == {7, 50, 77, 100}


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_run_keeps_the_same_pictures(seed):
    """It resumes at a step before the kill, with the pictures from the time of the kill."""
    rng, kept, step = random.Random(seed), set(), 0
    while step < 3000:
        killed = min(3000, step + rng.randrange(1, 900))
        kept = grown(killed, 1, kept, step + 1)
        step = killed if killed == 3000 else rng.randrange(step, killed)
        kept = {each for each in kept if each <= step}
    assert kept == grown(3000, 1)


def test_other_intervals_are_bounded_too():
    kept = grown(1000, 10)
    for step in range(1300, 60_000, 300):
        kept = spread({*kept, step}, step, 300)
        assert len(kept) <= LIMIT


def drawn(out):
    return sorted(path.name for path in (run_folder(out) / "previews").iterdir())


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(previews, "LIMIT", 4)


def test_a_stopped_run_resumes(tmp_path, recon, few):
    whole, parts = recon(tmp_path / "a.safetensors", steps=12, run=RUN).out, tmp_path / "b.safetensors"
    for _ in range(3):
        with pytest.raises(InterruptedRun):
            recon(parts, steps=12, run=replace(RUN, time_limit=1e-9))
    recon(parts, steps=12, run=RUN)
    assert drawn(parts) == drawn(whole)
    assert drawn(whole) == [f"step-{step:07d}-{kind}.png" for step in (1, 8, 12) for kind in ("recon", "samples")]


def test_later_pictures_are_removed_and_other_files_stay(tmp_path, recon):
    out = recon(tmp_path / "a.safetensors", steps=6, run=RUN).out
    folder = run_folder(out) / "previews"
    mine = [folder / "step-mine.png", folder / "notes.txt", folder / "step-0000099-samples.png.bak"]
    for path in mine:
        path.write_text("")
    recon(out, steps=3, seed=1, run=replace(RUN, preview_every=2, restart=True))
    steps = {name[5:12] for name in drawn(out) if name[5].isdigit()} - {"0000099"}
    assert steps == {"0000002", "0000003"}
    assert all(path.exists() for path in mine)
