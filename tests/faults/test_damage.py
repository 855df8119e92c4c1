"""Randomly damaged files, read by commands: at worst one error and an exit code; the input stays unchanged, and damage to content with a
checksum is always detected.

GENREV_FUZZ is the number of cases for each command: 1000 take about an hour.
"""

import os
import random
import shutil

import pytest
from mutations import MUTATIONS
from readers import READERS

from genrev_cli.files.any import read_any_header

CASES = int(os.environ.get("GENREV_FUZZ", "3"))
OTHERS = [b"", b"\x89PNG\r\n\x1a\n", bytes(4096)]


@pytest.mark.parametrize("name", READERS)
def test_intact_files_are_read(name, sound, read):
    """The other tests are meaningful only if the command succeeds with the intact file."""
    reader = READERS[name]
    outcome, _ = read(reader, (sound / reader.file).read_bytes())
    assert outcome.code == reader.code, outcome.err


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if not reader.lenient])
def test_other_kinds_of_files_are_refused(name, read):
    for data in OTHERS:
        outcome, _ = read(READERS[name], data)
        assert outcome.code == 3, outcome.err


@pytest.mark.parametrize("name", READERS)
def test_damage_is_detected_or_harmless(name, sound, read):
    reader = READERS[name]
    whole = (sound / reader.file).read_bytes()
    if reader.out:
        _, folder = read(reader, whole)
        made = read_any_header(folder / reader.out).sha256
    for case in range(CASES):
        rng = random.Random(f"{name} {case}")
        data = rng.choice(MUTATIONS)(whole, rng)
        outcome, folder = read(reader, data)
        if outcome.code == 0 and reader.out:
            assert read_any_header(folder / reader.out).sha256 == made, f"case {case} went unnoticed"
        shutil.rmtree(folder)
