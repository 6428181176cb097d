"""The native form of grids: its widths, threads, compiler and fallbacks; test_plstm_grid2d holds its values."""

import os
import subprocess
import sys

import pytest
import torch

from plstm_graph.ops import plstm_grid2d, plstm_grid2d_oriented
from plstm_graph.ops.grid2d.native import has_native_grids
from plstm_graph.ops.shapes import GATES
from plstm_graph.testing import assert_close
from tests.ops.chain.test_plstm_chain import assert_same, results
from tests.ops.grid2d.test_plstm_grid2d import operands
from tests.rounding import rounding

needs_compiler = pytest.mark.skipif(
    not has_native_grids(torch.empty(0)), reason="native code is off: PLSTM_COMPILE=0, or there is no C compiler"
)


@needs_compiler
@pytest.mark.parametrize("value_width", [1, 7, 8, 16, 24, 32, 40, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_any_width(value_width, dtype):
    inputs = operands(4, 3, shape=(2,), orientations=(4,), value_width=value_width, dtype=dtype)

    def run(form):
        return results(lambda **x: plstm_grid2d_oriented(**x, form=form), inputs)

    assert_same(run("native"), run("naive"), 1e-10 if dtype == torch.float64 else 1e-4)


@needs_compiler
@pytest.mark.parametrize("key_width", [1, 7, 8, 9, 16, 24])
def test_any_number_of_keys(key_width):
    inputs = operands(3, 4, shape=(2,), orientations=(4,), key_width=key_width, value_width=5)

    def run(form):
        return results(lambda **x: plstm_grid2d_oriented(**x, form=form), inputs)

    assert_same(run("native"), run("naive"))


@needs_compiler
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 9), (300, 1), (300, 2)], ids=str)
@pytest.mark.parametrize("value_width", [3, 24])
def test_narrow_grids(size, value_width):
    """With one node in each line there is no state from above; 300 lines make several bands."""
    inputs = operands(*size, orientations=(4,), heads=1, value_width=value_width)
    for name in GATES:
        inputs[name] = inputs[name].tanh() / 2

    def run(form):
        return results(lambda **x: plstm_grid2d_oriented(**x, form=form), inputs)

    assert_same(run("native"), run("naive"))


@needs_compiler
@pytest.mark.parametrize(("dtype", "value_width"), [(torch.float32, 24), (torch.float64, 12)], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 1)], ids=str)
def test_half_a_cache_line_of_columns_at_an_odd_number_of_nodes(size, dtype, value_width):
    """What is packed behind such columns begins at a cache line as well; vectors elsewhere end the process."""
    inputs = operands(*size, shape=(2,), orientations=(4,), value_width=value_width, dtype=dtype)

    def run(form):
        return results(lambda **x: plstm_grid2d_oriented(**x, form=form), inputs)

    assert_same(run("native"), run("naive"), 1e-10 if dtype == torch.float64 else 1e-4)


@needs_compiler
@pytest.mark.parametrize("size", [(5, 12), (3, 40), (9, 700)], ids=str)
def test_states_of_several_bands_of_lines(size):
    """The backward pass keeps the states of all lines, or of every second or third one."""
    inputs = operands(*size, orientations=(4,), heads=1, key_width=64, value_width=64)
    for name in GATES:
        inputs[name] = inputs[name].tanh() / 2

    def run(form):
        return results(lambda **x: plstm_grid2d_oriented(**x, form=form), inputs)

    assert_same(run("native"), run("chunkwise"))


@needs_compiler
def test_threads_share_nothing(monkeypatch):
    monkeypatch.setattr("plstm_graph.ops.regular_native._WORTH_A_THREAD", 1)
    inputs = operands(6, 5, shape=(3,), orientations=(4,), heads=3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        several = results(lambda **x: plstm_grid2d_oriented(**x, form="native"), inputs)
        torch.set_num_threads(1)
        single = results(lambda **x: plstm_grid2d_oriented(**x, form="native"), inputs)
    finally:
        torch.set_num_threads(before)
    # A state sums up the nodes before it; an output sums up its rows.
    for name, tensor in single.items():
        assert_close(several[name], tensor, rounding(torch.float64, 6 * 5 * 3), name)


@needs_compiler
def test_tensors_may_have_any_strides():
    inputs = operands(4, 6)
    turned = {name: tensor.transpose(0, 1).contiguous().transpose(0, 1) for name, tensor in inputs.items()}
    out, expected = (plstm_grid2d(**given, form="native") for given in (turned, inputs))
    assert_close(out, expected, rounding(torch.float64, 4 * 6 * 3), "outputs")


@pytest.mark.parametrize("form", ["auto", "parallel", "chunkwise"])
def test_compiles_without_graph_break(form):
    inputs = operands(5, 4, shape=(2,), orientations=(4,), dtype=torch.float32)
    leaves = {name: tensor.requires_grad_() for name, tensor in inputs.items()}
    compiled = torch.compile(
        lambda **x: plstm_grid2d_oriented(**x, form=form), backend="aot_eager", fullgraph=True, dynamic=False
    )
    out = compiled(**leaves)
    assert_close(out, plstm_grid2d_oriented(**leaves, form="naive"), 1e-5, "compiled module")
    out.sum().backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in leaves.values())


@pytest.mark.parametrize(
    "setting", [{"PLSTM_COMPILE": "0"}, {"CC": "", "PATH": "/nowhere"}], ids=["off", "no compiler"]
)
def test_without_a_compiler_other_forms_are_used(setting):
    program = """
import torch
from plstm_graph.ops import plstm_grid2d
from plstm_graph.ops.shapes import GATES
from plstm_graph.ops.grid2d.native import has_native_grids
x = torch.ones(2, 3, 1, 1)
assert not has_native_grids(x)
print(plstm_grid2d(x, x, x, *[x[..., 0]] * 9).sum().item())
try:
    plstm_grid2d(x, x, x, *[x[..., 0]] * 9, form="native")
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", program],
        env=os.environ | setting,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = plstm_grid2d(*[torch.ones(2, 3, 1, 1)] * 3, *[torch.ones(2, 3, 1)] * 9, form="naive").sum().item()
    value, error = done.stdout.splitlines()
    assert float(value) == expected
    assert "needs float32 or float64 tensors on a CPU and a C compiler" in error
