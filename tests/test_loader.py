"""Batches that know their line graph: in this process and in others, moved, copied and changed."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader

from plstm_graph import PLSTM, LineGraph
from plstm_graph.graph import random_dag
from plstm_graph.graph.known import remembered
from plstm_graph.loader import DAGBatch, DAGLoader
from plstm_graph.nn import PLSTMConv
from plstm_graph.nn.baselines import LevelGRU
from plstm_graph.transforms import ToDAG

SIZES = [(6, 9), (1, 0), (11, 20), (4, 3), (9, 12)]


def graph(nodes: int, edges: int, seed: int = 0) -> Data:
    draw = torch.Generator().manual_seed(seed)
    return Data(
        x=torch.randn(nodes, 5, generator=draw),
        edge_index=random_dag(nodes, edges, generator=draw),
        edge_attr=torch.randn(edges, 3, generator=draw),
        y=torch.zeros(1),
    )


def with_line_graph(data: Data) -> Data:
    data.line_graph = LineGraph.from_data(data)
    return data


GRAPHS = {
    "plain": lambda: [graph(*size) for size in SIZES],
    "after ToDAG": lambda: [ToDAG()(graph(*size)) for size in SIZES],
    "with line graphs": lambda: [with_line_graph(graph(*size)) for size in SIZES],
    "with cut line graphs": lambda: [with_line_graph(ToDAG()(graph(*size))) for size in SIZES],
    "some with line graphs": lambda: [with_line_graph(graph(6, 9)), graph(11, 20), graph(1, 0)],
}


@pytest.fixture
def never_built(monkeypatch):
    """No layer may build a line graph itself."""

    def refuse(*_):
        raise AssertionError("a line graph was built inside the model")

    monkeypatch.setattr(LineGraph, "from_edge_index", refuse)


def run(model, batch, **options):
    return model(batch.x, batch.edge_index, batch.edge_attr, batch=batch.batch, **options)


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("kind", [PLSTM, LevelGRU])
def test_a_model_needs_no_line_graph(make, kind, never_built):
    model, graphs = kind(5, 8, 2, 1, edge_dim=3).eval(), make()
    batches = list(DAGLoader(graphs, batch_size=2))
    assert len(batches) == (len(graphs) + 1) // 2
    plain = [Data(x=each.x, edge_index=each.edge_index, edge_attr=each.edge_attr) for each in graphs]
    for batch, other in zip(batches, DataLoader(plain, batch_size=2), strict=True):
        torch.testing.assert_close(run(model, batch), run(model, other, line_graph=LineGraph.from_data(other)))


def test_layers_of_a_model_of_ones_own(never_built):
    batch = next(iter(DAGLoader(GRAPHS["plain"](), batch_size=5)))
    down, up = PLSTMConv(5, 8, mode="D", edge_dim=3), PLSTMConv(8, 4, edge_dim=3, flow="target_to_source")
    assert up(down(batch.x, batch.edge_index, batch.edge_attr), batch.edge_index, batch.edge_attr).shape == (31, 4)


class Transformed(torch.utils.data.Dataset):
    """A data set whose graphs are oriented when they are asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, row: int) -> Data:
        data = graph(*SIZES[row % len(SIZES)], seed=row)
        data.edge_index = torch.cat([data.edge_index, data.edge_index.flip(0)], dim=1)
        data.edge_attr = torch.cat([data.edge_attr, data.edge_attr])
        return ToDAG()(data)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("options", [{}, {"pin_memory": True}, {"prepare": {"multitree": False, "nodes": True}}])
@pytest.mark.filterwarnings("ignore:.*pin_memory.*no accelerator:UserWarning")
def test_worker_processes(workers, options, never_built):
    model = PLSTM(5, 8, 1, 1, edge_dim=3, modes="PG" if "prepare" in options else "PD").eval()
    loader = DAGLoader(Transformed(7), 3, num_workers=workers, follow_batch=["y"], exclude_keys=["z"], **options)
    batches = list(loader)
    assert [batch.num_graphs for batch in batches] == [3, 3, 1]
    for number, batch in enumerate(batches):
        assert remembered(batch.edge_index) is batch.line_graph and batch.y_batch.numel() == batch.num_graphs
        expected = Batch.from_data_list([loader.dataset[row] for row in range(7)][3 * number : 3 * number + 3])
        out = run(model, expected, line_graph=LineGraph.from_data(expected))
        torch.testing.assert_close(run(model, batch), out)


@pytest.mark.parametrize(
    "change",
    [
        lambda batch: batch.to("cpu"),
        lambda batch: batch.cpu(),
        lambda batch: batch.clone(),
        lambda batch: batch.contiguous(),
        copy.copy,
        copy.deepcopy,
        lambda batch: pickle.loads(pickle.dumps(batch)),
        lambda batch: batch.to("cpu", "x"),
    ],
)
def test_the_line_graph_goes_along(change, never_built):
    model, batch = PLSTM(5, 8, 1, 1, edge_dim=3).eval(), DAGBatch.from_data_list(GRAPHS["after ToDAG"]())
    before = run(model, batch)
    changed = change(batch)
    torch.testing.assert_close(run(model, changed), before)
    assert isinstance(changed, DAGBatch) and remembered(changed.edge_index) is changed.line_graph


def test_other_edges_are_not_taken_for_those_of_the_batch():
    """A new tensor is another graph, and so is one that was changed in place; both are built anew."""
    model, batch = PLSTM(5, 8, 1, 1, edge_dim=3).eval(), DAGBatch.from_data_list([graph(6, 9), graph(11, 20)])
    turned = batch.edge_index.flip(0)
    expected = run(model, batch, line_graph=None)
    assert remembered(turned) is None
    other = model(batch.x, turned, batch.edge_attr, batch=batch.batch)
    assert not torch.allclose(other, expected)
    batch.edge_index.copy_(turned)
    assert remembered(batch.edge_index) is None
    torch.testing.assert_close(run(model, batch), other)
    batch.edge_index = turned
    for moved in (batch.to("cpu"), copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))):
        assert remembered(moved.edge_index) is None
    torch.testing.assert_close(run(model, batch), other)


def test_a_graph_is_kept_no_longer_than_its_batch():
    batch = DAGBatch.from_data_list([graph(6, 9)])
    kept = weakref.ref(batch.line_graph)
    del batch
    gc.collect()
    assert kept() is None


def test_graphs_come_back():
    graphs = GRAPHS["with line graphs"]()
    back = DAGBatch.from_data_list(graphs).to_data_list()
    for one, other in zip(graphs, back, strict=True):
        assert one.edge_index.equal(other.edge_index) and "line_graph" not in other


def test_tuples_of_graphs_are_batched_apart():
    pairs = [(graph(6, 9, seed), graph(4, 3, seed)) for seed in range(3)]
    one, other = next(iter(DAGLoader(pairs, batch_size=3)))
    assert remembered(one.edge_index).num_edges == 27 and remembered(other.edge_index).num_edges == 9


def _cyclic():
    return Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]))


def _changed():
    data = ToDAG()(Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[0, 1], [1, 2]])))
    data.edge_index = data.edge_index.flip(1)
    return data


def _outside():
    return Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[0, 1], [1, 7]]))


def _foreign():
    data = Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[0, 1], [1, 2]]))
    data.line_graph = LineGraph(torch.tensor([[0, 1], [2, 2]]))
    return data


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (_cyclic, "graph 1 of the batch: the graph is not acyclic: .*ToDAG"),
        (_changed, "graph 1 of the batch: .*changed after ToDAG"),
        (_outside, "graph 1 of the batch: .*7"),
        (_foreign, r"graph 1 of the batch: the line graph is of other edges than edge_index: column 0 is \[0, 1\]"),
    ],
)
def test_an_error_says_which_graph(bad, words, workers):
    fine = Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[0, 0], [1, 2]]))
    other = bad()
    if "dag_checksum" in other:
        fine = ToDAG()(fine)
    with pytest.raises(ValueError, match=f"(?s){words}"):
        list(DAGLoader([fine, other], batch_size=2, num_workers=workers))


def test_heterogeneous_graphs_are_named():
    with pytest.raises(TypeError, match=r"graph 0 of the batch is a HeteroData.*to_homogeneous\(\)"):
        list(DAGLoader([HeteroData()], batch_size=1))
