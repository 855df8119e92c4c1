"""The package as its sources are: who imports whom, and what nobody may do."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import genrev_cli
from genrev_cli.settings.trainers import TRAINERS
from genrev_cli.training.method import AutoencoderMethod, load_method

ROOT = Path(genrev_cli.__file__).parent
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.py"))}

BOTTOM = ("errors", "shapes", "invocation", "memory", "progress", "result", "seeds", "transfers", "plugins")

# Rows that every later one may import too: settings, and what reads or sets them.
LOW = {"settings": (), "precision": ("settings",), "config": ("settings",)}

_TENSORS = ("models", "ot", "latents", "metrics")

# The parts that a part may import beside itself, the bottom and the rows of LOW: only rows above its own.
MAY_IMPORT = {
    **LOW,
    "recipes": (),
    "models": (),
    "ot": (),
    "latents": ("ot",),
    "metrics": (),
    "files": (),
    "data": ("files",),
    "report": ("files",),
    "obtained": ("files", "report"),
    "training": ("files", "models", "latents"),
    "methods": ("training", "models", "latents", "ot", "metrics"),
    "store": (*_TENSORS, "files", "data", "training", "methods"),
    "scoring": (*_TENSORS, "files", "data", "report", "training", "methods", "store"),
    "runs": (*_TENSORS, "recipes", "files", "data", "report", "training", "methods", "store", "scoring"),
    "explore": (*_TENSORS, "files", "data", "store"),
    "search": (*_TENSORS, "recipes", "files", "data", "report", "training", "methods", "store", "scoring", "runs"),
    "stages": (*_TENSORS, "recipes", "files", "data", "report", "training", "methods", "store", "scoring", "runs", "explore", "search"),
    "bench": (*_TENSORS, "files", "data", "training", "methods", "store", "scoring", "runs", "stages"),
    "doctor": (*_TENSORS, "recipes", "files", "training", "methods", "store", "scoring", "runs", "stages", "bench"),
    "cli": ("recipes", "report", "stages", "runs", "store", "scoring", "bench", "doctor"),
    "__main__": ("cli",),
    "__init__": ("files", "data", "store", "scoring"),
}

# What is imported by name: a trainer's method, and what registers itself: trainers, networks and sources.
LATE = ("training/method.py", "settings/trainers.py", "models/__init__.py", "data/registry.py", "recipes/rules/__init__.py")

# The two places where bytes of others that are pickles are read, and how they keep code in them from running.
PICKLES = {"data/unpickle.py": "four admitted names", "metrics/weights.py": "weights_only=True"}


@functools.cache
def nodes(source):
    """Every node of a source, at whatever depth."""
    return list(ast.walk(ast.parse(source)))


def part_of(name):
    return name.removesuffix(".py").split("/")[0]


def imported_parts(source):
    """(part of genrev_cli, does it wait for a call) of every import, wherever it stands."""
    functions = [node for node in nodes(source) if isinstance(node, ast.FunctionDef)]
    annotations = [node for node in nodes(source) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    inside = {id(node) for block in functions + annotations for node in ast.walk(block)}
    found = []
    for node in nodes(source):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import; the rule is read from full names"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [(module.split(".")[1], id(node) in inside) for module in modules if module.startswith("genrev_cli.")]
    return found


def calls(source):
    """(dotted name, call) of every call by a plain name."""
    return [(ast.unparse(node.func), node) for node in nodes(source) if isinstance(node, ast.Call)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import genrev_cli.cli.console", [("cli", False)]),
        ("from genrev_cli import stages", [("stages", False)]),
        ("def f():\n    if 1:\n        from genrev_cli.cli import app", [("cli", True)]),
        ("if TYPE_CHECKING:\n    from genrev_cli.stages.a import b", [("stages", True)]),
        ("class A:\n    import genrev_cli.files as f", [("files", False)]),
        ("import os, torch.nn", []),
    ],
)
def test_the_walk_finds_imports(source, found):
    assert imported_parts(source) == found


def test_the_table_goes_one_way():
    above = set()
    for part, others in MAY_IMPORT.items():
        assert set(others) <= above, part
        above.add(part)


def test_every_part_has_a_row():
    assert {part_of(name) for name in SOURCES} <= {*BOTTOM, *MAY_IMPORT}


@pytest.mark.parametrize("name", SOURCES)
def test_imports_go_one_way(name):
    part = part_of(name)
    allowed = {"errors"} if part in BOTTOM else {part, *BOTTOM, *MAY_IMPORT.get(part, ()), *(() if part in LOW else LOW)}
    imported = {other for other, _ in imported_parts(SOURCES[name]) if other != "__version__"}
    assert imported <= allowed, f"{name} imports {imported - allowed}"


def modules_imported(source):
    """The modules of the package that a source imports, wherever the import stands: 'metrics/frechet.py', …"""
    found = set()
    for node in nodes(source):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("genrev_cli"):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            paths = [name.removeprefix("genrev_cli").strip(".").replace(".", "/") for name in names]
            found |= {path for base in paths for path in (f"{base}.py", f"{base}/__init__.py") if path in SOURCES}
    return found


def test_no_circle_of_modules():
    """Not even within a folder, but that a folder's __init__ lists what is in it."""
    imports = {name: {other for other in modules_imported(SOURCES[name]) if not other.endswith("__init__.py")} for name in SOURCES}
    imports = {name: others for name, others in imports.items() if not name.endswith("__init__.py")}
    while leaves := [name for name, others in imports.items() if not others & imports.keys()]:
        for name in leaves:
            del imports[name]
    assert not imports, f"these import each other in a circle: {sorted(imports)}"


@pytest.mark.parametrize("name", [name for name in SOURCES if part_of(name) == "stages"])
def test_no_command_imports_a_command(name):
    others = {other for other in modules_imported(SOURCES[name]) if other.startswith("stages/") and other != "stages/__init__.py"}
    assert not others, f"{name} imports {sorted(others)}; what two commands need belongs below both"


@pytest.mark.parametrize("name", [name for name in SOURCES if part_of(name) == "cli"])
def test_commands_import_stages_when_they_run(name):
    heavy = ("stages", "explore", "search", "runs", "store", "scoring", "bench", "doctor")
    assert not {(part, False) for part in heavy} & set(imported_parts(SOURCES[name]))


@pytest.mark.parametrize("name", SOURCES)
def test_nobody(name):
    for node in nodes(SOURCES[name]):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            roots = {module.split(".")[0] for module in modules}
            assert "click" not in roots, "Typer ships its own"
            assert not roots & {"pickle", "dill", "joblib", "shelve"} or name == "data/unpickle.py"
        if isinstance(node, ast.ExceptHandler):
            idle = all(
                isinstance(line, ast.Pass) or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)) for line in node.body
            )
            assert not idle, f"line {node.lineno}: an error is swallowed"
        if isinstance(node, ast.keyword):
            told = isinstance(node.value, ast.Constant) and node.value.value
            assert (node.arg, told) not in {("allow_pickle", True), ("weights_only", False)}


@pytest.mark.parametrize("name", SOURCES)
def test_calls(name):
    for called, call in calls(SOURCES[name]):
        if called in {"__import__", "import_module", "importlib.import_module"}:
            assert name in LATE, "the walk above would not see it"
        if called in {"torch.load", "torch.serialization.load"}:
            assert name in PICKLES
            assert any(keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True" for keyword in call.keywords)
        if called in {"manual_seed", "torch.manual_seed", "torch.random.manual_seed", "torch.seed", "np.random.seed", "random.seed"}:
            assert name == "training/loop.py", "randomness is an argument"


_MOST = 4

# Functions and dataclasses that take more than four values by position, and why.
POSITIONAL = {
    "doctor/all_reduce.py:main": "it takes the words of a command line",
    "ot/simplex_kernel.py:pivot_kernel": "a Triton kernel, whose constants are given by keyword",
    "models/invertible/reversible.py:forward": "torch's Function.apply passes its arguments",
    "bench/ot_minibatch.py:_prepared": "another process calls it with a list of values",
    "bench/training_step.py:_prepared": "another process calls it with a list of values",
    "methods/gan_losses.py:vanilla_discriminator": "the table of losses has one signature, with one caller",
    "methods/gan_losses.py:hinge_discriminator": "the table of losses has one signature, with one caller",
    "methods/gan_losses.py:wgan_gp_discriminator": "the table of losses has one signature, with one caller",
    "methods/gan_losses.py:wgan_div_discriminator": "the table of losses has one signature, with one caller",
    "methods/gan_losses.py:wgan_qc_discriminator": "the table of losses has one signature, with one caller",
    "scoring/metrics.py:likelihood_numbers": "the table of metrics has one signature, with one caller",
    "scoring/metrics.py:reconstruction_numbers": "the table of metrics has one signature, with one caller",
    "scoring/metrics.py:round_trip_numbers": "the table of metrics has one signature, with one caller",
    "runs/job.py:Job": "its first six are the parts of every job, of different types but two",
    "data/decode.py:run": "it has one caller, in the same file",
}


def many_by_position(source):
    """Return the functions and dataclasses of a source that take more than four values by position."""
    found = []
    for node in nodes(source):
        if isinstance(node, ast.FunctionDef):
            given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            found += [node.name] * (len(given) - (given[:1] in (["self"], ["cls"], ["ctx"])) > _MOST)
        made = isinstance(node, ast.ClassDef) and [deco for deco in map(ast.unparse, node.decorator_list) if deco.startswith("dataclass")]
        if made and "kw_only=True" not in made[0]:
            values = [ast.unparse(line.annotation) for line in node.body if isinstance(line, ast.AnnAssign)]
            found += [node.name] * ((values.index("KW_ONLY") if "KW_ONLY" in values else len(values)) > _MOST)
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(a, b, c, d): 0", []),
        ("def f(a, b, c, d, e): 0", ["f"]),
        ("def f(a, b, /, c, d, e=1): 0", ["f"]),
        ("def f(a, b, c, d, *, e): 0", []),
        ("class A:\n    def f(self, a, b, c, d): 0", []),
        ("class A:\n    def __init__(self, a, b, c, d, e): 0", ["__init__"]),
        ("@dataclass\nclass A:\n    a: int\n    b: int\n    c: int\n    d: int\n    e: int", ["A"]),
        ("@dataclass(kw_only=True)\nclass A:\n    a: int\n    b: int\n    c: int\n    d: int\n    e: int", []),
        ("@dataclass\nclass A:\n    a: int\n    b: int\n    c: int\n    d: int\n    _: KW_ONLY\n    e: int", []),
    ],
)
def test_the_walk_finds_positions(source, found):
    assert many_by_position(source) == found


@pytest.mark.parametrize("name", SOURCES)
def test_more_than_four_values_are_given_by_keyword(name):
    found = {called for called in many_by_position(SOURCES[name]) if f"{name}:{called}" not in POSITIONAL}
    assert not found, f"{name}: {sorted(found)} take more than {_MOST} values by position; put a * or KW_ONLY before the fifth"


def test_the_exceptions_are_needed():
    found = {f"{name}:{called}" for name, source in SOURCES.items() for called in many_by_position(source)}
    assert found == POSITIONAL.keys()


@pytest.mark.parametrize("name", TRAINERS)
def test_the_methods_of_trainers_can_be_imported(name):
    """By their place alone: settings are read where torch is not."""
    for variant in TRAINERS[name].variants.values():
        assert variant.method.startswith("genrev_cli.methods."), variant
        assert issubclass(load_method(variant.method), AutoencoderMethod)


def test_settings_need_no_torch():
    code = "import sys\nimport genrev_cli.settings.trainers\nprint(*({'torch', 'numpy', 'typer'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT.parent)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_every_file_of_tests_has_its_own_name():
    """pytest imports the files of folders without __init__.py by their names alone."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def undocumented(name):
    """Return the public functions and classes of a file without a docstring; in bench/ and of Model the methods too."""
    deep = name.startswith("bench/") or name == "store/model.py"
    found, bodies = [], [(node, "") for node in ast.parse(SOURCES[name]).body]
    for node, outer in bodies:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            found += [outer + node.name] * (ast.get_docstring(node) is None)
            if deep and isinstance(node, ast.ClassDef):
                bodies += [(inner, f"{node.name}.") for inner in node.body]
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_public_has_a_docstring(name):
    found = undocumented(name)
    assert not found, f"{name}: say in a docstring what {', '.join(found)} return, with shapes and units"


def test_a_missing_docstring_is_found(monkeypatch):
    monkeypatch.setitem(SOURCES, "bench/a.py", 'class A:\n    """Good."""\n    def b(self): ...\n    def _c(self): ...\ndef d(): ...\n')
    assert undocumented("bench/a.py") == ["d", "A.b"]
