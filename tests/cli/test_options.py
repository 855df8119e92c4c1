"""Every option of every command reaches the setting that it is named after; the commands are read from the registry."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import typer
from typer.main import get_command

from genrev_cli.cli import app, commands
from genrev_cli.cli.generate import BUILT, Built, Converted, Group, One, Overrides, ScheduleOverrides, TableOverrides, options_of
from genrev_cli.latents import paths
from genrev_cli.settings.base import Spec, flag_of
from genrev_cli.settings.commands import all_commands
from genrev_cli.settings.figures import PATHS

commands.arrange()
GROUP = get_command(app)


@dataclass(frozen=True)
class Option:
    """One option. path: where its value stands in what the command runs with, from the part's name to the field's."""

    flag: str
    kind: Any
    default: Any
    spec: Spec
    path: tuple[str, ...]

    def given(self) -> tuple[list[str], Any]:
        """Return the words that give it another value than its default, and that value."""
        kind = (
            next((one for one in get_args(self.kind) if one is not type(None)), self.kind) if get_origin(self.kind) is not tuple else tuple
        )
        if kind is bool:
            on, _, off = (self.spec.flag or self.flag).partition("/")
            return [off if self.default is True else on], self.default is not True
        if kind is tuple:
            entry = get_args(self.kind)[0]
            values = [entry("7"), entry("8")]
            words = [word for value in values for word in (self.flag, str(value))] if self.spec.repeated else [self.flag, "7,8"]
            return words, tuple(values)
        words = tuple(filter(None, self.spec.choices)) or tuple(choice for choice in get_args(kind) if isinstance(choice, str))
        values = words or {int: (7, 8), float: (7.5, 8.5), str: ("7", "8"), Path: (Path("7"), Path("8"))}[kind]
        value = next(value for value in values if value != self.default)
        return [self.flag, str(value)], value


def options_in(part: Any, *path: str) -> Iterator[Option]:
    """Find the options of a part and where their values belong; not by what its `parameters` and `collect` do."""
    if isinstance(part, Converted):
        yield from options_in(part.part, *path)
    elif isinstance(part, Group):
        for field, kind, spec in options_of(part.settings):
            yield Option(flag_of(field.name, spec), kind, field.default, spec, (*path, field.name))
        for name, inner in part.inner.items():
            yield from options_in(inner, *path, name)
    elif isinstance(part, Overrides):
        for name, (kind, spec) in part.options.items():
            yield Option(flag_of(name, spec), kind, None, spec, (*path, name))
    elif isinstance(part, TableOverrides):
        for option in part.options:
            yield Option(flag_of(option.key, option.spec), option.kind, None, option.spec, (*path, option.table, option.key))
    elif isinstance(part, One):
        kind, info = get_args(part.annotation)
        if isinstance(info, typer.models.OptionInfo):
            yield Option(_flag(info), kind, part.default, Spec(), path)
    else:
        raise AssertionError(f"a new kind of part, {type(part).__name__}: say here where the values of its options belong")


def _flag(info: Any) -> str:
    """Return the long flag of an option; Typer keeps the first one in the place of a default."""
    return next(word for word in (info.default, *(info.param_decls or ())) if isinstance(word, str) and word.startswith("--"))


def settings_in(part: Any) -> Iterator[type]:
    """Find every class of settings that a part makes."""
    if isinstance(part, Group):
        yield part.settings
    for inner in (part.part,) if isinstance(part, Converted) else part.inner.values() if isinstance(part, Group) else ():
        yield from settings_in(inner)


def flat(value: Any, *path: str) -> dict[tuple[str, ...], Any]:
    """Return path → value of everything inside of settings and tables."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if not isinstance(value, dict):
        return {path: value}
    return {place: found for name, inner in value.items() for place, found in flat(inner, *path, name).items()}


def required(part: Any) -> Iterator[str]:
    """Return the words of what must be given."""
    for parameter in part.parameters():
        if parameter.default is parameter.empty:
            info = get_args(parameter.annotation)[1]
            yield from ("0",) if isinstance(info, typer.models.ArgumentInfo) else (_flag(info), "0")


def check_options(name: str, parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each option of a command alone. Its own setting must have the value that was given, and every other its default.

    Conversions and checks across settings are left out: they are of several options, and have tests of their own.
    """
    made: list[dict[str, Any]] = []
    monkeypatch.setitem(BUILT, name, Built(parts, lambda **values: made.append(flat(values))))
    monkeypatch.setattr(Converted, "collect", lambda self, values: self.part.collect(values))
    monkeypatch.setattr(ScheduleOverrides, "collect", Overrides.collect)
    for part in parts.values():
        for settings in settings_in(part):
            monkeypatch.setattr(settings, "__post_init__", lambda self: None)
    always = [name, *(word for part in parts.values() for word in required(part))]
    for option in [option for key, part in parts.items() if key != "as_json" for option in options_in(part, key)]:
        words, value = option.given()
        made.clear()
        GROUP.main(always, standalone_mode=False)
        GROUP.main([*_without(always, option.flag), *words], standalone_mode=False)
        before, after = made
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert changed == {option.path}, f"{name} {' '.join(words)} sets {changed}, not {option.path}"
        assert after[option.path] == value, f"{name} {' '.join(words)}"


def _without(words: list[str], flag: str) -> list[str]:
    if flag not in words:
        return words
    place = words.index(flag)
    return [*words[:place], *words[place + 2 :]]


class Swapped(Group):
    """A group that confuses two settings of one type."""

    def __init__(self, group: Group, first: str, second: str) -> None:
        super().__init__(group.settings, **group.inner)
        self.names = first, second

    def collect(self, values: dict[str, Any]) -> Any:
        made, (first, second) = super().collect(values), self.names
        return replace(made, **{first: getattr(made, second), second: getattr(made, first)})


def swaps(parts: dict[str, Any]) -> Iterator[tuple[str, Swapped]]:
    """Find two settings of one type in each group that has such."""
    for key, part in parts.items():
        if isinstance(part, Group):
            seen: dict[str, str] = {}
            for field, kind, spec in options_of(part.settings):
                if spec.choices == () and str(kind) in seen:
                    yield key, Swapped(part, seen[str(kind)], field.name)
                    break
                seen[str(kind)] = field.name


@pytest.mark.parametrize("name", all_commands())
def test_every_option_sets_its_own_setting(name, monkeypatch):
    check_options(name, dict(BUILT[name].parts), monkeypatch)


MUTATIONS = [(name, key, swapped) for name in BUILT for key, swapped in swaps(dict(BUILT[name].parts))]


@pytest.mark.parametrize(("name", "key", "swapped"), MUTATIONS, ids=[f"{name}:{'/'.join(swapped.names)}" for name, _, swapped in MUTATIONS])
def test_two_settings_that_are_swapped_are_noticed(name, key, swapped, monkeypatch):
    with pytest.raises(AssertionError, match=" sets "):
        check_options(name, {**BUILT[name].parts, key: swapped}, monkeypatch)


def test_interpolate_offers_every_path_of_the_package():
    assert tuple(paths.PATHS) == PATHS


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("sweep-bottleneck --data x --recipes a --dims 1,b", "--dims 1,b: must be whole numbers with commas between them"),
        ("sample --ckpt x -n 0", "--n 0: must be at least 1"),
        ("sample --ckpt x --ot a --gmm b", "--ot and --gmm: both are given; choose one with --sampler"),
        ("sample --ckpt x --sampler ot", "--sampler ot: needs --ot FILE; 'genrev fit-ot' makes one"),
        ("fid x --ref y --split dev", "dev: choose train, val, test or all"),
        ("interpolate --ckpt x --steps 1", "--steps 1: must be at least 2"),
        ("sweep-bottleneck --data x --recipes a --dims 2,2", "--dims 2,2: give at least one, and each once"),
        ("fid x --ref y --metrics fid,fid", "--metrics fid,fid: name at least one metric, and each once"),
    ],
)
def test_a_wrong_value_is_named_with_its_flag(run, words, sentence):
    code, out, err = run(*words.split())
    assert (code, out) == (2, "")
    assert sentence in err
