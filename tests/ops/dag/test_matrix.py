"""Matrices as transitions on DAGs: against edge by edge, chains, grids and scalar gates; depth; the order of a word."""

import itertools
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph import plstm
from plstm_graph.graph import LineGraph
from plstm_graph.ops import (
    householder_product,
    plstm_chain_matrix,
    plstm_grid2d_matrix,
    plstm_matrix,
)
from plstm_graph.ops.dag.matrix import edge_reads
from plstm_graph.ops.shapes import GATES
from plstm_graph.testing import assert_close, random_dag
from tests.ops.catalogue import matrix_operands, native_and_torch, native_code
from tests.ops.test_regular_matrices import chain_operands, grid_operands
from tests.strategies import line_graphs

FORMS = ["auto", "recurrent", "parallel", "chunkwise"]


def value_and_gradients(operands, graph, form="recurrent"):
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = plstm_matrix(**leaves, line_graph=graph, form=form)
    weight = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(out, list(leaves.values()), weight, materialize_grads=True)
    return {"output": out.detach(), **dict(zip(leaves, grads, strict=True))}


def assert_all_close(actual, expected, tolerance=1e-11):
    for name, tensor in expected.items():
        assert_close(actual[name], tensor, tolerance, name)


@given(line_graphs(), st.tuples(*[st.integers(1, 3)] * 4))
def test_forms_equal_edge_by_edge_on_random_dags(graph, widths):
    operands = matrix_operands(graph, *widths)
    expected = value_and_gradients(operands, graph, "naive")
    for form in FORMS:
        assert_all_close(value_and_gradients(operands, graph, form), expected)


@given(line_graphs(), st.integers(1, 3))
def test_rows_of_edges_are_joined_in_the_order_of_matrices(graph, size):
    rows = graph.rows(size)
    assert rows is graph.rows(size) or graph.is_reversed
    assert torch.equal(rows.edge_index, graph.edge_index.repeat_interleave(size, dim=1))
    expected = [
        (e * size + j, f * size + i)
        for e, f in graph.pairs.t().tolist()
        for i, j in (
            itertools.product(range(size), repeat=2)
            if not graph.is_reversed
            else ((i, j) for j in range(size) for i in range(size))
        )
    ]
    assert [tuple(pair) for pair in rows.pairs.t().tolist()] == expected
    assert torch.equal(rows.level, LineGraph(rows.edge_index, rows.num_nodes).level)


@given(line_graphs(), st.tuples(*[st.integers(1, 3)] * 3))
def test_matrices_of_one_number_are_scalar_gates(graph, widths):
    operands = matrix_operands(graph, *widths, 1)
    scalar = {
        name: tensor.flatten(2).squeeze(2) if name in ("source", "mark", "transition") else tensor
        for name, tensor in operands.items()
    }
    expected = plstm(**scalar, line_graph=graph, form="naive")
    assert_close(plstm_matrix(**operands, line_graph=graph), expected, 1e-11, "output")


@pytest.mark.parametrize("length", [1, 2, 7, 16])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_chains(length, size):
    inputs = chain_operands(length, (1,), size)
    graph = LineGraph(torch.stack([torch.arange(length - 1), torch.arange(1, length)]), length)
    on_nodes = {name: tensor[0] for name, tensor in inputs.items()}
    # A chain's node marks what enters it and turns it into what leaves it; its last source goes nowhere.
    on_edges = on_nodes | {
        "source": on_nodes["source"][:-1],
        "mark": on_nodes["mark"][1:],
        "transition": on_nodes["transition"][1:-1],
    }
    expected = plstm_chain_matrix(**inputs)[0]
    for form in ("naive", *FORMS):
        assert_close(plstm_matrix(**on_edges, line_graph=graph, form=form), expected, 1e-11, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1, 4), (5, 1), (3, 4), (4, 3)], ids=str)
def test_grids(shape, form):
    width, height = shape
    inputs = {name: tensor[0] for name, tensor in grid_operands(width, height, 2).items()}
    graph = LineGraph.grid(width, height)
    flat = {name: tensor.flatten(0, 1) for name, tensor in inputs.items()}
    along_x = torch.arange(graph.num_edges) < (width - 1) * height  # to the right, in the grid's words
    start, end = graph.edge_index
    came, goes = along_x[graph.pairs]
    node = end[graph.pairs[0]]

    def by_edge(right, down, at):
        return torch.where(along_x[:, None, None], flat[right][at], flat[down][at])

    names = {(True, True): GATES[2], (False, False): GATES[3], (True, False): GATES[4], (False, True): GATES[5]}
    transition = torch.zeros(graph.num_pairs, 2, 2, 2, dtype=torch.float64)
    for (from_right, to_right), name in names.items():
        chosen = (came == from_right) & (goes == to_right)
        transition[chosen] = flat[name][node[chosen]]
    out = plstm_matrix(
        flat["query"],
        flat["key"],
        flat["value"],
        by_edge("source_right", "source_down", start),
        transition,
        by_edge("mark_left", "mark_up", end),
        flat["direct"],
        graph,
        form,
    )
    assert_close(out.view(*shape, *out.shape[1:]), plstm_grid2d_matrix(**inputs), 1e-11, "grid")


def test_renumbering_nodes_and_reordering_edges():
    edge_index = random_dag(14, 30, torch.Generator().manual_seed(0))
    graph = LineGraph(edge_index, 14)
    operands = matrix_operands(graph)
    out = plstm_matrix(**operands, line_graph=graph)
    new_of_old = torch.randperm(14)
    of_nodes = ("query", "key", "value", "direct")
    moved = operands | {n: torch.empty_like(operands[n]).index_copy(0, new_of_old, operands[n]) for n in of_nodes}
    renumbered = LineGraph(new_of_old[edge_index], 14, pairs=graph.pairs)
    assert_close(plstm_matrix(**moved, line_graph=renumbered)[new_of_old], out, 1e-12, "renumbered")
    edges, pairs = torch.randperm(30), torch.randperm(graph.num_pairs)
    place = torch.empty_like(edges).index_copy(0, edges, torch.arange(30))
    turned = operands | {n: operands[n][edges] for n in ("source", "mark")}
    turned |= {"transition": operands["transition"][pairs]}
    shuffled = LineGraph(edge_index[:, edges], 14, pairs=place[graph.pairs[:, pairs]])
    assert_close(plstm_matrix(**turned, line_graph=shuffled), out, 1e-12, "another order")


@pytest.mark.parametrize("nodes", [0, 1, 3])
@pytest.mark.parametrize("size", [0, 2])
def test_graphs_without_edges_and_matrices_without_rows(nodes, size):
    graph = LineGraph(torch.zeros(2, 0, dtype=torch.long), nodes)
    operands = matrix_operands(graph, size=size)
    results = value_and_gradients(operands, graph)
    for form in ("naive", *FORMS):
        assert_all_close(value_and_gradients(operands, graph, form), results)
    own = operands["direct"][..., None] * (operands["query"] * operands["key"]).sum(-1, keepdim=True)
    assert_close(results["output"], own * operands["value"], 1e-12, "what nodes read of themselves")


def test_no_heads_no_keys_no_rows():
    graph = LineGraph(random_dag(5, 7, torch.Generator().manual_seed(0)), 5)
    for widths in ((0, 2, 2, 2), (2, 0, 2, 2), (2, 2, 0, 2), (2, 2, 2, 0)):
        operands = matrix_operands(graph, *widths)
        expected = value_and_gradients(operands, graph, "naive")
        for form in FORMS:
            assert_all_close(value_and_gradients(operands, graph, form), expected)


def test_a_batch_is_its_graphs():
    parts = [LineGraph(random_dag(n, m, torch.Generator().manual_seed(n)), n) for n, m in ((6, 9), (2, 0), (9, 20))]
    shift = itertools.accumulate([0, 6, 2])
    whole = LineGraph(torch.cat([p.edge_index + s for p, s in zip(parts, shift, strict=True)], dim=1), 17)
    operands = [matrix_operands(part) for part in parts]
    joined = {name: torch.cat([each[name] for each in operands]) for name in operands[0]}
    expected = torch.cat([plstm_matrix(**o, line_graph=p) for o, p in zip(operands, parts, strict=True)])
    assert_close(plstm_matrix(**joined, line_graph=whole), expected, 1e-12, "batch")


@pytest.mark.parametrize("pieces", [1, 1000, 10**9])
def test_levels_in_pieces(pieces, monkeypatch):
    graph = LineGraph(random_dag(20, 60, torch.Generator().manual_seed(0)), 20)
    operands = matrix_operands(graph)
    expected = value_and_gradients(operands, graph)
    monkeypatch.setattr("plstm_graph.ops.dag.matrix_levels.PIECE_BYTES", pieces)
    assert_all_close(value_and_gradients(operands, graph), expected)


def test_reflections_keep_the_norm_of_a_state_over_ten_thousand_hops():
    length, size = 10_000, 3
    graph = LineGraph(torch.stack([torch.arange(length), torch.arange(1, length + 1)]), length + 1)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(length - 1, 1, 2, size, generator=generator, dtype=torch.float64)
    transition = householder_product(vectors).requires_grad_()
    source = torch.zeros(length, 1, size, dtype=torch.float64)
    source[0] = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    source.requires_grad_()
    ones = torch.ones(length + 1, 1, 1, dtype=torch.float64)
    reads = edge_reads(ones, ones, ones, source, transition, graph)
    # Every product of two reflections rounds each entry; errors add up over hops.
    assert_close(reads.squeeze(-1).norm(dim=-1), torch.ones(length, 1, dtype=torch.float64), 1e-11, "norm of states")
    weight = torch.randn(size, generator=generator, dtype=torch.float64)
    last = reads[-1, 0, :, 0] @ weight
    grads = torch.autograd.grad(last, [source, transition])
    assert_close(grads[0].norm(dim=-1), weight.norm().expand(length, 1), 1e-11, "norm of gradients")
    assert_close(grads[1].flatten(1).norm(dim=1), weight.norm().expand(length - 1), 1e-11, "norm of gradients of gates")


def test_the_order_of_inputs_matters():
    """Two ways to the same node, along the same two matrices in another order, cancel only if they commute."""
    edge_index = torch.tensor([[0, 1, 2, 0, 4, 5, 3], [1, 2, 3, 4, 5, 3, 6]])
    graph = LineGraph(edge_index, 7)
    swap, rotate = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    steps = {(0, 1): swap, (1, 2): rotate, (3, 4): rotate, (4, 5): swap}
    transition = torch.stack([steps.get(tuple(pair), torch.eye(2)) for pair in graph.pairs.t().tolist()]).unsqueeze(1)
    source = torch.zeros(7, 1, 2)
    source[0], source[3] = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])
    mark, ones = torch.tensor([[[1.0, 0.0]]]).expand(7, 1, 2), torch.ones(7, 1, 1)
    out = plstm_matrix(ones, ones, ones, source, transition, mark, torch.zeros(7, 1), graph)
    both = rotate @ swap @ source[0, 0] + swap @ rotate @ source[3, 0]
    assert out[6, 0, 0] == both[0] == 0.0  # sums of whole numbers are exact
    mark = mark.flip(-1)
    out = plstm_matrix(ones, ones, ones, source, transition, mark, torch.zeros(7, 1), graph)
    assert out[6, 0, 0] == both[1]
    assert not torch.equal(rotate @ swap, swap @ rotate)


def test_half_precision_is_summed_in_float32():
    length = 3000
    graph = LineGraph(torch.stack([torch.arange(length), torch.arange(1, length + 1)]), length + 1)
    ones = torch.ones(length + 1, 1, 1, dtype=torch.bfloat16)
    gate = ones[:length]
    transition = torch.ones(length - 1, 1, 1, 1, dtype=torch.bfloat16)
    reads = edge_reads(ones, ones, ones, gate, transition, graph)
    assert reads.dtype == torch.float32 and reads[-1].item() == length
    assert plstm_matrix(ones, ones, ones, gate, transition, gate, ones[:, 0], graph).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"query": torch.zeros(3, 2)}, ValueError, r"query, value and source must be \[N, H, K\]"),
        ({"source": torch.zeros(2, 2)}, ValueError, r"query, value and source must be"),
        ({"key": torch.zeros(3, 2, 2)}, ValueError, r"key must be \[N, H, K\] = \[3, 2, 3\]"),
        ({"value": torch.zeros(4, 2, 4)}, ValueError, r"value must be \[N, H, V\]"),
        ({"source": torch.zeros(3, 2, 3)}, ValueError, r"source must be \[E, H, J\] = \[2, 2, 3\]"),
        ({"transition": torch.zeros(1, 2, 3)}, ValueError, r"transition must be \[P, H, J, J\] = \[1, 2, 3, 3\]"),
        ({"transition": torch.zeros(1, 2, 3, 2)}, ValueError, r"transition must be \[P, H, J, J\]"),
        ({"mark": torch.zeros(2, 2)}, ValueError, r"mark must be \[E, H, J\] = \[2, 2, 3\]"),
        ({"direct": torch.zeros(3, 1)}, ValueError, r"direct must be \[N, H\] = \[3, 2\]"),
        ({"mark": torch.zeros(2, 2, 3, dtype=torch.long)}, TypeError, "mark must be float64"),
        ({"query": torch.zeros(3, 2, 3, dtype=torch.complex64)}, TypeError, "query must be float64"),
        ({"key": torch.zeros(3, 2, 3, device="meta")}, ValueError, "key is on meta, but the line graph on cpu"),
        ({"mark": torch.zeros(2, 2, 3, device="meta")}, ValueError, "mark is on meta, but the line graph on cpu"),
        (
            {"form": "serial"},
            ValueError,
            "unknown form 'serial'; choose one of 'auto', 'naive', 'recurrent', 'parallel'",
        ),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    graph = LineGraph(torch.tensor([[0, 1], [1, 2]]), 3)
    with pytest.raises(error, match=message):
        plstm_matrix(**matrix_operands(graph) | change, line_graph=graph)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("form", ["auto", "naive", "parallel"])
@pytest.mark.parametrize("reverse", [False, True])
def test_compiles_in_one_piece(reverse, form, rows):
    torch._dynamo.reset()
    rows = 3 if form == "parallel" else rows
    graph = LineGraph(random_dag(20, 40, torch.Generator().manual_seed(0)), 20).prepare(rows=rows)
    graph = graph.reverse() if reverse else graph
    operands = matrix_operands(graph)
    compiled = torch.compile(
        lambda **o: plstm_matrix(**o, line_graph=graph, form=form), backend="aot_eager", fullgraph=True
    )
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in operands.items()}
    out = compiled(**leaves)
    weight = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(out, list(leaves.values()), weight)
    assert_all_close({"output": out, **dict(zip(leaves, grads, strict=True))}, value_and_gradients(operands, graph))


def test_rows_that_were_not_prepared_are_named():
    torch._dynamo.reset()
    graph = LineGraph(random_dag(20, 40, torch.Generator().manual_seed(0)), 20).prepare()
    operands = matrix_operands(graph)
    compiled = torch.compile(
        lambda **o: plstm_matrix(**o, line_graph=graph, form="parallel"), backend="aot_eager", fullgraph=True
    )
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"call line_graph\.prepare\(rows=3\)"):
        compiled(**operands)


@pytest.mark.parametrize("form", FORMS)
def test_rows_move_and_are_pickled(form):
    graph = LineGraph(random_dag(9, 16, torch.Generator().manual_seed(0)), 9)
    multitree, operands = graph.to_multitree(), matrix_operands(graph)
    expected = plstm_matrix(**operands, line_graph=graph, form=form)
    kept = operands | {"transition": operands["transition"][graph._kept_pairs]}
    cut = plstm_matrix(**kept, line_graph=multitree, form=form)
    assert_close(cut, plstm_matrix(**kept, line_graph=multitree, form="naive"), 1e-11, "multitree")
    for copied in (graph.to("cpu"), pickle.loads(pickle.dumps(graph))):
        assert_close(plstm_matrix(**operands, line_graph=copied, form=form), expected, 1e-12, "copy")
        assert_close(plstm_matrix(**kept, line_graph=copied.to_multitree(), form=form), cut, 1e-12, "multitree")


@native_and_torch
def test_auto_is_right_on_all_kinds_of_graphs(native):
    """Whatever it takes, it is right: molecules, deep graphs, hubs."""
    hub = torch.stack([torch.arange(60), torch.full((60,), 60)])
    for edge_index in (random_dag(60, 62), torch.stack([torch.arange(300), torch.arange(1, 301)]), hub):
        graph = LineGraph(edge_index, 301)
        operands = matrix_operands(graph, 1, 2, 2, 2)
        operands["transition"] = operands["transition"] / 2
        with native_code(native):
            actual = value_and_gradients(operands, graph, "auto")
        assert_all_close(actual, value_and_gradients(operands, graph, "naive"), 1e-10)
