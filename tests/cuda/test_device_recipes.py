"""Every recipe for digits on the emulated device, through the stages that it has settings for."""

import pytest
from commands import DIGITS, recipe_commands
from steps import require_budget

from genrev_cli.cli import main


@pytest.mark.parametrize("name", DIGITS)
def test_a_recipe_runs_and_waits_at_looks_alone(start, tmp_path, trained, name):
    ran = []
    for line in recipe_commands(name):
        words = line.format(i=start, o=tmp_path).split()
        if "--steps" in words:
            ran.append(trained(name, words))
        else:
            assert main(words) == 0
    assert ran, "the recipe trains nothing"
    for stage, steps in ran:
        require_budget(name, stage, steps)
