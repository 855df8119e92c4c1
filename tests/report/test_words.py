"""Every number that a method logs has a title and an explanation."""

import ast
from pathlib import Path

import pytest

import genrev_cli
from genrev_cli.report import words
from genrev_cli.training.guard import LARGEST, ROUNDTRIP

METHODS = Path(genrev_cli.__file__).parent / "methods"
NOT_LOGGED = {"flow", "v", "R", "D", "G", "C", "f", "g", "classifier", "dims_of_class", "name", "variant", "weight_mmd", "discriminator"}
"""Keys of dicts in methods that name optimizers, modules, results, settings and warnings instead."""


def keys_of(function: ast.FunctionDef) -> set[str]:
    """Return the keys of dicts that a function builds: {"L_x": …} and terms["L_x"] = …"""
    found = set()
    for node in ast.walk(function):
        keys = node.keys if isinstance(node, ast.Dict) else [node.slice] if isinstance(node, ast.Subscript) else []
        found |= {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return found - NOT_LOGGED


def logged() -> list[str]:
    """Return the names that methods of autoencoders and classifiers log, under any condition."""
    names = {ROUNDTRIP, LARGEST, "images_per_second", "l1_restricted", "roundtrip_mean", "roundtrip_max", "max_abs_z", "relative_swd"}
    for path in METHODS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names |= {key for inner in node.body if isinstance(inner, ast.FunctionDef) for key in keys_of(inner)}
    return sorted(names)


def test_the_search_finds_what_methods_log():
    assert {"L_x", "L_mmd", "L", "L_kl", "L_G", "L_content", "L_noise", "dims_used", "accuracy", "bits_per_dim"} <= set(logged())


@pytest.mark.parametrize("name", logged())
def test_every_logged_number_has_words(name):
    assert name in words.QUANTITIES, f"add '{name}' to QUANTITIES in report/words.py"
    title, about = words.QUANTITIES[name]
    assert title
    assert about
    assert title != name
