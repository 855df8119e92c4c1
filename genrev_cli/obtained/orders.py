"""Say which published orders hold in the results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genrev_cli.obtained.readings import Row, mean_and_spread
from genrev_cli.obtained.table import Claim
from genrev_cli.report import words

HOLDS, FAILS, UNDECIDED, MISSING = "holds", "does not hold", "is undecided", "cannot be judged"


def verdict(better: Sequence[float], worse: Sequence[float]) -> str:
    """Return whether a published order holds. better, worse: results of the methods, one for each seed; lower is better.

    It holds, or does not, if the means differ by more than the sum of both standard deviations; otherwise it is undecided.
    """
    if not better or not worse:
        return MISSING
    (a, da), (b, db) = mean_and_spread(better), mean_and_spread(worse)
    if abs(a - b) <= da + db:
        return UNDECIDED
    return HOLDS if a < b else FAILS


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A published order in results. by: 'classifier features', 'L1', … verdict: one of the four above."""

    claim: Claim
    by: str
    verdict: str
    better: list[float]
    worse: list[float]


def judge(claims: Sequence[Claim], rows: dict[str, Row], kinds: Sequence[str]) -> list[Judged]:
    """Return each order, judged by each kind of features where it is one of distances. Orders of methods without a row are left out."""
    found = []
    for claim in claims:
        if claim.better not in rows or claim.worse not in rows:
            continue
        of_distance = claim.measure == "distance"
        for by in kinds if of_distance else [claim.measure]:
            better, worse = (
                rows[method].distances(by) if of_distance else rows[method].of_model(by) for method in (claim.better, claim.worse)
            )
            found.append(Judged(claim=claim, by=by, verdict=verdict(better, worse), better=better, worse=worse))
    return found


def sentences(found: Sequence[Judged], titles: dict[str, str], data: dict[str, str]) -> Iterator[str]:
    """Yield a line for each order that can be judged, and one for all others.

    titles, data: names of methods and of data sets. 'LPGA before VAE (MNIST; …): **holds** by classifier (336 and 696), …'
    """
    waiting = []
    for claim in dict.fromkeys(order.claim for order in found):
        order = f"{titles[claim.better]} before {titles[claim.worse]} ({data[claim.data]}; {claim.source})"
        verdicts = [one for one in found if one.claim == claim]
        judged = [
            f"**{one.verdict}** by {one.by} ({amount(one.better)} and {amount(one.worse)})" for one in verdicts if one.verdict != MISSING
        ]
        if judged:
            yield f"{order}: {', '.join(judged)}."
        else:
            waiting.append(order)
    if waiting:
        yield f"Not judged, because a row is not run: {'; '.join(waiting)}."


def amount(values: Sequence[float]) -> str:
    """Return mean ± standard deviation as text; a single value alone."""
    mean, spread = mean_and_spread(values)
    return words.number(mean) + (f" ± {words.number(spread, 2)}" if len(values) > 1 else "")


def counted(orders: Sequence[Judged]) -> list[str]:
    """Return a sentence for each way to judge: how many published orders hold."""
    found = []
    for by in dict.fromkeys(order.by for order in orders):
        verdicts = [order.verdict for order in orders if order.by == by]
        judged = [one for one in verdicts if one != MISSING]
        if judged:
            counts = ", ".join(_count(judged.count(one), one) for one in (HOLDS, FAILS, UNDECIDED) if one in judged)
            missing = f"; {len(verdicts) - len(judged)} cannot be judged yet" if len(judged) < len(verdicts) else ""
            found.append(f"By {by}, of {len(judged)} published orders {counts}{missing}.")
        else:
            found.append(f"By {by}, none of {len(verdicts)} published orders can be judged yet.")
    return found


def _count(number: int, kind: str) -> str:
    """Return '1 holds', '2 hold'."""
    return f"{number} {kind if number == 1 else _MANY[kind]}"


_MANY = {HOLDS: "hold", FAILS: "do not hold", UNDECIDED: "are undecided"}
