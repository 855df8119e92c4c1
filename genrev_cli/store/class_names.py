"""Turn names of classes into their numbers, with the names that a checkpoint's header knows."""

import difflib
from collections.abc import Callable, Sequence

from genrev_cli.errors import UsageError
from genrev_cli.files.header import Header


def class_names(header: Header) -> list[str]:
    """Return the names of the classes that a checkpoint was trained on, by number; [] if neither it nor its data's header has any."""
    for config in (header.config, header.inputs.get("data", {}).get("config", {})):
        names = config.get("classes")
        if isinstance(names, list) and names:
            return [str(name) for name in names]
    return []


def class_numbers(given: Sequence[str], header: Header, note: Callable[[str], None] = lambda message: None) -> tuple[int, ...]:
    """Return the numbers of classes that are given by name or number.

    A whole number is always a class's number; `note` is told when it is also the name of another class.
    Raises UsageError for a name that is not known.
    """
    names = class_names(header)
    return tuple(_number(word, names, note) for word in given)


def _number(word: str, names: Sequence[str], note: Callable[[str], None]) -> int:
    if word.isascii() and word.isdecimal():
        number = int(word)
        if word in names and names.index(word) != number:
            called = f" ('{names[number]}')" if number < len(names) else ""
            note(f"--class {word}: is taken as class number {word}{called}; the class named '{word}' has number {names.index(word)}")
        return number
    folded = [name.casefold() for name in names]
    if folded.count(word.casefold()) == 1:
        return folded.index(word.casefold())
    if word in names:
        return names.index(word)
    if not names:
        raise UsageError(f"--class {word}: the checkpoint knows no names of classes; give a number")
    close = difflib.get_close_matches(word, names, 1)
    few = ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
    raise UsageError(f"--class {word}: no such class; {f'did you mean {close[0]}? ' if close else ''}the classes are {few}")
