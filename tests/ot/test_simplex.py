"""The pivots as one operator: by torch, and by the CUDA kernel, which is interpreted on the CPU and compiled without a GPU."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from extension_cases import seeded, simplices
from torch._subclasses.fake_tensor import FakeTensorMode

import genrev_cli
from genrev_cli.ot import simplex
from genrev_cli.ot.simplex import barycentric_weights

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed; torch brings it on Linux with CUDA")


def python(code, **environment):
    """Run a script in a fresh interpreter that can import the package and the cases, and return its output."""
    paths = [str(Path(genrev_cli.__file__).parent.parent), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("d", [1, 3, 32])
def test_rows_do_not_depend_on_each_other(d):
    """Rows with equally many members of J are solved together, and finished rows are removed; neither changes a result."""
    x, centres, joined = simplices(300, 20, d)
    given = *simplex._first_tableau(x, centres, joined), joined
    found = simplex.pivoted(*given)
    assert {1, 2, 20} <= set(joined.sum(1).tolist())
    for rows in (slice(0, 1), slice(299, 300), slice(7, 90), torch.randperm(300, generator=seeded(9))):
        assert torch.equal(simplex.pivoted(*(tensor[rows] for tensor in given)), found[rows])


def test_cells_outside_j_have_weight_zero():
    x, centres, joined = simplices(200, 20, 4)
    moved = torch.where(joined[:, :, None], centres, 7.0)
    assert torch.equal(barycentric_weights(x, moved, joined), barycentric_weights(x, centres, joined))


def test_the_operator_has_shapes_without_values():
    x, centres, joined = simplices(5, 6, 2)
    tableau, basic = simplex._first_tableau(x, centres, joined)
    with FakeTensorMode() as mode:
        fake = [mode.from_tensor(tensor) for tensor in (tableau, basic, joined)]
        assert simplex.pivoted(*fake).shape == (5, 6)
    assert (simplex.pivoted(tableau, basic, joined)[~joined] == 0).all()


def test_without_triton_torch_solves_on_cuda(monkeypatch):
    """One warning says why it takes longer."""
    x, centres, joined = simplices(50, 12, 3)
    given = *simplex._first_tableau(x, centres, joined), joined
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "genrev_cli.ot.simplex_kernel", raising=False)
    simplex._triton_works.cache_clear()
    with pytest.warns(UserWarning, match="Triton does not work here"):
        found = simplex._solved_on_cuda(*given)
    assert torch.equal(found, simplex.pivoted(*given))
    assert torch.equal(simplex._solved_on_cuda(*given), found)
    simplex._triton_works.cache_clear()


def test_neither_the_import_nor_the_cpu_needs_a_compiler():
    code = """
import sys, torch
from extension_cases import simplices
from genrev_cli.ot.simplex import barycentric_weights
barycentric_weights(*simplices(5, 6, 2))
print(*{"triton", "torch._dynamo"} & sys.modules.keys())
"""
    assert python(code) == ""


@needs_triton
def test_the_kernel_gives_the_bits_of_the_cpu():
    code = """
import torch
from extension_cases import simplices
from genrev_cli.ot import simplex
from genrev_cli.ot.simplex_kernel import launch
for k, d in ((1, 3), (2, 1), (5, 4), (20, 2), (20, 30)):
    x, centres, joined = simplices(25, k, d)
    tableau, basic = simplex._first_tableau(x, centres, joined)
    print(k, d, torch.equal(launch(tableau, basic), simplex.pivoted(tableau, basic, joined)))
print(launch(tableau[:0], basic[:0]).shape == (0, 20), torch.equal(simplex._solved_on_cuda(tableau, basic, joined), launch(tableau, basic)))
"""
    assert python(code, TRITON_INTERPRET="1") == "1 3 True\n2 1 True\n5 4 True\n20 2 True\n20 30 True\nTrue True"


@needs_triton
@pytest.mark.parametrize("capability", [75, 80, 90])
def test_the_kernel_compiles(capability, tmp_path):
    """Its tableau stays in registers, because local memory is as slow as global memory."""
    code = f"""
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from genrev_cli.ot.simplex_kernel import OPTIONS, pivot_kernel
types = {{"tableaus": "*fp64", "bases": "*i1", "found": "*fp64"}}
values = {{"K": 20, "SIZE": 32, "PIVOTS": 60, "LEAST_COST": 1e-11, "LEAST_PIVOT": 1e-12}}
source = ASTSource(pivot_kernel, {{**types, **dict.fromkeys(values, "constexpr")}}, values)
made = triton.compile(source, target=GPUTarget("cuda", {capability}, 32), options=OPTIONS)
print(len(made.asm["cubin"]) > 1000, ".local" in made.asm["ptx"], "fma.rn.f64" in made.asm["ptx"])
"""
    assert python(code, TRITON_CACHE_DIR=str(tmp_path)) == "True False False"
