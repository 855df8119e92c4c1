"""Files that went bad by chance, through the commands that read them: one sentence and an exit code, the input as it was, and no damage
to what our checksums cover passes unnoticed.

GENREV_FUZZ says how many of each: 1000 take an hour or so.
"""

import os
import random
import shutil

import pytest
from mutations import MUTATIONS
from readers import READERS

from genrev_cli.stages.info import read_any_header

CASES = int(os.environ.get("GENREV_FUZZ", "3"))
OTHERS = [b"", b"\x89PNG\r\n\x1a\n", bytes(4096)]


@pytest.mark.parametrize("name", READERS)
def test_sound(name, sound, read):
    """What follows would mean nothing if a command failed for another reason."""
    reader = READERS[name]
    outcome, _ = read(reader, (sound / reader.file).read_bytes())
    assert outcome.code == reader.code, outcome.err


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if not reader.lenient])
def test_other_kinds_of_files(name, read):
    for data in OTHERS:
        outcome, _ = read(READERS[name], data)
        assert outcome.code == 3, outcome.err


@pytest.mark.parametrize("name", READERS)
def test_damaged(name, sound, read):
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
