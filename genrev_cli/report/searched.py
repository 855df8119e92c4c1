"""What a search found, as its page and the terminal show it: trials by their value, and what their settings were."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from genrev_cli.report import words
from genrev_cli.report.scores import Cell, Column, Table

COMPLETE, PRUNED, FAILED, RUNNING = "complete", "pruned", "failed", "running"
STATES = (COMPLETE, PRUNED, FAILED, RUNNING)
_LONGEST = 12


@dataclass(frozen=True)
class Parameter:
    """One searched setting. name: 'pretrain-recon.lr'. text: what it may be. choices: as JSON; () for numbers from low to high."""

    name: str
    text: str
    choices: tuple[str, ...] = ()
    _: KW_ONLY
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @property
    def short(self) -> tuple[str, ...]:
        """The choices, or their numbers where one of them is long, such as a list of tables."""
        if all(len(choice) <= _LONGEST for choice in self.choices):
            return tuple(choice.strip('"') for choice in self.choices)
        return tuple(f"#{number}" for number in range(1, len(self.choices) + 1))

    @property
    def allowed(self) -> str:
        """The allowed values as text, with the numbers of long choices."""
        return "; ".join(f"{name}: {choice}" for name, choice in zip(self.short, self.choices, strict=True)) if self.numbered else self.text

    @property
    def numbered(self) -> bool:
        """True where `short` numbers the choices."""
        return any(len(choice) > _LONGEST for choice in self.choices)

    def shown(self, value: Any) -> str:
        """Return a value as text. value: a number, or one of `choices`."""
        if self.choices:
            return self.short[self.choices.index(value)]
        return words.number(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Trial:
    """One trial. values: name of a parameter → number or choice. curve: (images so far, value). value: None unless complete."""

    number: int
    state: str
    value: float | None
    values: dict[str, Any]
    _: KW_ONLY
    curve: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0
    size: int = 0
    error: str = ""


@dataclass(frozen=True)
class Searched:
    """A search. metric: its label in logs. better: 'lower' or 'higher'. importance: parameter → share, {} while too few are complete.

    toml: the recipe of the best trial, '' without one. again: a command that trains it. conditions: how the search was done.
    """

    metric: str
    better: str
    parameters: list[Parameter]
    trials: list[Trial]
    _: KW_ONLY
    importance: dict[str, float]
    toml: str
    again: str
    conditions: dict[str, str]

    @property
    def complete(self) -> list[Trial]:
        """The complete trials, the best first; of equal ones, the earlier."""
        sign = -1 if self.better == "higher" else 1
        found = [trial for trial in self.trials if trial.value is not None]
        return sorted(found, key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    @property
    def ranked(self) -> list[Trial]:
        """All trials: the complete ones, then the others by state and number."""
        others = sorted((trial for trial in self.trials if trial.value is None), key=lambda one: (STATES.index(one.state), one.number))
        return self.complete + others

    @property
    def best(self) -> Trial | None:
        """The best complete trial."""
        return next(iter(self.complete), None)

    @property
    def counts(self) -> dict[str, int]:
        """State → number of trials, for the states that there are."""
        found = {state: sum(trial.state == state for trial in self.trials) for state in STATES}
        return {state: count for state, count in found.items() if count}


def trial_table(search: Searched) -> Table:
    """Return a row for each trial, the best first."""
    arrow = "↓" if search.better == "lower" else "↑"
    columns = [Column("Trial"), Column(f"{words.metric(search.metric)} {arrow}", numeric=True)]
    columns += [Column(parameter.name, numeric=True) for parameter in search.parameters]
    columns += [Column("Parameters", numeric=True), Column("Time", numeric=True), Column("State")]
    rows = []
    for trial in search.ranked:
        value = Cell("–") if trial.value is None else Cell(words.number(trial.value, 4), best=trial is search.best)
        settings = [Cell(shown_in(parameter, trial)) for parameter in search.parameters]
        size = Cell(f"{trial.size:,}" if trial.size else "–")
        state = f"{trial.state}: {trial.error}" if trial.error else trial.state
        rows.append((str(trial.number), "", [value, *settings, size, Cell(words.duration(trial.seconds)), Cell(state)]))
    return Table(columns, rows)


def shown_in(parameter: Parameter, trial: Trial) -> str:
    """Return the value of a parameter in a trial as text; '–' for one that was never proposed."""
    return parameter.shown(trial.values[parameter.name]) if parameter.name in trial.values else "–"
