"""Make options and commands from settings: a dataclass field gives the flag, type, default, choices, panel and help of an option."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, get_args, get_origin, get_type_hints

import typer

from genrev_cli.cli import Subcommand, app
from genrev_cli.cli.console import report
from genrev_cli.errors import UsageError
from genrev_cli.result import Result
from genrev_cli.settings.base import (
    ADVANCED,
    FEATURES,
    FILES,
    IMAGES,
    METHOD,
    PROTOCOL,
    RUN,
    SCORE,
    SIZE,
    TRAINING,
    Settings,
    Spec,
    flag_of,
    spec_of,
)  # fmt: skip
from genrev_cli.settings.commands import all_commands
from genrev_cli.settings.sampling import Sampling
from genrev_cli.settings.schedule import Schedule
from genrev_cli.settings.trainer import TableOption

PANELS = (FILES, IMAGES, TRAINING, METHOD, "Map", "Solver", "Film", SIZE, PROTOCOL, FEATURES, SCORE, RUN, ADVANCED)
"""Panels of a command's help, in order."""


class Part(Protocol):
    """Some of a command's options, and how their values become one argument of its function."""

    def parameters(self) -> Iterator[inspect.Parameter]:
        """Yield the options as parameters for Typer; their names are unique within a command."""

    def collect(self, values: dict[str, Any]) -> Any:
        """Remove the part's values from those of all options and return the argument that they make."""


class One:
    """One option or argument, written by hand; the function gets its value."""

    def __init__(self, name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> None:
        self.name, self.annotation, self.default = name, annotation, default

    def parameters(self) -> Iterator[inspect.Parameter]:
        yield inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=self.default, annotation=self.annotation)

    def collect(self, values: dict[str, Any]) -> Any:
        return values.pop(self.name)


class Converted:
    """Another part whose value is converted; the function gets the result."""

    def __init__(self, part: Part, convert: Callable[[Any], Any]) -> None:
        self.part, self.convert = part, convert

    def parameters(self) -> Iterator[inspect.Parameter]:
        return self.part.parameters()

    def collect(self, values: dict[str, Any]) -> Any:
        return self.convert(self.part.collect(values))


class Group:
    """The options of a class of settings; the function gets an instance."""

    def __init__(self, settings: type[Settings], **inner: Part) -> None:
        """inner: a part for each field that has no option of its own."""
        self.settings, self.inner = settings, inner

    def parameters(self) -> Iterator[inspect.Parameter]:
        for field, kind, spec in options_of(self.settings):
            yield _parameter(field.name, kind, spec, inspect.Parameter.empty if field.default is MISSING else field.default)
        for part in self.inner.values():
            yield from part.parameters()

    def collect(self, values: dict[str, Any]) -> Any:
        own = {field.name: _taken(values, field.name, kind, spec) for field, kind, spec in options_of(self.settings)}
        return self.settings(**own, **{name: part.collect(values) for name, part in self.inner.items()})


class Overrides:
    """Options that replace keys of a recipe's table; the function gets key → value of those that were given."""

    def __init__(self, *settings: type[Settings], without: Sequence[str] = ()) -> None:
        self.options: dict[str, tuple[Any, Spec]] = {}
        for field, kind, spec in (option for one in settings for option in options_of(one)):
            if field.name not in without:
                self.options.setdefault(field.name, (kind, spec))

    def parameters(self) -> Iterator[inspect.Parameter]:
        for name, (kind, spec) in self.options.items():
            yield _parameter(name, kind, spec)

    def collect(self, values: dict[str, Any]) -> dict[str, Any]:
        given = {name: option for name, option in self.options.items() if values[_name(name, option[1])] is not None}
        return {name: _taken(values, name, kind, spec) for name, (kind, spec) in given.items()}


class ScheduleOverrides(Overrides):
    """The options of `Schedule`; --epochs replaces a recipe's steps. Raises UsageError for --steps and --epochs together."""

    def __init__(self) -> None:
        super().__init__(Schedule)

    def collect(self, values: dict[str, Any]) -> dict[str, Any]:
        given = super().collect(values)
        if {"steps", "epochs"} <= given.keys():
            raise UsageError(
                f"--steps {given['steps']} and --epochs {given['epochs']:g} both set the length of the training; give one of them"
            )
        return {**given, "steps": 0} if "epochs" in given else given


class TableOverrides:
    """Options that replace keys of other tables of a recipe; the function gets table → key → value of those that were given."""

    def __init__(self, options: Sequence[TableOption]) -> None:
        self.options = options

    def parameters(self) -> Iterator[inspect.Parameter]:
        for option in self.options:
            yield _parameter(option.key, option.kind, option.spec)

    def collect(self, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
        tables: dict[str, dict[str, Any]] = {}
        for option in self.options:
            if values[_name(option.key, option.spec)] is not None:
                tables.setdefault(option.table, {})[option.key] = _taken(values, option.key, option.kind, option.spec)
        return tables


def options_of(settings: type[Settings]) -> Iterator[tuple[Field, Any, Spec]]:
    """Yield each field of some settings that has an option: (field, type, spec)."""
    hints = get_type_hints(settings)
    for field in fields(settings):  # type: ignore[arg-type]  # every subclass is a dataclass
        if (spec := spec_of(field)).help:
            yield field, hints[field.name], spec


def _name(name: str, spec: Spec) -> str:
    """Return the name of an option's parameter, which is made from its flag."""
    word = flag_of(name, spec).lstrip("-").replace("-", "_")
    return f"{word}_" if iskeyword(word) else word


def _parameter(name: str, kind: Any, spec: Spec, default: Any = None) -> inspect.Parameter:
    """Return the parameter of an option. The default None is not shown in the help.

    The settings check bounds, so that an option and a recipe get the same error.
    """
    if isinstance(default, tuple):
        default = None if spec.repeated else ",".join(map(str, default))
    elif default == "" and "" in spec.choices:
        default = None
    shape = _shape(kind, spec)
    option = typer.Option(
        *filter(None, (spec.short, spec.flag or flag_of(name, spec))),
        help=spec.help, rich_help_panel=spec.panel, show_default=spec.shown or True,
        metavar=_metavar(kind, spec),
    )  # fmt: skip
    annotation: Any = Annotated[shape | None if default is None else shape, option]
    return inspect.Parameter(_name(name, spec), inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _metavar(kind: Any, spec: Spec) -> str | None:
    """Return what the help shows as the type of an option: nothing for a flag, which takes no value; None leaves it to Typer."""
    if several := _list_in(kind):
        entry = get_args(several)[0].__name__.lower()
        return f"<{entry}>" if spec.repeated else f"<{entry},…>"
    return "" if kind is bool else None


def _list_in(kind: Any) -> Any:
    """Return the tuple type of a setting that is a list, or that may be one (X | tuple[X, ...]); None for any other."""
    return next((one for one in (kind, *get_args(kind)) if get_origin(one) is tuple), None)


def _shape(kind: Any, spec: Spec) -> Any:
    """Return the type that Typer parses an option as."""
    if words := tuple(filter(None, spec.choices)):
        return Literal[words]
    if several := _list_in(kind):
        return list[get_args(several)[0]] if spec.repeated else str  # type: ignore[misc]  # a type that is known when this runs
    return kind


def _taken(values: dict[str, Any], name: str, kind: Any, spec: Spec) -> Any:
    """Remove the value of an option from those of all options and return it with the type of its setting.

    Raises UsageError for a list with an entry that is not a number.
    """
    value, several = values.pop(_name(name, spec)), _list_in(kind)
    if several is None:
        return "" if value is None and "" in spec.choices else value
    if spec.repeated:
        return tuple(value or ())
    entry = get_args(several)[0]
    try:
        numbers = tuple(entry(word.strip()) for word in value.split(",")) if value else ()
        return numbers[0] if several is not kind and len(numbers) == 1 else numbers
    except ValueError as error:
        words = "whole numbers" if entry is int else "numbers"
        raise UsageError(f"{flag_of(name, spec)} {value}: must be {words} with commas between them") from error


JSON = One(
    "json", Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=RUN, metavar="")], False
)


@dataclass(frozen=True)
class Built:
    """A command of `add_command`: its parts, and the function that runs with what they make."""

    parts: Mapping[str, Part]
    run: Callable[..., Result | None]


BUILT: dict[str, Built] = {}
"""Name → command, of all that `add_command` made."""


def add_command(
    name: str, help: str, *, example: str, parts: Mapping[str, Part], run: Callable[..., Result | None], prints: bool = False
) -> None:
    """Register a command that calls run(name of a part=what the part makes, …) and prints the result.

    prints: run prints by itself; it takes `as_json` too and returns nothing.
    """
    BUILT[name] = Built({**parts, "as_json": JSON}, run)
    parameters = [parameter for part in BUILT[name].parts.values() for parameter in part.parameters()]
    parameters.sort(key=_place)

    def command(**values: Any) -> None:
        built = BUILT[name]
        made = {key: part.collect(values) for key, part in built.parts.items()}
        as_json = made["as_json"] if prints else made.pop("as_json")
        result = built.run(**made)
        if result is not None:
            report(result, as_json=as_json, command=name)

    command.__name__, command.__doc__ = name.replace("-", "_"), help
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app.command(name, cls=Subcommand, rich_help_panel=all_commands()[name].panel, epilog=f"$ {example}")(command)


def _place(parameter: inspect.Parameter) -> int:
    """Return the place of an option's panel; arguments come first."""
    info = parameter.annotation.__metadata__[0]
    return PANELS.index(info.rich_help_panel) if getattr(info, "rich_help_panel", None) else -1


def out_option(default: Path | None, help: str = "Checkpoint to write.") -> One:
    """Return the option --out."""
    kind: Any = Path if default else Path | None
    return One("out", Annotated[kind, typer.Option("--out", help=help, rich_help_panel=FILES)], default)


def path_option(name: str, help: str) -> One:
    """Return the option of a file that is not required."""
    return One(name, Annotated[Path | None, typer.Option(f"--{name}", help=help, rich_help_panel=FILES)], None)


def sampler_part() -> Part:
    """Return the options --ot, --gmm and --sampler; the function gets the sampler's file, None for the prior."""
    return Converted(Group(Sampling), Sampling.file)
