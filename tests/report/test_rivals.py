"""Checkpoints grouped by training, the names of the groups, and the settings in which groups differ."""

from pathlib import Path

import pytest

from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header
from genrev_cli.report.chain import Record
from genrev_cli.report.rivals import Rival, differing, grouped, seed_words, settings


def checkpoint(path: str, seed: int = 0, *, lr: float = 1e-3, stage: str = "train", before: Record | None = None, **config) -> Record:
    inputs = {"ckpt": before.header.as_input(before.path)} if before else {}
    table = {
        "stage": stage,
        "model": {"name": "revnet"},
        "method": {"lr": lr, "width": 8},
        "schedule": {"seed": seed, "steps": 10},
        **config,
    }
    return Record(Path(path), Header("checkpoint", table, f"{path}{seed}{lr}", 10, inputs=inputs))


START = checkpoint("start.safetensors", stage="pretrain")


def groups(*records: Record, labels: dict[int, str] | None = None) -> list[list[str]]:
    """Return label and paths of every group."""
    rivals = [Rival((labels or {}).get(i, ""), record) for i, record in enumerate(records)]
    return [[group.label, *(str(record.path) for record in group.records)] for group in grouped(rivals)]


def test_runs_that_differ_only_in_their_seed_are_a_group():
    a, b, c = (checkpoint(f"adv-seed{seed}.safetensors", seed, before=START) for seed in range(3))
    other = checkpoint("wide.safetensors", 0, lr=1.0001e-3, before=START)
    assert groups(a, other, b, c) == [["adv", str(a.path), str(b.path), str(c.path)], ["wide", "wide.safetensors"]]


def test_seeds_of_earlier_stages_count_as_seeds():
    """A start with another seed is the same training; a start with other settings is not."""
    starts = [checkpoint("s.safetensors", seed, stage="pretrain", lr=lr) for seed, lr in ((0, 1.0), (1, 1.0), (2, 2.0))]
    runs = [checkpoint(f"run{i}.safetensors", before=start) for i, start in enumerate(starts)]
    assert [len(group) - 1 for group in groups(*runs)] == [2, 1]
    assert seed_words(runs[:2]) == "0/0, 1/0"
    assert seed_words([checkpoint("a", 4), checkpoint("b", 7)]) == "4, 7"


def test_checkpoints_with_equal_seeds_are_not_a_group():
    """Two checkpoints of one run, such as the best and the last, do not show how much a training varies."""
    last, best = checkpoint("a.safetensors"), checkpoint("a.best.safetensors", score={"FID": 3.0})
    again, other_best = checkpoint("b.safetensors"), checkpoint("b.best.safetensors", 1, score={"FID": 4.0})
    assert [group[1:] for group in groups(last, best, again, other_best)] == [
        ["a.safetensors"], ["a.best.safetensors", "b.best.safetensors"], ["b.safetensors"],
    ]  # fmt: skip


def test_labels_split_and_join_groups():
    runs = [checkpoint(f"adv-{seed}.safetensors", seed) for seed in range(3)]
    assert [group[0] for group in groups(*runs, labels={1: "mine"})] == ["adv", "mine"]
    assert groups(*runs, labels=dict.fromkeys(range(3), "all"))[0][0] == "all"
    with pytest.raises(UsageError, match="x="):
        groups(runs[0], checkpoint("b.safetensors", lr=1.0), labels={0: "x", 1: "x"})


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("one/adv.safetensors", "two/adv.safetensors"), ["one/adv", "two/adv"]),
        (("x/adv.safetensors", "y/x/adv.safetensors"), ["x/adv (1)", "x/adv (2)"]),
        (("a.b.safetensors", "c.safetensors"), ["a.b", "c"]),
    ],
)
def test_groups_without_a_label_get_different_names(paths, names):
    assert [group[0] for group in groups(*(checkpoint(path, lr=i + 1.0) for i, path in enumerate(paths)))] == names


@pytest.mark.parametrize(
    ("stems", "name"),
    [
        (("adv-seed0", "adv-seed1"), "adv"),
        (("run_s10", "run_s11"), "run"),
        (("0", "1"), "2 seeds"),
        (("seed-3", "seed-4"), "2 seeds"),
        (("m1", "m12"), "m"),
    ],
)
def test_a_group_is_named_by_the_common_part_of_its_file_names(stems, name):
    assert groups(*(checkpoint(f"{stem}.safetensors", seed) for seed, stem in enumerate(stems)))[0][0] == name


def test_only_settings_that_differ_are_listed():
    """Settings of a stage that one group lacks are listed only if the other groups differ in them."""
    slow = [checkpoint(f"slow{seed}.safetensors", seed, before=START) for seed in (0, 1)]
    fast = checkpoint("fast.safetensors", lr=0.5, before=START)
    found = dict(differing(grouped([Rival("", record) for record in (*slow, fast, START)])))
    assert found == {
        "train: lr": ["0.001", "0.5", "–"],
        "train: schedule.seed": ["0, 1", "0", "–"],
        "stages": ["pretrain, then train", "pretrain, then train", "pretrain"],
    }


def test_a_stage_that_ran_twice_shows_both_settings():
    first = checkpoint("a.safetensors", lr=1.0)
    found = settings(checkpoint("b.safetensors", lr=2.0, before=first))
    assert (found["train", "lr"], found["train 2", "lr"]) == ("1", "2")
