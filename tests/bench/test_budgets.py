"""No training step and no stage may do more work than was recorded in budgets.json: operators, allocations and allocated bytes.

If more work has a good reason, record it with `make bench-guard UPDATE=1`, and commit budgets.json.
"""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from counting import Counter, Work, counted, steps_of_training

from genrev_cli.bench.random_inception import random_inception_weights
from genrev_cli.metrics.features import InceptionExtractor
from genrev_cli.ot.semidiscrete import SolverConfig, build_solver
from genrev_cli.runs.train import train
from genrev_cli.settings.codes import EncodeSettings
from genrev_cli.settings.likelihood import TRAIN_FLOW
from genrev_cli.settings.sample import SampleSettings
from genrev_cli.settings.schedule import RunOptions
from genrev_cli.stages.encode import encode
from genrev_cli.stages.sample import sample

FILE = Path(__file__).with_name("budgets.json")
MORE = 1.05
"""A number may grow by 5 % before the test fails."""

VERSION = torch.__version__.split("+")[0]
RECORDED = json.loads(FILE.read_text()) if FILE.exists() else {"torch": VERSION, "budgets": {}}
UPDATE = bool(os.environ.get("UPDATE_BUDGETS"))

RUN = RunOptions(device="cpu", log_every=1000, monitor_every=1000, preview_every=1000)
STEPS = 4

FLOW = """
[model]
name = "inn"
levels = [{ couplings = 1, hidden = 4 }]
hidden_dense = 4
[prior]
name = "diagonal-gaussian"
[train-flow]
batch = 8
steps = 10
"""

pytestmark = pytest.mark.skipif(
    not UPDATE and RECORDED["torch"] != VERSION,
    reason=f"recorded with torch {RECORDED['torch']}, whose operators differ from those of {VERSION}; run make bench-guard UPDATE=1",
)


def require_within(name, work):
    """Fail if some number of `work` is more than 5 % above the recorded one; with UPDATE, record it instead."""
    if UPDATE:
        budgets = {**json.loads(FILE.read_text())["budgets"]} if FILE.exists() else {}
        found = {"torch": VERSION, "budgets": dict(sorted({**budgets, name: asdict(work)}.items()))}
        FILE.write_text(json.dumps(found, indent=1) + "\n")
        return
    assert name in RECORDED["budgets"], f"{name} has no budget; run make bench-guard UPDATE=1"
    budget = RECORDED["budgets"][name]
    grown = {key: f"{budget[key]} → {count}" for key, count in asdict(work).items() if count > MORE * budget[key]}
    assert not grown, f"{name} does more than recorded: {grown}; make it do less, or record it with make bench-guard UPDATE=1"


@pytest.fixture
def flow(tmp_path, data):
    """(out, **settings) → one call of train-flow."""
    recipe = tmp_path / "flow.toml"
    recipe.write_text(FLOW)

    def run(out, *, run=RUN, **settings):
        return train(TRAIN_FLOW, data, out, recipe=str(recipe), overrides={"train-flow": settings}, run=run)

    return run


STAGES = ["recon", "adversarial", "matching", "transport", "perceptual", "variational", "flow"]
CASES = [*((stage, "plain") for stage in STAGES), ("recon", "reversible"), ("recon", "checkpoint"), ("flow", "reversible")]


@pytest.mark.parametrize(("stage", "memory"), CASES)
def test_a_training_step(stage, memory, request, tmp_path, monkeypatch):
    run = request.getfixturevalue(stage)
    with steps_of_training(monkeypatch) as steps:
        run(tmp_path / "out.safetensors", run=RUN, memory=memory, steps=STEPS)
    assert len(steps) == STEPS
    require_within(f"a step of {stage}, {memory}", steps[-1])


def test_sample_and_encode(recon, data, tmp_path):
    ckpt = recon(tmp_path / "recon.safetensors", steps=1).out
    require_within("sample 64 images", counted(lambda: sample(ckpt, tmp_path / "samples.npz", SampleSettings(n=64, device="cpu"))))
    require_within("encode 22 images", counted(lambda: encode(ckpt, tmp_path / "codes.h5", EncodeSettings(device="cpu"), data=data)))


def test_a_step_of_fit_ot():
    solver = build_solver(torch.rand(500, 4, generator=torch.Generator().manual_seed(0)), None, SolverConfig(), 0)
    require_within("a step of fit-ot, 500 codes", counted(solver.step))


def test_inception_features():
    extractor = InceptionExtractor(random_inception_weights(3), weights_sha256="")
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    require_within("Inception's features of 2 images", counted(lambda: extractor(images)))


def test_the_counter_sees_operators_and_new_storages_only():
    x = torch.ones(10, requires_grad=True)
    with Counter() as counter:
        y = x.view(2, 5)  # no new storage
        z = y * 2  # 40 bytes
        z.add_(1)  # in place
    assert counter.done == Work(3, 1, 40)
    with Counter() as counter:
        torch.autograd.grad(z.sum(), x)
    assert counter.done.operators >= 4
    assert counter.done.allocations >= 3


@pytest.mark.parametrize("key", ["operators", "allocations", "bytes"])
def test_growth_by_more_than_five_percent_is_an_error(key, monkeypatch):
    monkeypatch.setitem(RECORDED["budgets"], "a case", {"operators": 100, "allocations": 100, "bytes": 100})
    monkeypatch.setitem(globals(), "UPDATE", False)
    require_within("a case", replace(Work(100, 100, 100), **{key: 105}))
    with pytest.raises(AssertionError, match=f"a case does more than recorded.*{key}.*100 → 106"):
        require_within("a case", replace(Work(100, 100, 100), **{key: 106}))
