"""Every kind of network on the emulated device, through every command."""

import pytest
from family_cases import TABLES, chain
from steps import require_budget

from genrev_cli.cli import main


@pytest.mark.parametrize("name", TABLES)
def test_a_network_goes_through_every_command(data, tmp_path, trained, name):
    ran = []
    for words in chain(tmp_path, data, name):
        if "--device" in words:
            words[words.index("--device") + 1] = "cuda"
            ran.append(trained(name, [*words, "--steps", "4", "--log-every", "100"]))
        else:
            assert main(words) == 0, words  # --device auto
    for stage, steps in ran:
        require_budget(name, stage, steps)
