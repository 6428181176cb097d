import copy

import pytest
import torch
from torch import nn
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.testing import assert_module

from plstm_graph import CycleError, LineGraph, PLSTMConv, plstm
from plstm_graph.ops import plstm_max_plus
from plstm_graph.testing import (
    assert_close,
    assert_compiles_once,
    assert_edge_order_invariance,
    assert_node_permutation_equivariance,
    random_dag,
)


@pytest.fixture(params=["source_to_target", "target_to_source"], ids=["forward", "backward"])
def flow(request):
    return request.param


@pytest.fixture(params=["P", "D", "M"])
def mode(request):
    return request.param


@pytest.fixture
def fan():
    """A DAG with hubs, edge features, and node features."""
    generator = torch.Generator().manual_seed(1)
    x, edge_attr = (torch.randn(size, 8, generator=generator).double() for size in (15, 50))
    return x, random_dag(15, 50, generator), edge_attr


@pytest.fixture
def tree():
    """A DAG whose line graph is a multitree as it stands, so that no cut depends on the numbering."""
    return torch.tensor([[0, 1, 1, 2, 3, 3], [1, 2, 3, 4, 5, 6]])


def test_layer_follows_pyg_conventions(mode):
    conv = PLSTMConv(8, 32, heads=4, mode=mode)
    assert str(conv) == f"PLSTMConv(8, 32, heads=4, mode={mode!r})"
    x, edge_index = torch.randn(7, 8), torch.tensor([[0, 1, 1, 2, 3, 3], [1, 2, 3, 4, 5, 6]])
    assert_module(conv, x, edge_index, expected_size=(7, 32), test_sparse_layouts=[])


@pytest.mark.parametrize("scores", [True, False])
@pytest.mark.parametrize("mode", ["P", "D"])
def test_output_equals_the_operator(flow, mode, scores):
    edge_index, x = random_dag(9, 16), torch.randn(9, 8, dtype=torch.float64)
    edge_attr = torch.randn(16, 3, dtype=torch.float64)
    conv = PLSTMConv(8, 12, heads=3, mode=mode, edge_dim=3, flow=flow, scores=scores).double()
    graph = LineGraph(edge_index, 9)
    graph = graph.to_multitree() if mode == "D" else graph
    graph = graph.reverse() if flow == "target_to_source" else graph
    value, key = conv.lin(x).view(9, -1, 3, 4)[:, -1], torch.ones(9, 3, 1, dtype=torch.float64)
    query, key = (conv.lin(x).view(9, 3, 3, 4)[:, :2] / 2**0.5).unbind(1) if scores else (key, key)
    start, end = graph.edge_index
    y = plstm(
        query,
        key,
        value,
        conv.gates.source(x, start, edge_attr),
        conv.gates.transition(x, graph, edge_attr),
        conv.gates.mark(x, end, edge_attr),
        conv.gates.direct(x),
        graph,
        form="naive",
    )
    assert_close(conv(x, edge_index, edge_attr), conv.lin_out(conv.norm(y).flatten(1)), 1e-12, "layer")


def test_output_of_m_mode_equals_the_operator(flow):
    edge_index, x = random_dag(9, 16), torch.randn(9, 8, dtype=torch.float64)
    edge_attr = torch.randn(16, 3, dtype=torch.float64)
    conv = PLSTMConv(8, 12, heads=3, head_channels=4, mode="M", edge_dim=3, flow=flow).double()
    graph = LineGraph(edge_index, 9)
    graph = graph.reverse() if flow == "target_to_source" else graph
    start, end = graph.edge_index
    source, of_start, between, of_end, mark, direct = conv.gates.node_lin(x).chunk(6, dim=1)
    e_source, e_leave, e_enter, e_mark = conv.gates.edge_lin(edge_attr).chunk(4, dim=1)
    first, second = graph.pairs
    transition = of_start[start[first]] + between[end[first]] + of_end[end[second]] + e_leave[first] + e_enter[second]
    sizes = []
    y = plstm_max_plus(source[start] + e_source, transition, mark[end] + e_mark, direct, graph, form="naive")
    expected = conv.lin_out(conv.norm(y.view(9, 3, 4)).flatten(1))
    assert_close(conv(x, edge_index, edge_attr, sizes=sizes), expected, 1e-12, "layer")
    assert_close(sizes[0], y, 1e-12, "sizes")


@pytest.mark.parametrize("share_weights", [False, True])
def test_m_mode_through_nodes_is_m_mode_through_pairs(fan, flow, share_weights):
    x, edge_index, edge_attr = fan
    options = {"mode": "M", "edge_dim": 8, "flow": flow, "share_weights": share_weights}
    pair, node = (PLSTMConv(8, 16, transition=kind, **options).double() for kind in ("pair", "node"))
    node.load_state_dict(pair.state_dict())
    assert_close(node(x, edge_index, edge_attr), pair(x, edge_index, edge_attr), 1e-12, "layer")


def test_m_mode_through_nodes_takes_hubs():
    leaves = torch.arange(1, 20_001)
    into, out_of = (
        torch.stack([leaves, torch.zeros_like(leaves)]),
        torch.stack([torch.zeros_like(leaves), leaves + 20_000]),
    )
    edge_index = torch.cat([into, out_of], dim=1)
    conv = PLSTMConv(4, 8, heads=2, mode="M", transition="node")
    out = conv(torch.randn(40_001, 4), edge_index)
    assert torch.isfinite(out).all()


def test_backward_flow_is_the_forward_layer_on_the_reversed_dag(mode, tree):
    x, edge_attr = torch.randn(7, 8), torch.randn(6, 2)
    forward = PLSTMConv(8, 8, mode=mode, edge_dim=2)
    backward = PLSTMConv(8, 8, mode=mode, edge_dim=2, flow="target_to_source")
    backward.load_state_dict(forward.state_dict())
    assert_close(backward(x, tree, edge_attr), forward(x, tree.flip(0), edge_attr), 1e-6, "backward flow")


def test_line_graph_saves_the_rebuild_and_changes_nothing(flow, mode):
    x, edge_index = torch.randn(20, 8), random_dag(20, 40)
    conv = PLSTMConv(8, 8, mode=mode, flow=flow)
    assert_close(conv(x, edge_index, line_graph=LineGraph(edge_index, 20)), conv(x, edge_index), 1e-6, "line graph")


def test_edge_order_does_not_matter(flow):
    x, edge_index, edge_attr = torch.randn(20, 8), random_dag(20, 40), torch.randn(40, 3)
    assert_edge_order_invariance(PLSTMConv(8, 8, edge_dim=3, flow=flow), x, edge_index, edge_attr)


def test_renumbering_nodes_renumbers_the_output(flow):
    x, edge_index, edge_attr = torch.randn(20, 8), random_dag(20, 40), torch.randn(40, 3)
    assert_node_permutation_equivariance(PLSTMConv(8, 8, edge_dim=3, flow=flow), x, edge_index, edge_attr)


def test_edge_features_follow_their_edge(flow):
    # Two parallel chains, alike but for one edge feature: only what lies beyond that edge may differ.
    edge_index = torch.tensor([[5, 1, 4, 0], [6, 2, 5, 1]])
    x = torch.ones(7, 4)
    edge_attr = torch.zeros(4, 1)
    edge_attr[2] = 3.0
    conv = PLSTMConv(4, 8, edge_dim=1, flow=flow)
    nn.init.normal_(conv.gates.transition.edge_lin.weight)
    nn.init.normal_(conv.gates.source.edge_lin.weight)
    out = conv(x, edge_index, edge_attr)
    first, second = out[:3], out[4:]
    unaffected, affected = (0, [1, 2]) if flow == "source_to_target" else (2, [0])
    assert torch.allclose(first[unaffected], second[unaffected], atol=1e-6)
    assert not any(torch.allclose(first[i], second[i], atol=1e-4) for i in affected)


def test_batch_of_disjoint_graphs_equals_single_graphs(flow, mode):
    conv = PLSTMConv(8, 8, mode=mode, flow=flow)
    first, second = (torch.randn(5, 8), random_dag(5, 7)), (torch.randn(30, 8), random_dag(30, 60))
    x = torch.cat([first[0], second[0]])
    edge_index = torch.cat([first[1], second[1] + 5], dim=1)
    single = torch.cat([conv(*first), conv(*second)])
    assert_close(conv(x, edge_index), single, 1e-5, "batch")


@pytest.mark.parametrize("num_nodes", [0, 1, 4])
def test_graph_without_edges(num_nodes, flow, mode):
    conv = PLSTMConv(8, 8, mode=mode, flow=flow, edge_dim=2)
    x = torch.randn(num_nodes, 8, requires_grad=True)
    out = conv(x, torch.empty(2, 0, dtype=torch.long), torch.empty(0, 2))
    assert out.shape == (num_nodes, 8)
    out.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_runs_in_every_dtype(dtype, mode):
    conv = PLSTMConv(8, 8, mode=mode, edge_dim=3).to(dtype)
    out = conv(torch.randn(20, 8, dtype=dtype), random_dag(20, 40), torch.randn(40, 3, dtype=dtype))
    assert out.dtype == dtype
    out.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in conv.parameters())


def test_autocast_is_close_to_float32(mode):
    # With a tiny norm_eps, the norm of a head that reads next to nothing enlarges rounding without a bound.
    conv, x, edge_index = PLSTMConv(8, 8, mode=mode, norm_eps=1.0), torch.randn(20, 8), random_dag(20, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = conv(x, edge_index)
    assert out.dtype == torch.bfloat16
    assert_close(out.float(), conv(x, edge_index), 0.05, "autocast")


def test_lazy_input_size():
    conv = PLSTMConv(-1, 8, edge_dim=3)
    out = conv(torch.randn(20, 5), random_dag(20, 40), torch.randn(40, 3))
    assert out.shape == (20, 8)
    assert conv.gates.source.node_lin.weight.std() < 1


def test_reset_parameters_draws_all_weights_anew():
    conv = PLSTMConv(8, 8, edge_dim=3, decay=True)
    before = copy.deepcopy(conv.state_dict())
    for parameter in conv.parameters():
        nn.init.constant_(parameter, 7.0)
    conv.reset_parameters()
    for name, tensor in conv.state_dict().items():
        assert not (tensor == 7.0).any(), name
        if tensor.dim() == 2 and tensor.size(0) > 1 and "norm" not in name:
            assert not torch.equal(tensor, before[name]), name


def test_hooks_see_the_message_step():
    conv, seen = PLSTMConv(8, 8), []
    conv.register_message_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    conv.register_propagate_forward_pre_hook(lambda module, inputs: seen.append("propagate"))
    conv(torch.randn(5, 8), torch.tensor([[0, 1, 2], [1, 2, 3]]))
    assert seen == ["propagate", (3, 4, 2)]


@pytest.mark.parametrize("decay", [False, True, "node"])
def test_transition_of_nodes_is_a_column_of_shares_for_each_node(fan, flow, decay):
    x, edge_index, edge_attr = fan
    conv = PLSTMConv(8, 8, edge_dim=8, flow=flow, decay=decay, transition="node").double()
    graph = LineGraph(edge_index, 15)
    graph = graph.reverse() if flow == "target_to_source" else graph
    out_gate, in_gate = conv.gates.transition(x, graph, edge_attr)
    gate = out_gate[graph.pairs[0]] * in_gate[graph.pairs[1]]
    total = torch.zeros(50, 4).double().index_add(0, graph.pairs[0], gate)
    passes_on = total > 0
    assert passes_on.any() and (gate > 0).all()
    assert_close(total[passes_on], out_gate[passes_on], 1e-12, "sum over the out-edges of an in-edge")
    assert (out_gate < 1).all() if decay else (out_gate == 1).all()


@pytest.mark.parametrize("decay", [False, True, "node"])
def test_a_shared_source_divides_what_a_node_adds_as_what_arrives(fan, flow, decay):
    x, edge_index, edge_attr = fan
    conv = PLSTMConv(8, 8, edge_dim=8, flow=flow, decay=decay, transition="node", source="shared").double()
    graph = LineGraph(edge_index, 15)
    graph = graph.reverse() if flow == "target_to_source" else graph
    terms = conv.gates.of_logits(conv.gates.logits(x, edge_attr), graph)
    start, gate = graph.edge_index[0], conv.gates.source.node_lin(x).sigmoid()
    assert_close(terms.source, gate[start] * terms.transition[1], 1e-14, "source")
    total = torch.zeros(15, 4).double().index_add(0, start, terms.source)
    has_out_edges = torch.bincount(start, minlength=15) > 0
    assert_close(total[has_out_edges], gate[has_out_edges], 1e-12, "sum over the out-edges of a node")


@pytest.mark.parametrize("seed", range(3))
def test_a_shared_source_loses_nothing_on_the_way_to_the_sinks(seed):
    """What all nodes add up to is what arrives at the sinks, however many paths lead there."""
    edge_index = random_dag(30, 70, generator=torch.Generator().manual_seed(seed))
    conv = PLSTMConv(8, 8, transition="node", source="shared").double()
    for gate in (conv.gates.mark, conv.gates.source):
        gate.node_lin.weight.data.zero_()
        gate.node_lin.bias.data.fill_(40.0)  # sigmoid(40) rounds to one
    matrix = conv.gating_matrix(torch.randn(30, 8).double(), edge_index)
    out_degree = torch.bincount(edge_index[0], minlength=30)
    arrived = matrix[:, out_degree == 0].sum(dim=1)[:, out_degree > 0]
    assert_close(arrived, torch.ones_like(arrived), 1e-12, "at the sinks, of each node")


@pytest.mark.parametrize("seed", range(3))
def test_a_tied_source_arrives_whole_at_the_sinks(seed):
    """Whatever the gates: what a node adds is what the sinks read of it in all, and what it reads of itself."""
    generator = torch.Generator().manual_seed(seed)
    edge_index, x = random_dag(30, 70, generator=generator), torch.randn(30, 8, generator=generator).double()
    conv = PLSTMConv(8, 8, transition="node", source="tied").double()
    assert conv.gates.mark is None and conv.gates.direct is None
    matrix, added = conv.gating_matrix(x, edge_index), conv.gates.source.node_lin(x).sigmoid().t()
    is_sink = torch.bincount(edge_index[0], minlength=30) == 0
    assert_close(matrix[:, is_sink].sum(dim=1)[:, ~is_sink], added[:, ~is_sink], 1e-12, "at the sinks, of each node")
    assert_close(matrix.diagonal(dim1=1, dim2=2), added, 1e-14, "of itself")


@pytest.mark.parametrize("decay", [True, "node"])
def test_what_a_tied_layer_reads_is_what_leaves(fan, flow, decay):
    """With losses on the way, too: the states on the out-edges of a node add up to what it reads."""
    x, edge_index, edge_attr = fan
    conv = PLSTMConv(8, 8, edge_dim=8, flow=flow, decay=decay, transition="node", source="tied", scores=False).double()
    graph = LineGraph(edge_index, 15)
    graph = graph.reverse() if flow == "target_to_source" else graph
    sizes = []
    conv(x, edge_index, edge_attr, sizes=sizes)
    source, (out_gate, in_gate), *_ = conv.gates.of_logits(conv.gates.logits(x, edge_attr), graph)
    value = conv.lin(x).view(15, 4, 2)
    state = torch.zeros(50, 4, 2).double()
    start, end = graph.edge_index
    for _ in range(15):  # more often than there are levels
        passed = torch.zeros(15, 4, 2).double().index_add(0, end, out_gate.unsqueeze(-1) * state)
        state = in_gate.unsqueeze(-1) * passed[start] + source.unsqueeze(-1) * value[start]
    has_out_edges = torch.bincount(start, minlength=15) > 0
    left = torch.zeros(15, 4, 2).double().index_add(0, start, state)
    assert_close(sizes[0].view(15, 4, 2)[has_out_edges], left[has_out_edges], 1e-12, "what leaves")


def test_transition_of_nodes_equals_the_same_transition_on_pairs(fan, flow):
    x, edge_index, edge_attr = fan
    conv = PLSTMConv(8, 8, edge_dim=8, flow=flow, decay=True, transition="node").double()
    out = conv(x, edge_index, edge_attr)
    graph = LineGraph(edge_index, 15)
    graph = graph.reverse() if flow == "target_to_source" else graph
    query, key, value = conv.lin(x).view(15, 3, 4, 2).unbind(1)
    score = torch.einsum("nhk,mhk->hnm", query, key) / 2**0.5
    y = torch.einsum("hnm,mhv->nhv", conv.gating_matrix(x, edge_index, edge_attr) * score, value)
    assert_close(out, conv.lin_out(conv.norm(y).flatten(1)), 1e-10, "layer")

    conv.register_message_forward_hook(lambda module, inputs, output: None)
    assert_close(conv(x, edge_index, edge_attr), out, 1e-10, "layer with a hook")


def test_masked_edge_is_cut_from_a_transition_of_nodes_as_well(tree):
    from torch_geometric.explain.algorithm.utils import set_masks

    conv, x = PLSTMConv(4, 8, transition="node"), torch.randn(7, 4)
    whole = conv(x, tree)
    mask = torch.ones(6)
    mask[1] = 0.0
    set_masks(conv, mask, tree, apply_sigmoid=False)
    out = conv(x, tree)
    for node in (2, 4):
        assert not torch.allclose(out[node], whole[node], atol=1e-4), node
    alone = conv.lin_out(conv.norm(torch.zeros(1, 4, 2)).flatten(1))[0]
    conv.gates.direct.lin.bias.data.fill_(-1e4)
    # Behind the cut, node 2 reads nothing at all once it does not read itself.
    assert torch.allclose(conv(x, tree)[2], alone, atol=1e-6)
    for node in (0, 1, 3, 5, 6):
        assert torch.allclose(out[node], whole[node], atol=1e-6), node


def test_a_hub_runs_through_a_transition_of_nodes(flow):
    leaves = torch.arange(1, 3_001)
    hub = torch.zeros_like(leaves)
    edge_index = torch.cat([torch.stack([leaves, hub]), torch.stack([hub, leaves + 3_000])], dim=1)
    conv, x = PLSTMConv(8, 8, flow=flow, transition="node"), torch.randn(6_001, 8, requires_grad=True)
    graph = LineGraph(edge_index, 6_001)
    conv(x, edge_index, line_graph=graph).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert graph._pairs is None, "9 million pairs were listed"


def test_transition_of_nodes_compiles_into_one_graph():
    def calls():
        for seed, (nodes, edges) in enumerate([(40, 60), (61, 130)]):
            generator = torch.Generator().manual_seed(seed)
            edge_index = random_dag(nodes, edges, generator)
            graph = LineGraph(edge_index, nodes).prepare(split_nodes=True)
            x = torch.randn(nodes, 24, generator=generator, requires_grad=True)
            yield (x, edge_index), {"line_graph": graph}

    conv = PLSTMConv(24, 64, flow="target_to_source", transition="node")
    assert_compiles_once(conv, calls(), backend="aot_eager")


class TwoLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = PLSTMConv(4, 16), PLSTMConv(16, 2, heads=2, flow="target_to_source")

    def forward(self, x, edge_index):
        return self.second(self.first(x, edge_index).relu(), edge_index)


def test_explainer_gets_an_edge_mask(tree):
    explainer = Explainer(
        TwoLayers(),
        algorithm=GNNExplainer(epochs=20),
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config={"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"},
    )
    explanation = explainer(torch.randn(7, 4), tree, index=6)
    assert explanation.edge_mask.shape == (6,)
    assert explanation.edge_mask.max() > 0


def test_masked_edge_cuts_everything_that_passes_through_it(tree):
    from torch_geometric.explain.algorithm.utils import set_masks

    conv, x = PLSTMConv(4, 8), torch.randn(7, 4)
    mask = torch.ones(6)
    mask[2] = 0.0
    set_masks(conv, mask, tree, apply_sigmoid=False)
    out = conv(x, tree)
    cut = torch.tensor([0, 1, 3, 4, 5])
    transition_free = PLSTMConv(4, 8)
    transition_free.load_state_dict(conv.state_dict())
    # P-mode's shares still count the masked edge, so compare only nodes whose inflow does not pass node 1's split.
    expected = transition_free(x, tree[:, cut])
    for node in (0, 1, 3, 5, 6):
        assert torch.allclose(out[node], expected[node], atol=1e-6), node


def test_compiles_into_one_graph_for_all_depths(flow, mode):
    def calls():
        for seed, (nodes, edges) in enumerate([(40, 60), (47, 90), (30, 29), (61, 130)]):
            generator = torch.Generator().manual_seed(seed)
            edge_index = random_dag(nodes, edges, generator)
            graph = LineGraph(edge_index, nodes).prepare()
            x = torch.randn(nodes, 24, generator=generator, requires_grad=True)
            yield (x, edge_index, torch.randn(edges, 3, generator=generator)), {"line_graph": graph}

    depths = {call[1]["line_graph"].schedule.num_levels for call in calls()}
    assert len(depths) > 2
    # The backward pass of P and D, which takes most of the time, is traced as part of the whole model in test_plstm.py,
    # and of each form in tests/ops/test_custom_operator.py.
    backend = "aot_eager" if (mode, flow) == ("M", "source_to_target") else "eager"
    for form in ("recurrent", "auto"):
        conv = PLSTMConv(24, 64, mode=mode, flow=flow, edge_dim=3, form=form)
        assert_compiles_once(conv, calls(), backend=backend)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c(torch.randn(2, 8), torch.tensor([[0, 1], [1, 0]])), CycleError, "0 -> 1 -> 0|1 -> 0 -> 1"),
        (lambda c: c(torch.randn(2, 8), torch.tensor([[0], [2]])), ValueError, r"column 0: \[0, 2\].*2 nodes"),
        (lambda c: c(torch.randn(2, 8), torch.tensor([[0], [1]]).int()), TypeError, "int64"),
        (lambda c: c(torch.randn(2, 8), torch.tensor([[0], [1]]), torch.ones(1, 2)), ValueError, "without edge_dim"),
        (
            lambda c: c(torch.randn(2, 8), torch.tensor([[0], [1]]), line_graph=LineGraph(torch.tensor([[0], [1]]), 3)),
            ValueError,
            "x has 2 rows, but the line graph has 3 nodes",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(PLSTMConv(8, 8))


def test_bad_edge_features_are_named():
    conv, edge_index = PLSTMConv(8, 8, edge_dim=2), torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(ValueError, match="edge_dim=2, so it needs edge_attr"):
        conv(torch.randn(3, 8), edge_index)
    with pytest.raises(ValueError, match="edge_attr has 3 rows, but edge_index has 2 edges"):
        conv(torch.randn(3, 8), edge_index, torch.randn(3, 2))
    with pytest.raises(ValueError, match="edge_attr has 5 features, but this layer was made with edge_dim=2"):
        conv(torch.randn(3, 8), edge_index, torch.randn(2, 5))


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match=r"out_channels \(10\) must be divisible by heads \(4\)"):
        PLSTMConv(8, 10)
    with pytest.raises(ValueError, match="mode must be 'P', 'D' or 'M', got 'X'"):
        PLSTMConv(8, 8, mode="X")
    with pytest.raises(ValueError, match="transition must be 'pair', 'node' or 'matrix', got 'edge'"):
        PLSTMConv(8, 8, transition="edge")
    for options in ({"mode": "D"}, {"normalization": "row"}):
        with pytest.raises(ValueError, match="transition='node' needs mode='P' and normalization='column', got"):
            PLSTMConv(8, 8, transition="node", **options)
    for options in ({"decay": True}, {"normalization": "row"}):
        with pytest.raises(ValueError, match="transition='matrix' needs normalization='column' and no decay, got"):
            PLSTMConv(8, 8, transition="matrix", **options)
    for transition in ("pair", "matrix"):
        with pytest.raises(ValueError, match=f"source='shared' divides .* transition='node', got '{transition}'"):
            PLSTMConv(8, 8, transition=transition, source="shared")
    with pytest.raises(ValueError, match="source must be 'edge', 'shared' or 'tied', got 'node'"):
        PLSTMConv(8, 8, mode="M", source="node")
    with pytest.raises(ValueError, match="size and reflections must be at least 1"):
        PLSTMConv(8, 8, transition="matrix", matrix_size=0)


@pytest.mark.slow
def test_compiled_code_gives_the_same_output_and_gradients():
    conv = PLSTMConv(24, 64, edge_dim=3)
    compiled = torch.compile(conv, fullgraph=True, dynamic=True)
    for seed, (nodes, edges) in enumerate([(40, 60), (53, 57)]):
        generator = torch.Generator().manual_seed(seed)
        edge_index = random_dag(nodes, edges, generator)
        graph = LineGraph(edge_index, nodes).prepare()
        x, edge_attr = torch.randn(nodes, 24, generator=generator), torch.randn(edges, 3, generator=generator)
        results = []
        for layer in (conv, compiled):
            out = layer(x, edge_index, edge_attr, graph)
            results.append((out, *torch.autograd.grad(out.square().sum(), list(conv.parameters()))))
        for actual, expected in zip(*results, strict=True):
            assert_close(actual, expected, 1e-4, "compiled")


@pytest.mark.parametrize("mode, transition", [("P", "pair"), ("D", "pair"), ("P", "node"), ("P", "matrix")])
def test_a_layer_of_shared_weights_is_the_sum_of_both_directions_with_the_same_weights(fan, mode, transition):
    x, edge_index, edge_attr = fan
    kwargs = {"mode": mode, "edge_dim": 8, "transition": transition}
    shared = PLSTMConv(8, 8, share_weights=True, **kwargs).double()
    ways = [PLSTMConv(8, 8, flow=flow, **kwargs).double() for flow in ("source_to_target", "target_to_source")]
    for way in ways:
        way.load_state_dict(shared.state_dict())
    expected = sum(way(x, edge_index, edge_attr) for way in ways) - shared.lin_out.bias
    assert_close(shared(x, edge_index, edge_attr), expected, 1e-12, "layer")
    matrix = sum(way.gating_matrix(x, edge_index, edge_attr) for way in ways)
    assert_close(shared.gating_matrix(x, edge_index, edge_attr), matrix, 1e-12, "gating matrix")

    shared.register_message_forward_hook(lambda module, inputs, output: None)
    assert_close(shared(x, edge_index, edge_attr), expected, 1e-10, "layer with a hook")
