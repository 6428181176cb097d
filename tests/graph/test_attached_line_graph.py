"""A line graph as an attribute of a graph: batched, pickled, stored and moved."""

import copy
import io
import pickle

import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.loader import DataLoader

import plstm_graph.loader  # noqa: F401  # lets torch.load(weights_only=True) read Data
from plstm_graph import PLSTM, LineGraph
from plstm_graph.graph import random_dag, random_tree

MAKES = {
    "random": lambda: random_dag(9, 20, generator=torch.Generator().manual_seed(1)),
    "tree": lambda: random_tree(7, generator=torch.Generator().manual_seed(2)),
    "parallel": lambda: torch.tensor([[0, 0, 1], [1, 1, 2]]),
    "none": lambda: torch.zeros(2, 0, dtype=torch.long),
}
BUILT = {
    "nothing": lambda graph: graph,
    "usual": lambda graph: graph.prepare(),
    "all": lambda graph: graph.prepare(split_nodes=True, widths=(2, 4, 4), nodes=True, rows=2),
    "reversed": lambda graph: graph.reverse(),
    "cut": lambda graph: graph.to_multitree(),
}


def data_of(name: str, build=BUILT["nothing"]) -> Data:
    edge_index = MAKES[name]()
    nodes = int(edge_index.max()) + 2 if edge_index.numel() else 3
    line_graph = build(LineGraph(edge_index, nodes))
    if line_graph.is_reversed:
        edge_index = edge_index.flip(0)
    return Data(x=torch.randn(nodes, 4), edge_index=edge_index, line_graph=line_graph)


def same(one: LineGraph, other: LineGraph) -> None:
    assert (one.num_nodes, one.is_reversed) == (other.num_nodes, other.is_reversed)
    for name in ("edge_index", "pairs", "level"):
        assert getattr(one, name).equal(getattr(other, name)), name
    if not one.is_reversed:
        assert one.to_multitree().pairs.equal(other.to_multitree().pairs)


def _loaded(data: Data) -> Data:
    file = io.BytesIO()
    torch.save(data, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("build", BUILT.values(), ids=BUILT)
@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize(
    "change",
    [
        _loaded,
        lambda data: pickle.loads(pickle.dumps(data)),
        copy.deepcopy,
        copy.copy,
        lambda data: data.clone(),
        lambda data: data.to("cpu"),
        lambda data: data.cpu(),
    ],
    ids=["torch.load", "pickle", "deepcopy", "copy", "clone", "to", "cpu"],
)
def test_it_stays_what_it_is(name, build, change):
    data = data_of(name, build)
    changed = change(data)
    same(changed.line_graph, data.line_graph)
    assert LineGraph.from_data(changed) is changed.line_graph
    changed.line_graph.check_same_edges(changed.edge_index)


@pytest.mark.parametrize("build", ["nothing", "usual", "all"])
def test_a_loader_of_pyg_lists_them_and_they_are_joined(build):
    graphs = [data_of(name, BUILT[build]) for name in MAKES]
    batch = next(iter(DataLoader(graphs, batch_size=4)))
    joined, model = LineGraph.from_data(batch), PLSTM(4, 8, 1, 1)
    same(joined, LineGraph(batch.edge_index, batch.num_nodes))
    expected = model(batch.x, batch.edge_index, batch=batch.batch)
    torch.testing.assert_close(model(batch.x, batch.edge_index, batch=batch.batch, line_graph=joined), expected)
    torch.testing.assert_close(
        model(batch.x, batch.edge_index, batch=batch.batch, line_graph=batch.line_graph), expected
    )
    same(batch[1].line_graph, graphs[1].line_graph)


def test_reversed_graphs_are_joined():
    graphs = [data_of(name, BUILT["reversed"]) for name in MAKES]
    batch = next(iter(DataLoader(graphs, batch_size=4)))
    joined = LineGraph.from_data(batch)
    assert joined.is_reversed and joined.edge_index.equal(batch.edge_index)


def test_pairs_that_were_chosen_stay_chosen():
    edge_index = torch.tensor([[0, 1, 1], [1, 2, 3]])
    some, all_of_them = LineGraph(edge_index, pairs=torch.tensor([[0], [2]])), LineGraph(edge_index)
    assert LineGraph.union([some, all_of_them]).pairs.tolist() == [[0, 3, 3], [2, 4, 5]]
    assert LineGraph.union([some]).num_pairs == 1


@pytest.mark.parametrize(
    ("graphs", "error", "words"),
    [
        (lambda one: [], ValueError, "no line graphs"),
        (lambda one: [one, None], TypeError, "item 1 must be a plstm_graph.LineGraph, got NoneType"),
        (lambda one: [one, one.edge_index], TypeError, "item 1 .* got Tensor"),
        (lambda one: [one, one.reverse()], ValueError, "some of the line graphs are reversed and some are not"),
        (lambda one: [one, one.to_multitree()], ValueError, "line graph 1 is cut to a multitree"),
        (lambda one: [one, one.to("meta")], ValueError, "several devices: cpu, meta"),
    ],
)
def test_what_cannot_be_joined(graphs, error, words):
    with pytest.raises(error, match=words):
        LineGraph.union(graphs(LineGraph(MAKES["random"]())))


def test_a_graph_that_was_changed_after_its_line_graph_was_attached():
    data = data_of("random")
    data.edge_index = data.edge_index[:, :-1]
    with pytest.raises(ValueError, match="the line graph is of other edges"):
        LineGraph.from_data(data)
    data = data_of("random")
    data.x = torch.zeros(3, 4)
    with pytest.raises(ValueError, match="the graph has 3 nodes, but its line graph"):
        LineGraph.from_data(data)


class _Stored(InMemoryDataset):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.load(path)


def test_data_sets_in_memory_store_them(tmp_path):
    graphs = [data_of(name, BUILT["usual"]) for name in MAKES]
    InMemoryDataset.save(graphs, str(tmp_path / "data.pt"))
    torch.load(tmp_path / "data.pt", weights_only=True)
    for one, other in zip(graphs, _Stored(str(tmp_path / "data.pt")), strict=True):
        same(LineGraph.from_data(other), one.line_graph)
