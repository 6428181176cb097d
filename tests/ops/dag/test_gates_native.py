"""All gates in C against their formulas in torch, values and gradients."""

import pytest
import torch

from plstm_graph.graph import LineGraph
from plstm_graph.nn import PLSTMConv
from plstm_graph.ops.dag.gates_native import _GATES, gates_native, has_native_gates
from plstm_graph.testing import assert_close, random_dag
from tests.ops.catalogue import native_code
from tests.rounding import rounding

pytestmark = pytest.mark.skipif(
    not has_native_gates([torch.empty(0)]), reason="native code is off: PLSTM_COMPILE=0, or there is no C compiler"
)

GRAPHS = {
    "empty": LineGraph(torch.empty(2, 0, dtype=torch.long), 0),
    "isolated": LineGraph(torch.empty(2, 0, dtype=torch.long), 3),
    "one edge": LineGraph(torch.tensor([[1], [0]]), 3),
    "parallel edges": LineGraph(torch.tensor([[0, 0, 1, 1, 1], [1, 1, 2, 2, 3]]), 4),
    "random": LineGraph(random_dag(12, 30, torch.Generator().manual_seed(0)), 12),
}
GRAPHS["reversed"] = GRAPHS["random"].reverse()
SHARINGS, DECAYS = ("column", "row", "signed"), ("none", "start", "end")


def logits(graph, heads, decay, edges, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    shapes = (graph.num_nodes, (6 if decay == "none" else 7) * heads), (graph.num_edges, 4 * heads * edges), (heads,)
    return [scale * torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def outcomes(run, operands, graph, *options):
    leaves = [tensor.detach().requires_grad_() for tensor in operands]
    gates = run(*leaves, graph, *options)
    grads = [torch.linspace(-1, 2, gate.numel(), dtype=gate.dtype).view(gate.shape) for gate in gates]
    return [*gates, *torch.autograd.grad(gates, leaves, grads, allow_unused=True, materialize_grads=True)]


def in_c(at_nodes, at_edges, bias, graph, sharing, decay, key_width):
    given = at_edges if at_edges.size(1) else None
    return gates_native(at_nodes, given, bias, graph.edge_index, graph.pairs, sharing, decay, key_width)


def in_torch(at_nodes, at_edges, bias, graph, sharing, decay, key_width):
    options = [SHARINGS.index(sharing), DECAYS.index(decay), key_width]
    gates = _GATES._twin([at_nodes, at_edges, bias], [graph.edge_index, graph.pairs], options)
    edges = graph.num_edges
    transition, source, mark, direct = gates.split([graph.num_pairs, edges, edges, graph.num_nodes])
    return source, transition, mark, direct


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("sharing", SHARINGS)
def test_c_equals_torch(graph, sharing, decay):
    graph = GRAPHS[graph]
    for heads, edges, key_width in ((1, False, 1), (4, True, 24), (3, True, 5)):
        operands = logits(graph, heads, decay, edges)
        results = (outcomes(run, operands, graph, sharing, decay, key_width) for run in (in_c, in_torch))
        for number, (actual, expected) in enumerate(zip(*results, strict=True)):
            assert_close(actual, expected, 1e-12, str(number))


@pytest.mark.parametrize("sharing", SHARINGS)
def test_extreme_logits(sharing):
    """Softplus is 0 or the logit itself, and sigmoids are 0 and 1."""
    graph = GRAPHS["random"]
    operands = logits(graph, 2, "start", True, scale=60)
    results = (outcomes(run, operands, graph, sharing, "start", 4) for run in (in_c, in_torch))
    for number, (actual, expected) in enumerate(zip(*results, strict=True)):
        assert torch.isfinite(actual).all()
        assert_close(actual, expected, 1e-12, str(number))


def test_any_memory_layout():
    graph = GRAPHS["random"]
    at_nodes, at_edges, bias = logits(graph, 2, "none", True)
    operands = [at_nodes.t().contiguous().t(), at_edges.repeat(1, 2)[:, ::2].flip(0), bias.expand(3, 2)[1]]
    options = ("column", "none", 4)
    results = (outcomes(run, operands, graph, *options) for run in (in_c, in_torch))
    for number, (actual, expected) in enumerate(zip(*results, strict=True)):
        assert_close(actual, expected, 1e-12, str(number))


def test_float32_differs_from_float64_by_its_rounding():
    graph = GRAPHS["random"]
    for sharing in SHARINGS:
        exact, rounded = (
            outcomes(in_c, logits(graph, 4, "end", True, dtype=dtype), graph, sharing, "end", 24)
            for dtype in (torch.float64, torch.float32)
        )
        for actual, expected in zip(rounded, exact, strict=True):
            assert_close(actual.double(), expected, rounding(torch.float32, 10 * graph.num_pairs), sharing)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_second_derivatives_forward_mode_and_vmap(sharing):
    graph = GRAPHS["parallel edges"]
    operands = [tensor.requires_grad_() for tensor in logits(graph, 1, "start", True)]
    run = lambda *given: torch.cat(in_c(*given, graph, sharing, "start", 3))  # noqa: E731
    assert torch.autograd.gradcheck(run, operands, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, operands)
    several = torch.stack([operands[0], 2 * operands[0]])
    expected = torch.stack([run(each, *operands[1:]) for each in several])
    assert_close(torch.func.vmap(run, (0, None, None))(several, *operands[1:]), expected, 1e-12, "vmap")


def test_the_operator_is_registered_soundly():
    graph = GRAPHS["random"]
    for sharing, decay in ((0, 0), (1, 1), (2, 2)):
        operands = [tensor.requires_grad_() for tensor in logits(graph, 2, DECAYS[decay], True)]
        given = (*operands, [graph.edge_index, graph.pairs], [sharing, decay, 3])
        assert set(torch.library.opcheck(_GATES.op, given).values()) == {"SUCCESS"}


@pytest.mark.parametrize("value", [-1, 10_000, 2**40, -(2**63)])
@pytest.mark.parametrize("name", ["edge_index", "pairs"])
@pytest.mark.parametrize("row", [0, 1])
def test_an_index_outside_its_range_is_refused(name, row, value):
    graph, options = GRAPHS["random"], [0, 0, 1]
    operands = logits(graph, 2, "none", False)
    structure = {"edge_index": graph.edge_index, "pairs": graph.pairs}
    gates, kept = _GATES.op(*operands, [*structure.values()], options)
    structure[name] = structure[name].clone()
    structure[name][row, structure[name].size(1) // 2] = value
    with pytest.raises(ValueError, match=rf"{name} of the line graph .*build a new LineGraph"):
        _GATES.op(*operands, [*structure.values()], options)
    with pytest.raises(ValueError, match=rf"{name} of the line graph .*build a new LineGraph"):
        _GATES.backward_op(gates, [kept, gates], *operands, [*structure.values()], options)


def test_tensors_that_do_not_fit_are_refused():
    graph, options = GRAPHS["random"], [0, 0, 1]
    at_nodes, at_edges, bias = logits(graph, 2, "none", True)
    structure = [graph.edge_index, graph.pairs]
    gates, kept = _GATES.op(at_nodes, at_edges, bias, structure, options)
    for bad in (
        (at_nodes[:, 1:], at_edges, bias, structure),
        (at_nodes, at_edges[1:], bias, structure),
        (at_nodes, at_edges.float(), bias, structure),
        (at_nodes, at_edges, bias, [graph.edge_index.int(), graph.pairs]),
        (at_nodes, at_edges, bias, [graph.edge_index, graph.pairs.repeat(2, 1)]),
    ):
        with pytest.raises(ValueError, match="native code needs"):
            _GATES.op(*bad, options)
    for bad in ([3, 0, 1], [0, 3, 1], [0, 0, 0]):
        with pytest.raises(ValueError, match="native code has no gates of options"):
            _GATES.op(at_nodes, at_edges, bias, structure, bad)
    with pytest.raises(ValueError, match="native code has no gates of options"):
        _GATES.op(at_nodes, at_edges[:, 1:], bias, structure, options)
    for grad, state in ((gates[1:], kept), (gates, kept[1:]), (gates.float(), kept)):
        with pytest.raises(ValueError, match="native code needs"):
            _GATES.backward_op(grad, [state, gates], at_nodes, at_edges, bias, structure, options)


@pytest.mark.parametrize("mode", ["P", "D"])
@pytest.mark.parametrize("options", [{}, {"normalization": "row", "decay": True}, {"decay": "node"}], ids=str)
@pytest.mark.parametrize("share_weights", [False, True])
def test_layers_in_c_equal_layers_in_torch(mode, options, share_weights):
    edge_index, generator = random_dag(9, 16, torch.Generator().manual_seed(0)), torch.Generator().manual_seed(0)
    conv = PLSTMConv(6, 8, heads=2, mode=mode, edge_dim=3, share_weights=share_weights, **options).double()
    leaves = [
        torch.randn(size, 6 if size == 9 else 3, generator=generator, dtype=torch.float64).requires_grad_()
        for size in (9, edge_index.size(1))
    ]
    results = []
    for native in (True, False):
        with native_code(native):
            out = conv(leaves[0], edge_index, leaves[1])
            results.append([out, *torch.autograd.grad(out.square().sum(), [*leaves, *conv.parameters()])])
    for actual, expected in zip(*results, strict=True):
        assert_close(actual, expected, 1e-10, "layer")


def test_half_precision_is_left_to_torch():
    assert not has_native_gates([torch.empty(0, dtype=torch.bfloat16)])
    assert not has_native_gates([torch.empty(0), torch.empty(0, dtype=torch.float64)])
