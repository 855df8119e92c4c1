"""Every training stage on the emulated device: it gives what the CPU gives, and the host waits for the device at looks alone."""

import pytest
import torch
from commands import DIGITS, TRAINING_CASES, recipe_commands, words_on
from family_cases import TABLES, chain
from process_cases import inputs, prepare
from steps import observed, summary, waits_between_looks

from genrev_cli.cli import main
from genrev_cli.files.checkpoint import read_checkpoint

WAITS_PER_STEP = {"train-ot": 1}
"""By stage, where it is not 0. train-ot: the costs of all classes come to the host, which solves the assignments."""

ROUNDING = {"gan-gp": 1e-6}
"""By case, where weights are not those of the CPU to the bit. gan-gp: torch takes second derivatives of convolutions in another order."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The data, recipes and checkpoints that commands begin with."""
    folder = tmp_path_factory.mktemp("inputs")
    prepare(folder)
    assert [main(words) for words in inputs(folder)] == [0] * len(inputs(folder))
    return folder


@pytest.fixture
def trained(monkeypatch, record_property):
    """(label, words) → run a training command, hold its waits against the budget, and keep its row of the table."""

    def run(label, words):
        words = [str(word) for word in words]
        with observed(monkeypatch) as steps:
            assert main(words) == 0
        assert sum(not step.looks for step in steps) >= 2, "too few steps without a look to judge"
        record_property("step", [label, words[0], *summary(steps)])
        return words[0], steps

    return run


def require_budget(stage, steps):
    """Fail with the line of every wait that is beyond the budget."""
    found, allowed = waits_between_looks(steps), WAITS_PER_STEP.get(stage, 0)
    for number in {key[0] for key in found}:
        beyond = {f"{what} at {line}": count for (step, what, line), count in found.items() if step == number}
        assert sum(beyond.values()) <= allowed, f"step {number} of {stage} waits for the device: {beyond}"


@pytest.mark.parametrize("name", TRAINING_CASES)
def test_a_stage_gives_what_the_cpu_gives_and_waits_at_looks_alone(folder, tmp_path, trained, name):
    case = TRAINING_CASES[name]
    here, there = tmp_path / "cuda", tmp_path / "cpu"
    for made in (here, there):
        made.mkdir()
    stage, steps = trained(name, words_on("cuda", case, folder, here))
    assert main(words_on("cpu", case, folder, there)) == 0
    (header, mine), (_, theirs) = (read_checkpoint(made / case.out) for made in (here, there))
    assert header.made_by["device"] == "cuda:0"
    for key, value in theirs.items():
        torch.testing.assert_close(mine[key], value, rtol=0, atol=ROUNDING.get(name, 0), msg=lambda said, key=key: f"{key}: {said}")
    require_budget(stage, steps)


@pytest.mark.parametrize("name", DIGITS)
def test_a_recipe_runs_and_waits_at_looks_alone(folder, tmp_path, trained, name):
    ran = []
    for line in recipe_commands(name):
        words = line.format(i=folder, o=tmp_path).split()
        if "--steps" in words:
            ran.append(trained(name, words))
        else:
            assert main(words) == 0
    assert ran, "the recipe trains nothing"
    for stage, steps in ran:
        require_budget(stage, steps)


@pytest.mark.parametrize("name", TABLES)
def test_a_network_goes_through_every_command(data, tmp_path, trained, name):
    ran = []
    for words in chain(tmp_path, data, name):
        if "--device" in words:
            words[words.index("--device") + 1] = "cuda"
            ran.append(trained(name, [*words, "--steps", 4, "--log-every", 100]))
        else:
            assert main(words) == 0, words
    for stage, steps in ran:
        require_budget(stage, steps)
