"""The page of a search: the best settings, importance, curves, the result against each setting, and all trials."""

from genrev_cli.report import search_charts, words
from genrev_cli.report.chain import Record, data_name
from genrev_cli.report.material import Material
from genrev_cli.report.page import fill
from genrev_cli.report.searched import Searched, shown_in, trial_table
from genrev_cli.report.sections import chain
from genrev_cli.report.summary import Card, data_facts


def render_search(search: Searched, records: list[Record], title: str = "") -> str:
    """Return the page, with an empty slot for its header. records: the data, and the checkpoint of the best trial if there is one."""
    material = Material(records)
    steps, machines = chain(material)
    curves = search_charts.trial_curves(search)
    return fill(
        "search.html",
        command="search",
        title=title or headline(search, material),
        cards=_cards(search),
        found=list(search.conditions.items()),
        data=data_facts(material.data) if material.data else [],
        searched=[(parameter.name, parameter.allowed) for parameter in search.parameters],
        importance=sorted(search.importance.items(), key=lambda item: -item[1]),
        curves=curves,
        legend=search_charts.legend(search),
        scatters=search_charts.scatters(search),
        parallel=search_charts.parallel(search),
        charts=search_charts,
        table=trial_table(search) if search.trials else None,
        toml=search.toml,
        again=search.again,
        steps=steps,
        machines=machines,
        made_from="the trials in the folder of this page, and",
        files=[(record.path.name, record.header.kind) for record in material.given],
    )


def headline(search: Searched, material: Material) -> str:
    """Return the default title: the number of trials and the data set."""
    count, source = len(search.trials), data_name(material.data)
    return f"Search, {count} trial{'s' * (count != 1)}" + (f" on {source}" if source else "")


def _cards(search: Searched) -> list[Card]:
    """Return the key numbers."""
    best, counts = search.best, search.counts
    cards = [Card("Trials", str(len(search.trials)), "", ", ".join(f"{count} {state}" for state, count in counts.items()))]
    cards.append(Card("Time", words.duration(sum(trial.seconds for trial in search.trials)), "training and scores of all trials", ""))
    if best is None or best.value is None:
        return cards
    first = [Card(words.metric(search.metric), words.number(best.value, 4), words.about(search.metric), f"best, trial {best.number}")]
    settings = [Card(parameter.name, shown_in(parameter, best), "", "in the best trial") for parameter in search.parameters]
    return first + cards + settings
