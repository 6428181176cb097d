"""The recurrent form in C and in torch: the same values, whatever the widths, slices, threads and graph."""

import pytest
import torch
from hypothesis import given

from plstm_graph.graph import LineGraph
from plstm_graph.ops import plstm
from plstm_graph.ops.dag import plstm as dispatch
from plstm_graph.ops.dag import recurrent_native as recurrent_native
from plstm_graph.ops.dag.recurrent_native import _WORTH_A_THREAD, has_native_recurrent
from plstm_graph.testing import assert_close, assert_forms_agree, random_dag, random_operands
from tests.rounding import rounding
from tests.strategies import problems

needs_compiler = pytest.mark.skipif(
    not has_native_recurrent(torch.empty(0)), reason="native code is off: PLSTM_COMPILE=0, or there is no C compiler"
)


def outputs_and_gradients(graph, operands, in_c=True):
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    with pytest.MonkeyPatch.context() as patch:
        if not in_c:
            patch.setattr(dispatch, "has_native_recurrent", lambda tensor: False)
        out = plstm(**leaves, line_graph=graph, form="recurrent")
    return {"output": out, **dict(zip(leaves, torch.autograd.grad(out.square().sum(), leaves.values()), strict=True))}


@given(problems())
def test_the_form_in_torch_agrees_with_the_naive_one(problem):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatch, "has_native_recurrent", lambda tensor: False)
        assert_forms_agree(*problem, forms=["recurrent"])


@needs_compiler
@pytest.mark.parametrize("slice_bytes", [2**30, 2**15, 1])
@pytest.mark.parametrize(
    "widths", [(4, 4), (8, 8), (16, 16), (24, 24), (32, 32), (16, 20), (1, 1), (7, 11), (9, 40)], ids=str
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_any_width_and_slice(monkeypatch, widths, dtype, slice_bytes):
    monkeypatch.setattr(recurrent_native, "SLICE_BYTES", slice_bytes)
    graph = LineGraph(random_dag(60, 110, torch.Generator().manual_seed(0)), 60)
    for direction in (graph, graph.reverse(), graph.to_multitree(), graph.to_multitree().reverse()):
        operands = random_operands(direction, 3, *widths)
        operands["transition"] = operands["transition"].tanh() / 2
        operands = {name: tensor.to(dtype) for name, tensor in operands.items()}
        expected, actual = (outputs_and_gradients(direction, operands, in_c) for in_c in (False, True))
        for name, tensor in expected.items():
            assert actual[name].dtype == dtype
            tolerance = 1e-10 if dtype == torch.float64 else 1e-4
            assert_close(actual[name].double(), tensor.double(), tolerance, name)


@pytest.mark.parametrize(
    ("widths", "number_bytes", "expected"),
    [
        ((24, 24), 2**20, (24, 24)),
        ((24, 24), 2**21, (16, 24)),
        ((24, 24), 2**22, (8, 24)),
        ((24, 24), 2**23, (8, 16)),
        ((24, 24), 2**24, (8, 8)),
        ((20, 20), 2**22, (8, 20)),
        ((7, 7), 2**24, (7, 7)),
        ((16, 64), 2**20, (16, 32)),
        ((16, 64), 2**28, (1, 8)),
        ((1, 64), 2**41, (1, 8)),
    ],
    ids=str,
)
def test_slices_are_of_whole_vectors(widths, number_bytes, expected):
    assert recurrent_native._slice(*widths, number_bytes) == expected


@needs_compiler
def test_threads_share_nothing():
    graph = LineGraph(random_dag(1000, 1500, torch.Generator().manual_seed(0)), 1000)
    operands = random_operands(graph, 6, 16, 16)
    assert graph.num_edges * 6 * 16 * 16 > 3 * _WORTH_A_THREAD
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        several = outputs_and_gradients(graph, operands)
        torch.set_num_threads(1)
        single = outputs_and_gradients(graph, operands)
    finally:
        torch.set_num_threads(before)
    for name, tensor in single.items():
        assert_close(several[name], tensor, rounding(torch.float64, graph.num_edges), name)


@needs_compiler
def test_tensors_may_have_any_strides():
    graph = LineGraph.grid(4, 3)
    operands = random_operands(graph, 2, 4, 4)
    turned = {name: tensor.transpose(0, 1).contiguous().transpose(0, 1) for name, tensor in operands.items()}
    for reverse in (graph, graph.reverse()):
        plain = plstm(**operands, line_graph=reverse, form="recurrent")
        out = plstm(**turned, line_graph=reverse, form="recurrent")
        assert_close(out, plain, rounding(torch.float64, graph.num_edges), "outputs")
