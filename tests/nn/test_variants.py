"""Variants of pLSTM: batch norm, local aggregation, virtual node."""

import re

import pytest
import torch
from torch_geometric.data import Batch

from plstm_graph import PLSTM, LineGraph, PLSTMConv
from plstm_graph.nn.baselines import DirectedGIN
from plstm_graph.nn.edge_context import EdgeContext
from plstm_graph.nn.local import LocalConv, LocalFFN
from plstm_graph.nn.virtual_node import VirtualNode
from plstm_graph.testing import assert_batch_consistency, assert_edge_order_invariance
from tests.nn.test_plstm import random_graph, run

VARIANTS = [
    {"norm": "batch"},
    {"local": "conv"},
    {"local": "conv", "norm": "batch"},
    {"local": "ffn", "norm_eps": 1.0},
    {"local": "ffn", "share_weights": True, "norm": "batch"},
    {"virtual_node": True},
    {"readout_channels": 40, "pool": ["mean", "max"]},
    {"modes": "PM"},
    {"modes": "M", "share_weights": True, "pool": ["mean", "max"]},
    {"modes": "MD", "size_readout": "MD", "direction": "forward"},
    {"transition": "matrix", "modes": "PD"},
    {"transition": "matrix", "matrix_kind": "signed", "matrix_size": 3, "modes": "PM", "share_weights": True},
    {"modes": "PG"},
    {"modes": "MG", "gated_aggr": "sum", "share_weights": True},
    {"modes": "G", "direction": "backward", "local": "ffn"},
    {"head_norm": "log"},
    {"head_norm": "ratio", "modes": "PD"},
    {"neighbours": True},
    {"neighbours": "channel", "modes": "PG"},
    {"neighbours": True, "share_weights": True, "output_gate": True},
    {"transition": "node", "source": "shared", "decay": True},
    {"transition": "node", "source": "shared", "modes": "PM", "size_readout": "PM", "size_scale": "log"},
    {"transition": "node", "source": "tied", "decay": "node", "scores": False},
    {"transition": "node", "source": "tied", "modes": "PM", "share_weights": True},
    {"edge_context": True, "modes": "PD"},
    {"edge_context": True, "edge_context_norm": "rms", "modes": "M", "norm": "none"},
    {"edges_in_nodes": False, "degree": False},
    {"encoder_layers": 2, "modes": "PD"},
    {"encoder_layers": 1, "norm": "none"},
    {"scores": False, "modes": "PD"},
    {"scores": False, "transition": "node", "head_norm": "ratio", "modes": "PM"},
    {"scores": False, "transition": "matrix", "share_weights": True},
]


def make(edge_dim=(4,), **options):
    options = {"modes": "P"} | options
    if not edge_dim:
        options = {name: value for name, value in options.items() if not name.startswith("edge_context")}  # of these
    return PLSTM(5, 16, 2, 2, edge_dim=edge_dim and list(edge_dim), **options)


def make_gin(**options):
    return DirectedGIN(5, 16, out_channels=2, edge_dim=[4], **options)


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("edge_dim", [(4,), None])
def test_a_batch_gives_what_its_graphs_give(options, edge_dim):
    # In float64, so that no norm of a small number can blow rounding up to what might be a fault.
    model = make(edge_dim, **options).eval().double()
    graphs = [random_graph(nodes, edges, seed) for seed, (nodes, edges) in enumerate([(7, 12), (1, 0), (12, 11)])]
    for graph in graphs:
        graph.x = graph.x.double()
        graph.edge_attr = None if edge_dim is None else graph.edge_attr
    assert_batch_consistency(lambda data: run(model, data), graphs, 1e-10)


@pytest.mark.parametrize("options", VARIANTS)
def test_every_weight_learns_and_can_be_drawn_anew(options):
    model = make(**options)
    data = Batch.from_data_list([random_graph(9, 14, 0), random_graph(8, 12, 1)])
    run(model, data).square().sum().backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not unused
    before = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.dim() == 2}
    model.reset_parameters()
    after = dict(model.named_parameters())
    # Exact: constants, or numbers drawn anew.
    same = [name for name, weight in before.items() if torch.equal(weight, after[name])]
    # The scales of the heads' norms are ones in both, and the map of raw sizes is zero in both.
    assert all(re.fullmatch(r"size_head\.weight|blocks\..*\.convs\.\d\.norm\.weight", name) for name in same)


def test_nodes_are_widened_before_they_are_pooled():
    model = make(readout_channels=40, pool=["mean", "max"])
    pooled: list[torch.Tensor] = []
    model.head[0].register_forward_pre_hook(lambda module, inputs: pooled.append(inputs[0]))
    data = Batch.from_data_list([random_graph(9, 14, 0)])
    run(model, data)
    nodes = model.widen(model.encode(data.x, data.edge_index, data.edge_attr))
    torch.testing.assert_close(pooled[0], torch.cat([nodes.mean(dim=0), nodes.amax(dim=0)]).unsqueeze(0))
    assert model.head[0].in_features == 80


def test_an_unknown_norm():
    with pytest.raises(ValueError, match="norm must be 'rms', 'batch' or 'none', got 'layer'"):
        make(norm="layer")


@pytest.mark.parametrize("modes", ["P", "PD", "PM"])
def test_a_scale_of_sizes_needs_sizes(modes):
    with pytest.raises(ValueError, match="size_scale must be 'linear' or 'log', got 'bogus'"):
        make(modes=modes, size_scale="bogus")
    with pytest.raises(
        ValueError, match=f"size_scale='log' is of what layers of size_readout read, .* modes='{modes}'"
    ):
        make(modes=modes, size_scale="log", size_readout="")


@pytest.mark.parametrize("number", [-1, 1.5, "2"])
def test_the_number_of_encoder_layers_is_checked(number):
    for kind in (make, make_gin):
        with pytest.raises(ValueError, match=f"encoder_layers must be a whole number of 0 or more, got {number!r}"):
            kind(encoder_layers=number)


def test_edge_context_needs_edge_features():
    with pytest.raises(ValueError, match="edge_context=True needs edge features, but edge_dim is None"):
        PLSTM(5, out_channels=2, edge_context=True)
    with pytest.raises(ValueError, match="edge_context=True needs edge features, but edge_dim is None"):
        DirectedGIN(5, out_channels=2, edge_context=True)


@pytest.mark.parametrize("kind", [make, make_gin])
def test_a_norm_of_the_context_needs_the_context(kind):
    with pytest.raises(ValueError, match="edge_context_norm='rms' is of edge_context, which is False"):
        kind(edge_context_norm="rms")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("norm", "bounded"), [("rms", True), ("none", False)])
def test_a_normed_context_adds_no_more_to_a_hub_than_to_others(norm, bounded, seed):
    """However large features are: what is normed has the length sqrt(C), and SiLU makes nothing longer."""
    torch.manual_seed(seed)
    data, context = random_graph(9, 14, seed), EdgeContext(16, norm).double()
    nodes, edges = torch.randn(9, 16).double(), torch.randn(14, 16).double()
    context.reset_parameters()
    limit = torch.linalg.matrix_norm(context.out.weight, 2) * 4 + context.out.bias.norm()
    added = {size: context(size * nodes, edges, data.edge_index) - edges for size in (1, 1e3, 1e6)}
    assert all((each.norm(dim=1) <= limit).all() for each in added.values()) == bounded
    # What grew a thousandfold is all that is left of it: further on, nothing changes.
    assert torch.allclose(added[1e3], added[1e6], rtol=0, atol=0.05) == bounded


@pytest.mark.parametrize("context", [False, True])
def test_nodes_can_enter_without_the_edges_around_them(context):
    data = random_graph(9, 14, 0)
    for edges_in_nodes in (True, False):
        for kind in (make, make_gin):
            model = kind(edge_context=context, edges_in_nodes=edges_in_nodes, degree=False)
            nodes, edges = model.embed(data.x, data.edge_index, data.edge_attr, both_directions=False)
            assert edges.shape == (14, 16)
            assert torch.allclose(nodes, model.node_encoder(data.x)) != edges_in_nodes


@pytest.mark.parametrize("seed", range(3))
def test_edges_know_the_nodes_that_they_join(seed):
    """And nothing else: an edge's embedding changes with its own features and those of its two nodes."""
    torch.manual_seed(seed)
    data, model = random_graph(9, 14, seed), make(edge_context=True)
    model.edge_context.out.reset_parameters()

    def edges(x, edge_attr):
        return model.embed(x, data.edge_index, edge_attr, both_directions=False)[1]

    before = edges(data.x, data.edge_attr)
    for node in range(9):
        x = data.x.clone()
        x[node] += 1
        changed = (edges(x, data.edge_attr) - before).abs().amax(dim=1) > 1e-6
        assert torch.equal(changed, (data.edge_index == node).any(dim=0))
    other = data.edge_attr.clone()
    other[5] = (other[5] + 1) % 4
    changed = (edges(data.x, other) - before).abs().amax(dim=1) > 1e-6
    assert changed.nonzero().view(-1).tolist() == [5]


@pytest.mark.parametrize("modes", ["M", "P", "PM"])
def test_without_a_norm_nodes_enter_layers_as_they_are(modes):
    model = make(norm="none", modes=modes)
    seen: list[torch.Tensor] = []
    given: list[torch.Tensor] = []
    model.blocks[0].layers[0].convs[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model.blocks[0].register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    run(model, Batch.from_data_list([random_graph(9, 14, 0)])).sum().backward()
    assert torch.equal(seen[0], given[0])  # the same tensor
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("edge_dim", [None, 8])
def test_local_aggregation_knows_no_directions(edge_dim):
    conv = LocalConv(8, edge_dim is not None).eval()
    data = random_graph(9, 14, 0)
    x, edges = torch.randn(9, 8), None if edge_dim is None else torch.randn(14, 8)
    flipped = conv(x, data.edge_index.flip(0), edges)
    torch.testing.assert_close(conv(x, data.edge_index, edges), flipped)
    if edges is not None:
        assert_edge_order_invariance(conv, x, data.edge_index, edges)


@pytest.mark.parametrize("neighbours", ["forward", "backward", "both", "undirected"])
@pytest.mark.parametrize("edge_dim", [None, 8])
def test_local_network_reads_each_node_and_its_neighbours(neighbours, edge_dim):
    layer = LocalFFN(8, 5, neighbours).double()
    edge_index = random_graph(9, 14, 0).edge_index
    x = torch.randn(9, 8, dtype=torch.double)
    edges = None if edge_dim is None else torch.randn(14, 8, dtype=torch.double)
    normed, zero = layer.norm(x), x.new_zeros(8)
    for node in range(9):
        sums = {"before": zero, "behind": zero}
        for edge, (start, end) in enumerate(edge_index.t().tolist()):
            for name, here, there in (("before", end, start), ("behind", start, end)):
                if here == node:
                    sent = normed[there] if edges is None else (normed[there] + edges[edge]).relu()
                    sums[name] = sums[name] + sent
        parts = {
            "forward": [sums["before"]],
            "backward": [sums["behind"]],
            "both": [sums["before"], sums["behind"]],
            "undirected": [sums["before"] + sums["behind"]],
        }[neighbours]
        expected = layer.network(torch.cat([normed[node], *parts]))
        torch.testing.assert_close(layer(x, edge_index, edges)[node], expected)
    if edges is not None:
        assert_edge_order_invariance(layer, x, edge_index, edges)


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_local_networks_read_in_the_direction_of_the_model(direction):
    model = make(local="ffn", direction=direction)
    assert [block.layers[0].ffn.neighbours for block in model.blocks] == [direction] * 2
    shared = make(local="ffn", share_weights=True)
    assert [block.layers[0].ffn.neighbours for block in shared.blocks] == ["undirected"] * 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("gin", "'gin'$"),
        (None, "None$"),
        (["conv"], r"\['conv'\]$"),
        (True, "True: for True say 'conv'"),
        (False, "False: for False say 'none'"),
    ],
)
def test_an_unknown_local_aggregation(given, words):
    with pytest.raises(ValueError, match=f"local must be 'none', 'conv' or 'ffn', got {words}"):
        make(local=given)


@pytest.mark.parametrize("modes", ["P", "MG", "G"])
def test_the_old_name_of_shared_weights_is_answered_by_the_new_one(modes):
    with pytest.raises(TypeError, match="'tied' is called 'share_weights' now"):
        make(modes=modes, tied=True)


def test_a_large_norm_eps_keeps_small_sizes_apart():
    x, no_edges = torch.randn(1, 8, dtype=torch.double), torch.zeros(2, 0, dtype=torch.long)
    ratios = []
    for norm_eps in (1e-30, 1.0):
        conv = PLSTMConv(8, 8, norm_eps=norm_eps, bias=False).double()
        torch.nn.init.zeros_(conv.gates.direct.lin.weight)  # the gate is then the same for both
        ratios.append((conv(x / 100, no_edges).norm() / conv(x / 10, no_edges).norm()).item())
    assert ratios == pytest.approx([1, 1e-3], rel=0.01)  # query, key and value are a tenth


def test_a_virtual_node_joins_the_nodes_of_its_graph_alone():
    node = VirtualNode(8)
    x = torch.randn(5, 8, requires_grad=True)
    out, state = node(x, torch.zeros(2, 8), torch.tensor([0, 0, 0, 1, 1]))
    assert state.shape == (2, 8)
    out[0].sum().backward()
    # Exact: nothing flows into another graph.
    assert (x.grad.abs().sum(dim=1) > 0).tolist() == [True, True, True, False, False]


def test_embeddings_of_a_single_graph_need_no_batch():
    model = make(virtual_node=True).eval()
    data = random_graph(9, 14, 0)
    graph = LineGraph.from_data(data)
    alone = model.encode(data.x, data.edge_index, data.edge_attr, graph)
    batch = torch.zeros(9, dtype=torch.long)
    torch.testing.assert_close(alone, model.encode(data.x, data.edge_index, data.edge_attr, graph, batch))
