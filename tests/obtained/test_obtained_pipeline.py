"""pipelines/obtained.mk: every row has its commands in order, and it goes on where it was stopped; with a stand-in for genrev."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genrev_cli.obtained.table import contents

ROOT = Path(__file__).parents[2]
TABLE = contents()

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

STAND_IN = """#!{python}
import json, pathlib, sys
words = sys.argv[1:]
if "--dry-run" in words:
    print(json.dumps({{"steps": 700, "method": {{}}}}))
    sys.exit()
option = dict(zip(words, words[1:]))
for name in ("--data", "--ckpt", "--ot", "--ref"):
    if name in option and not pathlib.Path(option[name]).exists():
        sys.exit(f"{{option[name]}} does not exist")
if "diverge" in option.get("--out", ""):
    sys.exit(4)
with open("calls", "a") as calls:
    print(*words, file=calls)
pathlib.Path(option["--out"]).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(option["--out"]).write_text("x")
"""


@pytest.fixture
def pipeline(tmp_path):
    """Run make in an empty folder, with a stand-in that writes its target: call it with make's words, to get what make prints."""
    genrev = tmp_path / "genrev"
    genrev.write_text(STAND_IN.format(python=sys.executable))
    genrev.chmod(0o755)
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}  # of 'make test'
    alone["PYTHONPATH"] = str(ROOT)

    def run(*words, code=0):
        given = ["make", "-f", str(ROOT / "pipelines/obtained.mk"), f"GENREV={genrev}", f"PYTHON={sys.executable}", *words]
        done = subprocess.run(given, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


def calls(folder):
    """Return the commands that the stand-in has carried out since the last call."""
    path = folder / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line.split()[0] for line in lines]


def trained(output):
    """Return (target, words) of every training command that make shows."""
    lines = [shlex.split(line.replace("$(", "").replace(".json)", "")) for line in output.splitlines() if " --seed " in line]
    return {words[-1]: words for words in lines if words[1].startswith(("train-", "pretrain-"))}


def test_every_row_is_trained_and_scored(pipeline):
    sources = [data for data in TABLE.data if not TABLE.data[data].like]
    rows = [f"{method.key}-{data}" for data in sources for method in TABLE.rows_of(data)]
    output = pipeline("-n", "rows", f"ROWS={' '.join(rows)}", "SEEDS=0 1", "OUT=o", "FEATURES=inception")
    found = trained(output)
    for data in sources:
        for method in TABLE.rows_of(data):
            for seed in "01":
                for i, command in enumerate(method.train, 1):
                    words = found.pop(f"o/{method.key}-{data}/{seed}/{i}.safetensors")
                    assert words[1 : 1 + len(command.split())] == command.split()
                    assert words[words.index("--seed") + 1] == seed
                scores = [kind for kind in ("classifier", "pixel", "inception") if f"o/{method.key}-{data}/{seed}/fd-{kind}.json" in output]
                expected = ["classifier"] * TABLE.data[data].classes + ["pixel", "inception"]
                assert scores == (expected if method.samples else [])
                assert (f"o/{method.key}-{data}/{seed}/model.json" in output) == (method.encodes or method.bits)
    assert not found


def test_the_training_commands_of_a_row_share_its_minutes(pipeline):
    output = pipeline("-n", "rows", "ROWS=grn-mnist vae-mnist", "MINUTES=30")
    minutes = [line.split("--minutes ")[1].split()[0] for line in output.splitlines() if " pace --minutes" in line]
    assert sorted(map(float, minutes)) == [15, 15, 30]


def test_the_recipes_own_length_needs_no_pace(pipeline):
    output = pipeline("-n", "rows", "ROWS=aeotgan-mnist", "MINUTES=0", "DEVICE=cuda")
    assert "pace" not in output
    assert "--steps" not in output
    assert output.count("--device 'cuda'") == 10  # two trainings, encode, fit-ot, features, three scores, two of real images


def test_a_size_of_networks_is_given_to_the_first_command_of_every_row(pipeline):
    output = pipeline("-n", "all", "SOURCES=celeba64", "SIZE=small", "MINUTES=5")
    commands = trained(output)
    assert "runs/obtained/5-minutes-small/grn-celeba64/0/1.safetensors" in commands, "no small network is cut"
    for target, words in commands.items():
        assert ("--size-of-model" in words) == target.endswith("/1.safetensors"), target
    assert "--size 'small' --out 'docs/obtained-small.md'" in output


def test_a_map_is_made_from_the_first_checkpoint_and_used_in_every_sample(pipeline):
    output = pipeline("-n", "rows", "ROWS=aeotgan-mnist aeot-mnist", "OUT=o")
    gan = trained(output)["o/aeotgan-mnist/0/2.safetensors"]
    assert gan[gan.index("--ckpt") + 1 : gan.index("--ckpt") + 4] == [
        "o/aeotgan-mnist/0/1.safetensors",
        "--ot",
        "o/aeotgan-mnist/0/ot.safetensors",
    ]
    drawn = [line for line in output.splitlines() if " fid --ckpt " in line and " -n " in line]
    assert len(drawn) == 4
    assert all("--ot 'o/" in line for line in drawn)


def test_it_goes_on_where_it_was_stopped(pipeline, tmp_path):
    words = ["rows", "ROWS=aeot-digits", "SOURCES=digits", "MINUTES=0"]
    pipeline(*words)
    made = calls(tmp_path)
    assert made[:4] == ["prepare-data", "pretrain-recon", "encode", "fit-ot"]
    assert sorted(made[4:]) == ["fid"] * 5 + ["fit-features"]  # two distances of real images
    pipeline(*words)
    assert calls(tmp_path) == []
    (tmp_path / "runs/obtained/recipes/aeot-digits/0/fd-pixel.json").unlink()
    pipeline(*words)
    assert calls(tmp_path) == ["fid"]
    (tmp_path / "runs/obtained/recipes/aeot-digits/0/ot.safetensors").unlink()
    pipeline(*words)
    assert calls(tmp_path) == ["fit-ot", "fid", "fid"]
    pipeline(*words, "SEEDS=0 1")
    assert calls(tmp_path) == ["pretrain-recon", "encode", "fit-ot", "fid", "fid", "fid"]


@pytest.mark.slow
def test_a_row_that_fails_leaves_the_others_and_the_page(pipeline, tmp_path):
    """The rows are not run in full here, so the page says that they are not there; the exit code is that of the failure."""
    output = pipeline("all", "ROWS=vae-digits", "SOURCES=digits", "MINUTES=0", "OUT=diverge", "PAGE=page.md", code=2)
    assert "not run" in (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "page.md" in output


def test_real_images_get_every_distance_once(pipeline):
    output = pipeline("-n", "rows", "ROWS=vae-mnist wae-mmd-mnist vae-celeba64", "OUT=o", "DATA=d", "FEATURES=judge.pt")
    real = [shlex.split(line) for line in output.splitlines() if " fid 'd/" in line]
    made = sorted(words[-1] for words in real)
    expected = [f"o/real/mnist/fd-{kind}.json" for kind in ("classifier", "judge", "pixel")]
    assert made == sorted(expected + [f"o/real/celeba64/fd-{kind}.json" for kind in ("judge", "pixel")])
    for words in real:
        assert words[words.index("--ref") + 1] == words[2]
        assert words[words.index("--split") + 1] == "test"


def test_only_reconstructions_need_no_distance_of_real_images(pipeline):
    assert "/real/" not in pipeline("-n", "rows", "ROWS=classic-mnist")


def test_names_with_quotes_reach_every_command_whole(pipeline, tmp_path):
    names = ["OUT=it's (mine) & more".replace(" ", "_"), "DATA=d'a", "PAGE=p'.md"]
    pipeline("rows", "ROWS=aeot-digits", "SOURCES=digits", "MINUTES=0", *names)
    assert "page" not in calls(tmp_path)
    assert (tmp_path / "it's_(mine)_&_more/aeot-digits/0/fd-pixel.json").exists()
    assert (tmp_path / "d'a/digits.h5").exists()
    pipeline("page", "SOURCES=digits", "MINUTES=0", "OUT=empty", *names[2:])
    assert (tmp_path / "p'.md").exists()


def test_an_interrupted_make_deletes_nothing(pipeline):
    """What genrev has written is whole, although the command is interrupted later."""
    database = pipeline("-n", "-p", "rows", "ROWS=aeot-digits", "SOURCES=digits", "MINUTES=1", "OUT=o")
    precious = next(line for line in database.splitlines() if line.startswith(".PRECIOUS:")).split()
    targets = {line.split(":")[0] for line in database.splitlines() if line.startswith("o/aeot-digits/") and ":" in line}
    assert {"o/aeot-digits/0/ot.safetensors", "o/aeot-digits/pace-1.json"} < targets
    assert targets <= set(precious)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ROWS=vae-mnits"], "no row 'vae-mnits'"),
        (["PYTHON=false"], "failed"),
        (["OUT=a b"], "make cannot carry"),
        (["SIZE=smal"], "invalid choice: 'smal'"),
    ],
)
def test_mistakes_are_named(pipeline, words, says):
    assert says in pipeline("-n", "rows", *words, code=2)
