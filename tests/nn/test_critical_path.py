"""The path behind a maximum, against all paths one by one; the path behind the prediction of a model."""

from itertools import pairwise

import pytest
import torch

from plstm_graph import PLSTM, LineGraph, PLSTMConv
from plstm_graph.graph import random_dag
from plstm_graph.nn.critical_path import maximising_path, predicted_path

SIZES = [(6, 8), (9, 16), (12, 24)]
FLOWS = ["source_to_target", "target_to_source"]


def dag(nodes, edges, seed=0):
    edge_index = random_dag(nodes, edges, generator=torch.Generator().manual_seed(seed))
    return torch.cat([edge_index, edge_index[:, :2]], dim=1)  # parallel edges are legal


def given(nodes, edges, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(nodes, 5, generator=generator), torch.randn(edges + 2, 3, generator=generator)


def walks_to(edge_index, node):
    """All paths that end in a node, as lists of columns; the empty one too."""
    start, end = edge_index.tolist()
    found = [[]]
    for column, stop in enumerate(end):
        if stop == node:
            found += [[*path, column] for path in walks_to(edge_index, start[column])]
    return found


def largest(conv, x, edge_index, edge_attr, node, channel):
    """The walk with the largest sum of one channel's terms, by trying all."""
    graph = LineGraph(edge_index, len(x))
    graph = graph if conv.flow == "source_to_target" else graph.reverse()
    if conv.neighbours is not None:
        x = conv.neighbours(x, graph.edge_index)
    terms = conv.gates.of_logits(*conv.gates.logits(x, edge_attr), graph)
    source, out_gate, in_gate, mark, direct = (term.detach()[:, channel].double() for term in terms)

    def sum_of(walk):
        if not walk:
            return float(direct[node])
        steps = sum(out_gate[before] + in_gate[after] for before, after in pairwise(walk))
        return float(source[walk[0]] + steps + mark[walk[-1]])

    return max(walks_to(graph.edge_index, node), key=sum_of)


@pytest.mark.parametrize("transition", ["pair", "node"])
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("neighbours", [False, True])
@pytest.mark.parametrize(("nodes", "edges"), SIZES)
def test_the_path_of_a_channel_has_the_largest_sum(nodes, edges, neighbours, flow, transition):
    conv = PLSTMConv(5, 8, 2, "M", 3, flow=flow, neighbours=neighbours, transition=transition)
    (x, edge_attr), edge_index = given(nodes, edges), dag(nodes, edges)
    lengths = set()
    for node in range(nodes):
        for channel in range(conv.heads * conv.head_channels):
            weights = torch.eye(conv.heads * conv.head_channels)[channel]
            path = maximising_path(conv, x, edge_index, edge_attr, node=node, weights=weights)
            assert path.tolist() == largest(conv, x, edge_index, edge_attr, node, channel)
            lengths.add(len(path))
    assert len(lengths) > 2  # none, one edge, several


@pytest.mark.parametrize("columns", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_of_equal_sums_the_first_edge_counts(columns):
    """Two ways around, all terms equal: the same answer every time, by the caller's order of edges."""
    conv = PLSTMConv(2, 4, 2, "M")
    for parameter in conv.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    edge_index = torch.tensor([[0, 0, 1, 2], [1, 2, 3, 3]])[:, columns]
    graph = LineGraph(edge_index, 4)
    paths = [maximising_path(conv, torch.ones(4, 2), edge_index, node=3, line_graph=graph) for _ in range(3)]
    into = [column for column in range(4) if edge_index[1, column] == 3]
    assert paths[0].tolist() == paths[1].tolist() == paths[2].tolist()
    assert paths[0][-1] == into[0] and edge_index[0, paths[0][0]] == 0


def test_most_of_the_weight_decides():
    """Channels that disagree: the path of the one that weighs more than all others is the path, if it reads an edge."""
    conv, (x, edge_attr), edge_index = PLSTMConv(5, 8, 2, "M", 3), given(12, 24), dag(12, 24)
    total = conv.heads * conv.head_channels
    for node in range(12):
        for channel in range(total):
            weights = torch.ones(total) + (2.0 * total) * torch.eye(total)[channel]
            path = maximising_path(conv, x, edge_index, edge_attr, node=node, weights=weights)
            expected = largest(conv, x, edge_index, edge_attr, node, channel)
            others = [largest(conv, x, edge_index, edge_attr, node, other) for other in range(total)]
            assert path.tolist() == expected if expected else bool(len(path)) == any(others)


def test_a_layer_of_shared_weights_takes_the_direction_in_which_more_arrives():
    conv, (x, edge_attr), edge_index = PLSTMConv(5, 8, 2, "M", 3, share_weights=True), given(9, 16), dag(9, 16)
    for node in range(9):
        path = maximising_path(conv, x, edge_index, edge_attr, node=node)
        start, end = edge_index[:, path]
        if len(path):
            along = torch.equal(start[1:], end[:-1]) and end[-1] == node
            against = torch.equal(end[1:], start[:-1]) and start[-1] == node
            assert along or against


class LongestPath(torch.nn.Module):
    """Exactly the length of the longest path, as a layer of M-mode sees it."""

    def __init__(self):
        super().__init__()
        self.conv = PLSTMConv(1, 2, 1, "M", 1)
        for parameter in self.parameters():
            torch.nn.init.zeros_(parameter)
        with torch.no_grad():
            # Of each edge: source, out_gate, in_gate, mark. An edge counts what its feature says, when it is entered.
            self.conv.gates.edge_lin.weight[:1] = self.conv.gates.edge_lin.weight[2:3] = 1.0
            self.conv.lin_out.weight.fill_(1.0)


@pytest.mark.parametrize(("nodes", "edges"), [*SIZES, (40, 90), (300, 900)])
def test_a_model_that_adds_up_delays_shows_the_critical_path(nodes, edges):
    edge_index = dag(nodes, edges)
    delay = torch.rand(edges + 2, 1, generator=torch.Generator().manual_seed(1))
    model = LongestPath()
    conv = model.conv
    arrival = torch.zeros(nodes, dtype=torch.double)
    into: dict[int, list[int]] = {}
    for column, end in enumerate(edge_index[1].tolist()):
        into.setdefault(end, []).append(column)
    for node in LineGraph(edge_index, nodes).level.argsort().tolist():
        arrival[node] = max((float(arrival[edge_index[0, e]] + delay[e]) for e in into.get(node, [])), default=0.0)
    for node in range(0, nodes, max(1, nodes // 20)):
        path = maximising_path(conv, torch.zeros(nodes, 1), edge_index, delay, node=node)
        assert float(delay[path].sum()) == pytest.approx(float(arrival[node]), rel=1e-6)  # a few dozen float32 sums


@pytest.mark.parametrize("predict", ["node", "graph", "edge"])
@pytest.mark.parametrize("modes", ["M", "PM", "MM"])
@pytest.mark.parametrize("direction", ["forward", "both"])
def test_the_path_behind_a_prediction_is_a_path(predict, modes, direction):
    sizes = {"hidden_channels": 8, "num_layers": 2, "heads": 2}
    model = PLSTM(5, edge_dim=3, modes=modes, direction=direction, predict=predict, **sizes).eval()
    torch.nn.init.normal_(model.size_head.weight)  # at first it is zero
    (x, edge_attr), edge_index = given(12, 24), dag(12, 24)
    nodes = {"node": [7], "graph": None, "edge": edge_index[:, 3].tolist()}[predict]

    def number():
        output = model(x, edge_index, edge_attr)
        return output[{"node": 7, "graph": 0, "edge": 3}[predict]]

    for _ in range(2):
        found = predicted_path(model, number, nodes)
        assert found is not None and (nodes is None or found.node in nodes)
        start, end = edge_index[:, found.columns]
        along = torch.equal(start[1:], end[:-1]) and (not len(end) or end[-1] == found.node)
        against = torch.equal(end[1:], start[:-1]) and (not len(end) or start[-1] == found.node)
        assert along or (against and direction == "both")
    hooked = [module for module in model.modules() if isinstance(module, PLSTMConv) and module._forward_pre_hooks]
    assert not hooked


@pytest.mark.parametrize("modes", ["P", "D", "PD"])
def test_without_maxima_there_is_no_path(modes):
    model = PLSTM(5, 8, 1, 1, edge_dim=3, modes=modes, predict="node").eval()
    (x, edge_attr), edge_index = given(6, 8), dag(6, 8)
    assert predicted_path(model, lambda: model(x, edge_index, edge_attr)[0]) is None
    with pytest.raises(ValueError, match=f"only layers of mode 'M' take a maximum .* mode '{modes[0]}'"):
        maximising_path(PLSTMConv(5, 8, mode=modes[0]), x, edge_index, node=0)


def test_bad_input_is_named():
    conv, (x, edge_attr), edge_index = PLSTMConv(5, 8, 2, "M", 3), given(6, 8), dag(6, 8)
    for node in (-1, 6, 100):
        with pytest.raises(ValueError, match=f"there is no node {node} among 6"):
            maximising_path(conv, x, edge_index, edge_attr, node=node)
    for weights in (torch.ones(3), torch.ones(1, 4), -torch.ones(4)):
        with pytest.raises(ValueError, match="weights must be 4 numbers that are not negative"):
            maximising_path(conv, x, edge_index, edge_attr, node=0, weights=weights)
