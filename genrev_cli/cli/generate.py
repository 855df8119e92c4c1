"""Options and commands from settings: flags, types, defaults, choices, bounds, panels and help are those of the dataclasses' fields."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, get_type_hints

import typer

from genrev_cli.cli import app
from genrev_cli.cli.console import report
from genrev_cli.errors import UsageError
from genrev_cli.result import Result
from genrev_cli.settings.base import ADVANCED, FEATURES, FILES, METHOD, RUN, SCORE, TRAINING, Settings, Spec, flag_of, spec_of
from genrev_cli.settings.commands import all_commands
from genrev_cli.settings.schedule import RunOptions, Schedule
from genrev_cli.settings.trainer import TableOption

PANELS = (FILES, TRAINING, METHOD, "Map", "Solver", "Protocol", FEATURES, SCORE, RUN, ADVANCED)
"""The order of the panels of a help."""


class Part(Protocol):
    """A part of a command's options, and what the command gets of their values."""

    def parameters(self) -> Iterator[inspect.Parameter]:
        """The options, as Typer wants them; their names are unique within a command."""

    def collect(self, values: dict[str, Any]) -> Any:
        """Take the part's own values out of those of all options and return what they make."""


class One:
    """A single option or argument, written by hand: what the command gets is its value."""

    def __init__(self, name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> None:
        self.name, self.annotation, self.default = name, annotation, default

    def parameters(self) -> Iterator[inspect.Parameter]:
        yield inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=self.default, annotation=self.annotation)

    def collect(self, values: dict[str, Any]) -> Any:
        return values.pop(self.name)


class Group:
    """All options of some settings: what the command gets is an instance."""

    def __init__(self, settings: type[Settings], **made: Callable[[dict[str, Any]], Any]) -> None:
        """made: fields that are no options, from the values of all options."""
        self.settings, self.made = settings, made

    def parameters(self) -> Iterator[inspect.Parameter]:
        for field, kind, spec in options_of(self.settings):
            yield _parameter(field.name, kind, spec, field.default)

    def collect(self, values: dict[str, Any]) -> Any:
        own = {field.name: values.pop(_name(field.name, spec)) for field, _, spec in options_of(self.settings)}
        return self.settings(**own, **{name: make(values) for name, make in self.made.items()})


class Overrides:
    """Options that replace keys of a recipe's table: what the command gets is key → value of those that were given."""

    def __init__(self, *settings: type[Settings], without: Sequence[str] = ()) -> None:
        found = {field.name: (kind, spec) for one in reversed(settings) for field, kind, spec in options_of(one)}
        self.options = {name: option for name, option in found.items() if name not in without}

    def parameters(self) -> Iterator[inspect.Parameter]:
        for name, (kind, spec) in self.options.items():
            yield _parameter(name, kind, spec)

    def collect(self, values: dict[str, Any]) -> dict[str, Any]:
        own = {name: values.pop(_name(name, spec)) for name, (_, spec) in self.options.items()}
        return {name: value for name, value in own.items() if value is not None}


class ScheduleOverrides(Overrides):
    """The options of `Schedule`. Raises UsageError for steps and epochs together; epochs replace a recipe's number of steps."""

    def __init__(self) -> None:
        super().__init__(Schedule)

    def collect(self, values: dict[str, Any]) -> dict[str, Any]:
        given = super().collect(values)
        if {"steps", "epochs"} <= given.keys():
            raise UsageError(f"--steps {given['steps']} and --epochs {given['epochs']:g} say the same thing twice; give one of them")
        return {**given, "steps": 0} if "epochs" in given else given


class TableOverrides:
    """Options for keys of a recipe's other tables: what the command gets is table → key → value of those that were given."""

    def __init__(self, options: Sequence[TableOption]) -> None:
        self.options = options

    def parameters(self) -> Iterator[inspect.Parameter]:
        for option in self.options:
            yield _parameter(option.key, option.kind, option.spec)

    def collect(self, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
        tables: dict[str, dict[str, Any]] = {}
        for option in self.options:
            value = values.pop(_name(option.key, option.spec))
            if value is not None:
                tables.setdefault(option.table, {})[option.key] = value
        return tables


def options_of(settings: type[Settings]) -> Iterator[tuple[Field, Any, Spec]]:
    """Each field of some settings that has an option: (field, its type, what is said of it)."""
    hints = get_type_hints(settings)
    for field in fields(settings):  # type: ignore[arg-type]  # every subclass is a dataclass
        if (spec := spec_of(field)).help:
            yield field, hints[field.name], spec


def _name(name: str, spec: Spec) -> str:
    """The parameter's name of an option: that of its flag."""
    return flag_of(name, spec).lstrip("-").replace("-", "_")


def _parameter(name: str, kind: Any, spec: Spec, default: Any = None) -> inspect.Parameter:
    """Return the parameter of an option; the default None of one that replaces a recipe's value is not shown.

    Bounds are not Typer's to check: the settings do, with the same sentence for a recipe.
    """
    how = {"help": spec.help, "rich_help_panel": spec.panel, "show_default": spec.shown or True}
    if kind is bool:
        how["metavar"] = ""  # a flag takes no value
    shape = Literal[spec.choices] if spec.choices else kind
    annotation = Annotated[shape if default is not None else shape | None, typer.Option(spec.flag or flag_of(name, spec), **how)]
    return inspect.Parameter(_name(name, spec), inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


JSON = One(
    "json", Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=RUN, metavar="")], False
)


def registered(name: str, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the decorator that makes a function the command of this name, in the panel that it has in `all_commands`."""
    return app.command(name, rich_help_panel=all_commands()[name].panel, epilog=f"$ {example}")


def add_command(name: str, help: str, *, example: str, parts: Mapping[str, Part], run: Callable[..., Result]) -> None:
    """Register a command. run is called with what each part makes of its options, by the part's name."""
    parts = {**parts, "json": JSON}
    parameters = [parameter for part in parts.values() for parameter in part.parameters()]
    parameters.sort(key=_place)

    def command(**values: Any) -> None:
        made = {key: part.collect(values) for key, part in parts.items()}
        as_json = made.pop("json")
        report(run(**made), as_json=as_json)

    command.__name__, command.__doc__ = name.replace("-", "_"), help
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    registered(name, example)(command)


def _place(parameter: inspect.Parameter) -> int:
    """Where an option's panel stands; arguments come first."""
    info = parameter.annotation.__metadata__[0]
    return PANELS.index(info.rich_help_panel) if getattr(info, "rich_help_panel", None) else -1


def out_option(default: Path | None, help: str = "Checkpoint to write.") -> One:
    """The option --out."""
    kind = Path if default else Path | None
    return One("out", Annotated[kind, typer.Option("--out", help=help, rich_help_panel=FILES)], default)


__all__ = ["JSON", "Group", "One", "Overrides", "RunOptions", "ScheduleOverrides", "TableOverrides", "add_command", "out_option"]
