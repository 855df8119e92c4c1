"""Propose the command that comes next, from what a command has written: `Command.next` with the real names of files."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

from genrev_cli.config import recipe_tables
from genrev_cli.errors import FileError
from genrev_cli.files import pretrained
from genrev_cli.files.any import read_any_header
from genrev_cli.settings.commands import all_commands

_NAME, _OPTIONAL = re.compile(r"\{(\w+)\}"), re.compile(r"\[([^\]]*)\] ?")

SMALL = 64
"""Values of an image, as the digits of 8×8, for which the recipe of the papers trains in minutes on a CPU too."""


def next_command(command: str, out: Path) -> str:
    """Return the command line to propose after `command` has written `out`; '' if there is none."""
    proposals = all_commands()[command].next
    if not proposals:
        return ""
    try:
        header = asdict(read_any_header(out))
    except FileError:  # somebody has replaced or removed it since; the command itself has succeeded
        return ""
    names = {"out": str(out), **names_in(header)}
    if command == "prepare-data" and prod(header["config"].get("image_shape", ())) > SMALL and not _has_gpu():
        names["size"] = "small"
    if "pictures" in header["inputs"]:
        names["of_pictures"] = str(out)
    if header["config"].get("latent") == "full":
        names["full"] = str(out)
    if header["config"].get("space") == "gaussian":
        names["of_noise"] = str(out)
    if header["config"].get("fit", {}).get("source") == "gaussian" and "codes" in names:  # of which a flow is made
        names["gaussian"] = names["codes"]
    if _table(header["config"], "method").get("weight_nll"):
        names["likely"] = str(out)
    if any(_method_of_ckpt(header).get(weight) for weight in ("weight_decoder", "weight_gradient")):
        names["smooth"] = str(out)
    if header["kind"] != "film" and header["config"].get("sampler") != "film":
        names["shown"] = str(out)
    tables = _table(header["config"], "recipe_tables")
    for proposal in proposals:
        named = proposal.partition(" ")[0]
        if named in recipe_tables() and tables and named not in tables:
            continue
        if line := filled(proposal, names):
            return f"genrev {line}"
    return ""


def _has_gpu() -> bool:
    """Return True if the machine has the driver of NVIDIA's GPUs. torch, which knows better, is not imported by all commands."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def filled(proposal: str, names: Mapping[str, str]) -> str:
    """Return a proposal with names of files; '' if one outside of brackets is unknown."""

    def known(text: str) -> bool:
        return all(name in names for name in _NAME.findall(text))

    line = _OPTIONAL.sub(lambda part: f"{part[1]} " if known(part[1]) else "", proposal).strip()
    return _NAME.sub(lambda name: shlex.quote(names[name[1]]), line) if known(line) else ""


def names_in(header: Mapping[str, Any]) -> dict[str, str]:
    """Return role → path of the nearest input of each role in a header's history that still exists; and the split, see `Command`."""
    names: dict[str, str] = {}
    for role, record in _inputs(header):
        path = Path(record["path"])
        if role == "samples" and record["kind"] == "checkpoint":  # a score of what the checkpoint generates
            role = "ckpt"
        foreign = role == "samples" and record["kind"] != "samples"  # somebody's own images, which no page shows
        if role not in names and path.exists() and not foreign:
            names[role] = _short(path)
            counts = _table(record.get("config", {}), "counts")
            if role == "data" and counts and not counts.get("test"):
                names["split"] = next((split for split in ("val", "train") if counts.get(split)), "all")
    return names


def _table(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an inner table of a header, which may be anybody's; {} if it is none."""
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def _method_of_ckpt(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the training of the checkpoint that a file was made from; {} without one."""
    return _table(_table(_table(header["inputs"], "ckpt"), "config"), "method")


def _inputs(header: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (role, record) of all inputs, the nearest first."""
    level = [header]
    while level:
        inputs = [item for record in level for item in record.get("inputs", {}).items()]
        yield from inputs
        level = [record for _, record in inputs]


def _short(path: Path) -> str:
    """Return a path relative to the current folder if it lies below it, and the name of a model of this package."""
    if (name := pretrained.short(path)) != str(path):
        return name
    here = os.path.realpath(os.curdir)
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
