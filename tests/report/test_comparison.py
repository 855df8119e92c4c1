"""The table of a comparison: means, spreads, order and marks."""

from pathlib import Path

import numpy as np
import pytest

from genrev_cli.files.header import Header
from genrev_cli.report.chain import Record
from genrev_cli.report.comparison import Comparison, Member, Row, as_json, members_json, notes, table
from genrev_cli.report.rivals import Group
from genrev_cli.report.scores import conditions

PICTURE = np.zeros((1, 4, 4), np.uint8)


def member(name: str, seed: int, values: dict[str, float], speeds: tuple[float, ...] = ()) -> Member:
    """Return a member that was pretrained for 30 steps in 5 s and trained for 20 steps in 7 s."""
    start = Header("checkpoint", {"stage": "pretrain"}, "s", 30, made_by={"seconds": 5.0}).as_input(Path("start"))
    header = Header(
        "checkpoint", {"stage": "train", "schedule": {"seed": seed}}, name, 20, inputs={"ckpt": start}, made_by={"seconds": 7.0}
    )
    (main, value), *others = values.items()
    numbers = {"metric": main, "value": value, **dict(others), "n": 500, "n_reference": 40, "bias_floor": 0.25, "split": "test"}
    log = [{"step": i, "kind": "loss", "images_per_second": speed} for i, speed in enumerate(speeds)]
    return Member(Record(Path(name), header), numbers, [{"step": 0, "kind": "monitor", "images_per_second": 1e9}, *log], 1234)


def comparison(rows: dict[str, list[dict[str, float]]], speeds: tuple[float, ...] = ()) -> Comparison:
    made = []
    for label, measured in rows.items():
        members = [member(f"{label}{seed}", seed, values, speeds) for seed, values in enumerate(measured)]
        made.append(Row(Group(label, [found.record for found in members]), members, PICTURE, PICTURE, full=PICTURE))
    return Comparison(made, "real.h5", 3, PICTURE, split="test")


THREE = {"a": [{"FID": 5.0, "L1": 0.4}], "b": [{"FID": 1.0, "L1": 0.2}, {"FID": 2.0, "L1": 0.4}, {"FID": 3.0, "L1": 0.9}]}


def cells(found: Comparison) -> dict[str, dict[str, tuple[str, str, bool]]]:
    """Return row → column → (text, text beside it, True if it is marked as the best)."""
    drawn = table(found)
    titles = [column.title for column in drawn.columns[1:]]
    return {name: dict(zip(titles, ((c.text, c.beside, c.best) for c in row), strict=True)) for name, _, row in drawn.rows}


def test_a_row_of_several_seeds_shows_mean_and_standard_deviation():
    """1, 2, 3 have mean 2 and (with k − 1) standard deviation 1."""
    found = cells(comparison(THREE))
    assert list(found) == ["b", "a"]
    assert found["b"]["FID ↓"] == ("2.000", "± 1.0", True)
    assert found["a"]["FID ↓"] == ("5.000", "", False)
    assert (found["b"]["L1 ↓"][2], found["a"]["L1 ↓"][2]) == (False, True)
    assert found["b"]["Seeds"][:2] == ("0, 1, 2", "k = 3")
    best, other = as_json(comparison(THREE))
    assert (best["FID"], best["FID_std"], best["k"], other["FID"]) == (2.0, 1.0, 3, 5.0)
    assert "FID_std" not in other
    assert [one["FID"] for one in members_json(comparison(THREE))] == [1.0, 2.0, 3.0, 5.0]
    assert "standard deviation" in notes(comparison(THREE))


LOWER = ("FID", "KD-pixel", "L1", "MIND", "MD-classifier", "CMMD")
HIGHER = ("PSNR", "recall", "AuthPct", "IS", "CS-classifier")


@pytest.mark.parametrize(("metric", "order"), [*((name, "xy") for name in LOWER), *((name, "yx") for name in HIGHER)])
def test_the_best_model_comes_first_for_every_metric(metric: str, order: str):
    found = cells(comparison({"x": [{metric: 1.0}], "y": [{metric: 2.0}]}))
    assert "".join(found) == order
    assert [list(row.values())[1][2] for row in found.values()] == [True, False]


def test_each_metric_marks_its_best_value_and_equal_values():
    found = cells(comparison({"x": [{"FID": 1.0, "SSIM": 0.5, "own": 1.0}], "y": [{"FID": 2.0, "SSIM": 0.5, "own": 2.0}]}))
    assert [found[row]["SSIM ↑"][2] for row in "xy"] == [True, True]
    assert [found[row]["Own"][2] for row in "xy"] == [False, False]  # it is unknown which values are better
    assert not cells(comparison({"x": [{"FID": 1.0}]}))["x"]["FID ↓"][2]


def test_a_row_of_one_seed_shows_the_standard_error_of_its_measurement():
    found = cells(comparison({"x": [{"KID": 0.5, "KID_standard_error": 0.03}], "y": [{"KID": 0.25, "KID_standard_error": 0.02}]}))
    assert found["y"]["KID ↓"] == ("0.2500", "± 0.020", True)
    assert list(found["y"])[0:3] == ["Codes from", "KID ↓", "Parameters"]


def test_time_is_the_sum_over_stages_and_speed_the_median_of_the_log():
    (row,) = as_json(comparison({"x": [{"FID": 1.0}]}, speeds=(10.0, 500.0, 30.0)))
    assert (row["training_seconds"], row["steps"], row["images_per_second"], row["parameters"]) == (12.0, 50, 30.0, 1234)
    shown = cells(comparison({"x": [{"FID": 1.0}]}))["x"]
    assert (shown["Steps"][0], shown["Images/s"][0], shown["Training time"][0]) == ("30 + 20", "–", "12 s")


def test_conditions_are_shown_as_text():
    assert comparison(THREE).conditions == {
        "Samples": "500 of each model, seed 3", "Against": "40 test images of real.h5", "Bias floor": "0.250",
    }  # fmt: skip


def test_a_score_of_reconstructions_names_only_real_images():
    assert conditions({"n": 355, "split": "test"}, "real.h5") == {"Against": "355 test images of real.h5"}


def test_values_of_held_out_images_are_shared_conditions_and_those_of_one_model_are_not():
    """The value of held-out images is the same for all models; the spread of an Inception score over its parts is each model's own."""
    measured = [{"AuthPct": value, "authpct_held_out": 60.0, "class_score_std": value / 9} for value in (40.0, 44.0, 70.0)]
    found = comparison({"x": measured[:2], "y": measured[2:]})
    assert found.metrics == ["AuthPct"]
    assert cells(found)["x"]["AuthPct ↑"] == ("42.00", "± 2.8", False)
    assert found.conditions["AuthPct of held-out images"] == "60"
    assert "class_score_std" not in found.shared
    assert list(comparison({"x": measured[:1]}).shared)[:2] == ["authpct_held_out", "class_score_std"]
