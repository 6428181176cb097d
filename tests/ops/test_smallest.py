"""Every form where a size is one: views are then contiguous without a copy, and sums have a single term."""

from itertools import product
from typing import get_args

import pytest
import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.ops import (
    Form,
    GridForm,
    plstm,
    plstm_chain,
    plstm_grid2d,
    plstm_grid2d_oriented,
    plstm_max_plus,
    plstm_max_plus_chain,
    plstm_max_plus_grid2d,
    plstm_max_plus_grid2d_oriented,
)
from plstm_graph.ops.chain.plstm_chain import ChainForm
from plstm_graph.ops.grid2d.native import has_native_grids
from plstm_graph.ops.shapes import GATES
from plstm_graph.testing import random_operands

WIDTHS = list(product((1, 2), (1, 3), (1, 8)))  # heads, keys, values


def _check(call, reference, operands: dict[str, Tensor]) -> None:
    """Output and gradients agree, also where torch would find that two gradients share memory."""
    results = []
    for function in (call, reference):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in operands.items()}
        out = function(**leaves)
        grad = torch.linspace(-1.0, 1.0, out.numel(), dtype=out.dtype).view(out.shape)
        results.append([out, *torch.autograd.grad(out, list(leaves.values()), grad, materialize_grads=True)])
    torch.testing.assert_close(*results, rtol=0, atol=1e-12)


def _drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, dtype=torch.float64, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("form", [form for form in get_args(GridForm) if form != "naive"])
@pytest.mark.parametrize("operator", [plstm_grid2d, plstm_grid2d_oriented])
def test_grids(form, operator):
    if form == "native" and not has_native_grids(torch.zeros(1, dtype=torch.float64)):
        pytest.skip("no C compiler")
    for (heads, keys, values), batch, (width, height) in product(WIDTHS, ((), (1,)), product((1, 2), (1, 2))):
        shape = (*batch, width, height)
        features = {"query": keys, "key": keys, "value": values}
        own = (heads,) if operator is plstm_grid2d else (4, heads)
        shapes = {name: (*shape, heads, size) for name, size in features.items()} | {"direct": (*shape, heads)}
        operands = _drawn(shapes | dict.fromkeys(GATES, (*shape, *own)))
        _check(lambda **o: operator(**o, form=form), lambda **o: operator(**o, form="naive"), operands)


@pytest.mark.parametrize("form", [form for form in get_args(ChainForm) if form != "naive"])
def test_chains(form):
    if form == "native" and not has_native_grids(torch.zeros(1, dtype=torch.float64)):
        pytest.skip("no C compiler")
    for (heads, keys, values), length in product(WIDTHS, (1, 2, 3, 17)):
        features = {"query": keys, "key": keys, "value": values}
        shapes = {name: (length, heads, size) for name, size in features.items()}
        operands = _drawn(shapes | dict.fromkeys(("source", "transition", "mark", "direct"), (length, heads)))
        _check(lambda **o: plstm_chain(**o, form=form), lambda **o: plstm_chain(**o, form="naive"), operands)


def _smallest_dags():
    for nodes, edges in ((1, []), (2, []), (2, [(0, 1)]), (2, [(0, 1)] * 2), (3, [(0, 1), (1, 2)])):
        graph = LineGraph(torch.tensor(edges, dtype=torch.long).view(-1, 2).t().contiguous(), nodes)
        yield from (graph, graph.reverse())


@pytest.mark.parametrize("form", [form for form in get_args(Form) if form != "naive"])
def test_dags(form):
    for (heads, keys, values), dag in product(WIDTHS, _smallest_dags()):
        for graph in (dag, dag.to_multitree()):
            operands = random_operands(graph, heads, keys, values)
            _check(
                lambda graph=graph, **o: plstm(**o, line_graph=graph, form=form),
                lambda graph=graph, **o: plstm(**o, line_graph=graph, form="naive"),
                operands,
            )


@pytest.mark.parametrize("form", ["recurrent", "merged"])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_max_plus(temperature, form):
    for channels, graph in product((1, 2), _smallest_dags()):
        shapes = {
            "source": graph.num_edges,
            "transition": graph.num_pairs,
            "mark": graph.num_edges,
            "direct": graph.num_nodes,
        }
        operands = _drawn({name: (count, channels) for name, count in shapes.items()})
        _check(
            lambda graph=graph, **o: plstm_max_plus(**o, line_graph=graph, temperature=temperature, form=form),
            lambda graph=graph, **o: plstm_max_plus(**o, line_graph=graph, temperature=temperature, form="naive"),
            operands,
        )


@pytest.mark.parametrize("form", ["recurrent", "scan"])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_max_plus_on_chains(temperature, form):
    def both(form, **o):
        out, state = plstm_max_plus_chain(**o, temperature=temperature, form=form, return_final_state=True)
        return torch.cat([out.flatten(), state.flatten()])

    for length, channels, batch in product((1, 2, 3), (1, 2), ((), (1,))):
        shapes = dict.fromkeys(("source", "transition", "mark", "direct"), (*batch, length, channels))
        operands = _drawn(shapes | {"initial_state": (*batch, channels)})
        _check(lambda **o: both(form, **o), lambda **o: both("naive", **o), operands)


@pytest.mark.parametrize("operator", [plstm_max_plus_grid2d, plstm_max_plus_grid2d_oriented])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_max_plus_on_grids(temperature, operator):
    for channels, batch, (width, height) in product((1, 2), ((), (1,)), product((1, 2), (1, 2))):
        shape, own = (*batch, width, height), () if operator is plstm_max_plus_grid2d else (4,)
        operands = _drawn(dict.fromkeys(GATES, (*shape, *own, channels)) | {"direct": (*shape, channels)})
        _check(
            lambda **o: operator(**o, temperature=temperature, form="recurrent"),
            lambda **o: operator(**o, temperature=temperature, form="naive"),
            operands,
        )
