"""Which published orders hold, on made-up scores."""

import pytest

from genrev_cli.obtained import orders
from genrev_cli.obtained.orders import FAILS, HOLDS, MISSING, UNDECIDED, Judged, counted, judge, sentences, verdict
from genrev_cli.obtained.readings import Row, Run
from genrev_cli.obtained.table import Claim, Method
from genrev_cli.report.chain import Header, Record
from genrev_cli.report.material import Score


@pytest.mark.parametrize(
    ("better", "worse", "found"),
    [
        ([1.0], [2.0], HOLDS),
        ([2.0], [1.0], FAILS),
        ([1.0], [1.0], UNDECIDED),
        ([], [1.0], MISSING),
        ([1.0], [], MISSING),
        ([1.0, 1.2], [1.1, 1.3], UNDECIDED),  # the means differ by 0.1, both standard deviations together are 0.28
        ([1.0, 1.2], [2.0, 2.2], HOLDS),
        ([2.0, 2.2], [1.0, 1.2], FAILS),
        ([1.0, 3.0], [2.9], UNDECIDED),  # a single value has no spread
    ],
)
def test_an_order_holds_only_if_it_exceeds_the_spread_of_the_seeds(better, worse, found):
    assert verdict(better, worse) == found


def row(key, *values, l1=None):
    """Return a row with one run for each distance."""

    def score(metric, value):
        return Score(Record("x", Header("score", {}, "")), {"metric": metric, "value": value})

    model = {"model": score("L1", l1)} if l1 else {}
    runs = [Run(str(i), [], {"pixel": score("FD-pixel", value), **model}, True) for i, value in enumerate(values)]
    return Row(Method(key=key, title=key.upper(), data=("mnist",), train=("train-x",)), "mnist", runs, [])


def claim(better, worse, measure="distance"):
    return Claim(source="Any et al. 2020, Table 1", data="mnist", measure=measure, better=better, worse=worse)


def judged(by, result, better):
    return Judged(claim=claim("a", "b"), by=by, verdict=result, better=better, worse=[2.0])


def test_every_order_is_judged_by_its_own_measure():
    rows = {"a": row("a", 3.0, l1=0.1), "b": row("b", 1.0, l1=0.2)}
    claims = [claim("a", "b"), claim("a", "b", "L1"), claim("a", "elsewhere")]
    found = judge(claims, rows, ["classifier", "pixel"])
    assert [(one.by, one.verdict) for one in found] == [("classifier", MISSING), ("pixel", FAILS), ("L1", HOLDS)]


def test_an_unfinished_run_does_not_count():
    a, b = row("a", 3.0), row("b", 1.0)
    half = Row(a.method, "mnist", [Run("0", [], a.runs[0].scores, False)], [])
    assert judge([claim("a", "b")], {"a": half, "b": b}, ["pixel"])[0].verdict == MISSING
    assert (a.state, half.state, Row(a.method, "mnist", [*a.runs, *half.runs], []).state) == ("", "not run", "1 of 2 seeds")


def test_sentences():
    data = {"mnist": "MNIST"}
    found = [judged("pixel", HOLDS, [1.0, 1.2]), judged("inception", FAILS, [3.0]), judged("classifier", MISSING, [])]
    order = "A before B (MNIST; Any et al. 2020, Table 1)"
    assert list(sentences(found, {"a": "A", "b": "B"}, data)) == [
        f"{order}: **holds** by pixel (1.10 ± 0.14 and 2.00), **does not hold** by inception (3.00 and 2.00)."
    ]
    assert list(sentences(found[2:], {"a": "A", "b": "B"}, data)) == [f"Not judged, because a row is not run: {order}."]


def test_orders_are_counted_for_each_measure():
    found = [judged(by, result, [1.0]) for by, result in [
        ("pixel", HOLDS), ("pixel", HOLDS), ("pixel", FAILS), ("pixel", UNDECIDED), ("pixel", MISSING), ("L1", MISSING),
    ]]  # fmt: skip
    assert counted(found) == [
        "By pixel, of 4 published orders 2 hold, 1 does not hold, 1 is undecided; 1 cannot be judged yet.",
        "By L1, none of 1 published orders can be judged yet.",
    ]
    assert orders.amount([3.0]) == "3.00"
