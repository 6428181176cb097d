"""The gated cell: against torch's own GRU node by node, derivatives of all kinds, orders, batches, depth."""

import copy
import pickle

import pytest
import torch
from torch.autograd import forward_ad

from plstm_graph import CycleError, LineGraph
from plstm_graph.graph import ancestors
from plstm_graph.nn.gated_cell import GatedCell
from plstm_graph.testing import (
    assert_close,
    assert_compiles_once,
    assert_edge_order_invariance,
    assert_node_permutation_equivariance,
    random_dag,
)

NODES, EDGES = 12, 22
FLOWS = ["source_to_target", "target_to_source"]
AGGR = ["attention", "sum", "max"]


def dag(nodes=NODES, edges=EDGES - 2, seed=0):
    edge_index = random_dag(nodes, edges, torch.Generator().manual_seed(seed))
    return torch.cat([edge_index, edge_index[:, :2]], dim=1)  # parallel edges are legal


def given(channels=5, nodes=NODES, edges=EDGES, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, channels, dtype=dtype, generator=generator).requires_grad_() for rows in (nodes, edges)]


def by_nodes(cell, x, edge_index, edge_attr=None):
    """One node after the other, with torch's own GRU cell; of sums, that cell as its documentation says."""
    start, end = edge_index if cell.flow == "source_to_target" else edge_index.flip(0)
    states = {}
    for node in torch.argsort(LineGraph(torch.stack([start, end]), len(x)).level, stable=True).tolist():
        entering = (end == node).nonzero().view(-1).tolist()
        mean = x.new_zeros(1, x.size(1))
        if entering:
            brought = before = torch.stack([states[int(start[edge])] for edge in entering])
            logit = x.new_zeros(len(entering), 1) if cell.score is None else cell.score(before)
            if edge_attr is not None:
                along = cell.edge(edge_attr[entering])
                if cell.score is not None:
                    logit, along = logit + along[:, :1], along[:, 1:]
                brought = before + along
            mean = (logit.softmax(dim=0) * brought).sum(dim=0, keepdim=True)
            if cell.aggr == "max":
                mean = brought.amax(dim=0, keepdim=True)
        if cell.aggr != "sum":
            gru = torch.nn.GRUCell(x.size(1), x.size(1), dtype=x.dtype)
            weights = {"weight_ih": cell.input.weight, "bias_ih": cell.input.bias}
            weights |= {"weight_hh": cell.state.weight, "bias_hh": cell.state.bias}
            states[node] = torch.func.functional_call(gru, weights, (x[node : node + 1], mean))[0]
            continue
        of_x, of_h = cell.input(x[node]).chunk(3), cell.state(mean[0] * len(entering)).chunk(3)
        reset, update = (of_x[0] + of_h[0]).sigmoid(), (of_x[1] + of_h[1]).sigmoid()
        states[node] = (1 - update) * (of_x[2] + reset * of_h[2]).tanh() + update * mean[0]
    return torch.stack([states[node] for node in range(len(x))])


@pytest.mark.parametrize("aggr", AGGR)
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("edges", [True, False])
def test_values_and_gradients_equal_node_by_node(flow, aggr, edges):
    cell = GatedCell(5, 5 if edges else None, flow, aggr).double()
    x, edge_attr = given()
    edge_attr = edge_attr if edges else None
    inputs = [x, *([edge_attr] if edges else []), *cell.parameters()]
    outputs = cell(x, dag(), edge_attr), by_nodes(cell, x, dag(), edge_attr)
    assert_close(*outputs, 1e-12, "states")
    weight = torch.randn_like(outputs[0])
    for mine, theirs in zip(*(torch.autograd.grad(out, inputs, weight) for out in outputs), strict=True):
        assert_close(mine, theirs, 1e-11, "gradient")


@pytest.mark.parametrize("aggr", AGGR)
def test_both_directions_with_the_same_weights(aggr):
    both = GatedCell(5, 5, aggr=aggr, share_weights=True).double()
    x, edge_attr = given()
    ways = [copy.deepcopy(both) for _ in FLOWS]
    for way, flow in zip(ways, FLOWS, strict=True):
        way.share_weights, way.flow = False, flow
    expected = sum(way(x, dag(), edge_attr) for way in ways)
    assert_close(both(x, dag(), edge_attr), expected, 1e-12, "states")
    assert_close(both(x, dag().flip(0), edge_attr), expected, 1e-12, "reversed")


@pytest.mark.parametrize("aggr", AGGR)
@pytest.mark.parametrize("flow", FLOWS)
def test_second_derivatives_forward_mode_and_vmap(flow, aggr):
    cell = GatedCell(2, 2, flow, aggr).double()
    edge_index, (x, edge_attr) = dag(6, 8), given(2, 6, 10)
    graph = LineGraph(edge_index, 6)

    def run(x, edge_attr, *weights):
        named = dict(zip(dict(cell.named_parameters()), weights, strict=True))
        return torch.func.functional_call(cell, named, (x, edge_index, edge_attr, graph))

    operands = (x, edge_attr, *(parameter.detach().clone().requires_grad_() for parameter in cell.parameters()))
    assert torch.autograd.gradcheck(run, operands)
    assert torch.autograd.gradgradcheck(run, operands)
    tangents = [torch.randn_like(operand) for operand in operands]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*both) for both in zip(operands, tangents, strict=True)]
        tangent = forward_ad.unpack_dual(run(*duals)).tangent
    step = 1e-6
    ahead, behind = (run(*(o + s * t for o, t in zip(operands, tangents, strict=True))) for s in (step, -step))
    assert_close(tangent, (ahead - behind) / (2 * step), 1e-7, "tangent")  # an error of the order of the step squared
    mapped = torch.func.vmap(lambda x: run(x, *operands[1:]))(torch.stack([x, tangents[0]]))
    for out, of in zip(mapped, (x, tangents[0]), strict=True):
        assert_close(out, run(of, *operands[1:]), 1e-12, "vmap")


@pytest.mark.parametrize("aggr", AGGR)
@pytest.mark.parametrize("flow", FLOWS)
def test_orders_and_batches(flow, aggr):
    cell = GatedCell(5, 5, flow, aggr).double()
    x, edge_attr = (tensor.detach() for tensor in given())
    assert_node_permutation_equivariance(cell, x, dag(), edge_attr, 1e-12)
    assert_edge_order_invariance(cell, x, dag(), edge_attr, 1e-12)
    graphs = [(6, 9), (1, 0), (11, 30)]
    parts = [(random_dag(n, m, torch.Generator().manual_seed(n)), *given(5, n, m, seed=n)) for n, m in graphs]
    single = torch.cat([cell(x, edge_index, edge_attr) for edge_index, x, edge_attr in parts])
    edge_index = torch.cat([parts[0][0], parts[1][0] + 6, parts[2][0] + 7], dim=1)
    whole = cell(torch.cat([part[1] for part in parts]), edge_index, torch.cat([part[2] for part in parts]))
    assert_close(whole, single, 1e-12, "batch")


@pytest.mark.parametrize("aggr", AGGR)
@pytest.mark.parametrize("flow", FLOWS)
def test_a_node_reads_its_ancestors_and_nothing_else(flow, aggr):
    cell, edge_index = GatedCell(5, None, flow, aggr).double(), dag()
    (x, _) = given()
    out = cell(x, edge_index)
    directed = edge_index if flow == "source_to_target" else edge_index.flip(0)
    for node in range(NODES):
        (grad,) = torch.autograd.grad(out[node].sum(), x, retain_graph=True)
        itself, reads = torch.arange(NODES) == node, grad.abs().sum(dim=1) > 0
        expected = ancestors(directed, NODES, node) | itself
        if aggr == "max":  # Of an ancestor that is largest in no channel nothing arrives.
            assert reads[node] and not (reads & ~expected).any()
            assert (reads & ~itself).any() == (expected & ~itself).any()
        else:
            assert torch.equal(reads, expected)


@pytest.mark.parametrize("aggr", AGGR)
@pytest.mark.parametrize("nodes", [0, 1, 4])
def test_graphs_without_edges(nodes, aggr):
    cell, x = GatedCell(3, 2, aggr=aggr), torch.randn(nodes, 3, requires_grad=True)
    out = cell(x, torch.empty(2, 0, dtype=torch.long), torch.empty(0, 2))
    assert out.shape == (nodes, 3)
    out.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("aggr", AGGR)
def test_states_are_bounded_where_paths_are_many(aggr):
    """Two nodes on each of a thousand levels, all of a level to all of the next: 2^1000 paths."""
    level = torch.arange(1000)
    edge_index = torch.cat([torch.stack([2 * level + i, 2 * level + 2 + j]) for i in (0, 1) for j in (0, 1)], dim=1)
    cell = GatedCell(4, aggr=aggr)
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter, std=3.0)
    x = torch.randn(2002, 4, requires_grad=True)
    out = cell(x, edge_index)
    assert out.abs().max() <= 1 + 1e-5  # a mean of numbers between -1 and 1, rounded
    out.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("copies", [2, 3, 17])
@pytest.mark.parametrize("flow", FLOWS)
def test_equal_maxima_share_the_gradient_evenly(flow, copies):
    """Parallel edges, which bring the same; as torch's own maximum does."""
    cell, edge_index = GatedCell(5, 5, flow, "max").double(), dag().repeat(1, copies)
    x, edge_attr = given()
    repeated = edge_attr.repeat(copies, 1)
    outputs = cell(x, edge_index, repeated), by_nodes(cell, x, edge_index, repeated)
    weight = torch.randn_like(outputs[0])
    inputs = [x, edge_attr, *cell.parameters()]
    for mine, theirs in zip(*(torch.autograd.grad(out, inputs, weight) for out in outputs), strict=True):
        assert_close(mine, theirs, 1e-11, "gradient")
    (of_edges,) = torch.autograd.grad(cell(x, edge_index, repeated), repeated, weight)
    assert_close(of_edges.view(copies, EDGES, 5)[1:], of_edges.view(copies, EDGES, 5)[:-1], 1e-14, "shares")


def test_large_scores_do_not_overflow():
    cell = GatedCell(5, 5)
    torch.nn.init.normal_(cell.score.weight, std=1e4)
    x, edge_attr = (tensor.detach().float().requires_grad_() for tensor in given())
    out = cell(x, dag(), edge_attr)
    out.sum().backward()
    assert out.isfinite().all() and x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_runs_in_every_dtype_and_under_autocast(dtype):
    cell = GatedCell(5, 5).to(dtype)
    x, edge_attr = given(dtype=dtype)
    out = cell(x, dag(), edge_attr)
    assert out.dtype == dtype
    out.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())
    if dtype == torch.float32:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = cell(x, dag(), edge_attr)
        assert low.dtype == torch.bfloat16
        assert_close(low.float(), out, 0.05, "autocast")  # a few of bfloat16's 2^-8 along some hops


@pytest.mark.parametrize("aggr", AGGR)
@pytest.mark.parametrize("flow", FLOWS)
def test_compiles_into_one_graph_for_all_depths(flow, aggr):
    def calls():
        for seed, (nodes, edges) in enumerate([(43, 64), (47, 90), (30, 29)]):
            edge_index = random_dag(nodes, edges, torch.Generator().manual_seed(seed))
            x, edge_attr = given(8, nodes, edges, torch.float32, seed)
            graph = LineGraph(edge_index, nodes).prepare(nodes=True)
            yield (x, edge_index, edge_attr), {"line_graph": graph}

    assert_compiles_once(GatedCell(8, 8, flow, aggr), calls(), backend="aot_eager")


def test_levels_that_were_not_prepared_are_named():
    torch._dynamo.reset()
    cell, (x, _) = GatedCell(5), given(dtype=torch.float32)
    graph = LineGraph(dag(), NODES)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"call line_graph\.prepare\(nodes=True\)"):
        torch.compile(cell, backend="aot_eager", fullgraph=True)(x, graph.edge_index, line_graph=graph)


def test_levels_are_built_once_move_and_are_pickled():
    graph = LineGraph(dag(), NODES)
    assert graph.node_levels is graph.node_levels
    assert graph.reverse().node_levels is graph.reverse().node_levels is not graph.node_levels
    assert graph.to_multitree().node_levels is graph.node_levels
    cell, (x, _) = GatedCell(5).double(), given()
    expected = cell(x, graph.edge_index)
    for copied in (graph.to("cpu"), pickle.loads(pickle.dumps(graph))):
        assert_close(cell(x, graph.edge_index, line_graph=copied), expected, 1e-12, "states")


def test_bad_input_is_named():
    x, edge_index = torch.randn(3, 4), torch.tensor([[0, 1], [1, 2]])
    for call, error, message in [
        (lambda: GatedCell(4)(torch.randn(3, 5), edge_index), ValueError, r"x must be \[N, 4\], got \[3, 5\]"),
        (lambda: GatedCell(4)(x, edge_index, torch.randn(2, 1)), ValueError, "without edge_dim"),
        (lambda: GatedCell(4, 2)(x, edge_index), ValueError, "edge_dim=2, so it needs edge_attr"),
        (lambda: GatedCell(4, 2)(x, edge_index, torch.randn(3, 2)), ValueError, "edge_attr has 3 rows"),
        (lambda: GatedCell(4, 2)(x, edge_index, torch.randn(2, 3)), ValueError, "edge_attr has 3 features"),
        (lambda: GatedCell(4)(x, torch.tensor([[0, 1], [1, 0]])), CycleError, "0 -> 1"),
        (lambda: GatedCell(4)(x, edge_index, line_graph=LineGraph(edge_index.flip(1), 3)), ValueError, "other edges"),
        (lambda: GatedCell(4, flow="both"), ValueError, "flow must be 'source_to_target'"),
        (lambda: GatedCell(4, aggr="mean"), ValueError, "aggr must be 'attention', 'sum' or 'max', got 'mean'"),
    ]:
        with pytest.raises(error, match=message):
            call()
