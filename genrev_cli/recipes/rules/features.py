"""The classifier of fit-features. All settings are ours, as in the recipe 'features'."""

from genrev_cli.recipes.rules.cost import TWO_CORES, Pace
from genrev_cli.recipes.rules.rule import Facts, Reasoned, Rule, Tables, two_digits
from genrev_cli.settings.sizes import LARGE

PACE = Pace(0.01, 0.05)


def _features(facts: Facts) -> Tables:
    width = 16 if facts.small else 64 if facts.size == LARGE else 32
    batch = 64 if facts.small else 128
    wanted = max(1000, round(5 * facts.images / batch))
    if facts.small:
        affordable = 60 * 8 / (TWO_CORES * PACE.seconds(facts.shape, {"name": "classifier", "width": width}, batch))
        wanted = min(wanted, two_digits(max(affordable, 300)))
    return {
        "classifier": {
            "width": Reasoned(width, "32 as in the recipe 'features'; small has 16, large 64"),
            "dims": Reasoned(128, "as in the recipe 'features'"),
        },
        "fit-features": {
            "lr": 1e-3,
            "betas": [0.9, 0.999],
            "max_grad_norm": 5.0,
            "batch": batch,
            "steps": Reasoned(wanted, "5 epochs as in the recipe 'features', at least 1,000 steps"),
        },
    }


RULES = {"features": Rule(("fit-features",), "classifier of labelled images, for fid --features", _features)}
