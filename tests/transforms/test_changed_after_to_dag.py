"""Whatever changes a graph after ToDAG gives the right result or an error that says so."""

import copy
import pickle

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.loader import DataLoader

from plstm_graph import PLSTMConv
from plstm_graph.datasets import smiles_to_data
from plstm_graph.graph import LineGraph
from plstm_graph.testing import random_dag
from plstm_graph.transforms import GridToDAG, ToDAG, TransitiveReduction

CHANGED = "changed after ToDAG"


def random_graph(seed: int, num_nodes: int = 9, num_edges: int = 20) -> Data:
    edge_index = random_dag(num_nodes, num_edges, torch.Generator().manual_seed(seed))
    features = torch.Generator().manual_seed(seed)
    return Data(
        x=torch.randn(num_nodes, 6, generator=features, dtype=torch.double),
        edge_index=edge_index,
        edge_attr=torch.randn(num_edges, 2, generator=features, dtype=torch.double),
    )


def renumbered(data: Data) -> Data:
    number = torch.arange(data.num_nodes).flip(0)
    data.edge_index = number[data.edge_index]
    data.x, data.level = data.x.flip(0), data.level.flip(0)
    return data


def assigned(data: Data, edge_index: torch.Tensor) -> Data:
    data.edge_index = edge_index
    return data


def edited(data: Data, edit) -> Data:
    edit(data.edge_index)
    return data


CHANGES = {
    "coalesce": lambda data: data.coalesce(),
    "sort": lambda data: data.sort(sort_by_row=False),
    "edge_subgraph": lambda data: data.edge_subgraph(torch.arange(data.num_edges - 1)),
    "edges permuted": lambda data: data.edge_subgraph(torch.arange(data.num_edges).flip(0)),
    "subgraph": lambda data: data.subgraph(torch.arange(data.num_nodes) > 1),
    "self-loops": T.AddSelfLoops(attr="edge_attr"),
    "undirected": T.ToUndirected(),
    "duplicates": T.RemoveDuplicatedEdges(),
    "virtual node": T.VirtualNode(),
    "isolated nodes": T.RemoveIsolatedNodes(),
    "largest component": T.LargestConnectedComponents(),
    "link split": lambda data: T.RandomLinkSplit(num_val=0.2, num_test=0.2)(data)[0],
    "padding": T.Pad(max_num_nodes=30, max_num_edges=60),
    "line graph": T.LineGraph(),
    "transitive reduction": TransitiveReduction(),
    "columns assigned": lambda data: assigned(data, data.edge_index[:, torch.arange(data.num_edges).flip(0)]),
    "edge appended": lambda data: assigned(data, torch.cat([data.edge_index, data.edge_index[:, :1]], dim=1)),
    "all edges dropped": lambda data: assigned(data, data.edge_index[:, :0]),
    "directions flipped": lambda data: assigned(data, data.edge_index.flip(0)),
    "edited in place": lambda data: edited(data, lambda edges: edges.copy_(edges.flip(1))),
    "two edges swapped in place": lambda data: edited(data, lambda edges: edges[:, :2].copy_(edges[:, :2].flip(1))),
    "nodes renumbered": renumbered,
    "node added": lambda data: data.update({"num_nodes": data.num_nodes + 1}),
}

UNCHANGED = {
    "clone": lambda data: data.clone(),
    "deep copy": copy.deepcopy,
    "pickle": lambda data: pickle.loads(pickle.dumps(data)),
    "device": lambda data: data.to("cpu"),
    "contiguous": lambda data: data.contiguous(),
    "split of nodes": T.RandomNodeSplit(num_val=1, num_test=1),
    "features": T.NormalizeFeatures(),
    "no self-loops": T.RemoveSelfLoops(),
    "all nodes": lambda data: data.subgraph(torch.arange(data.num_nodes)),
    "all edges": lambda data: data.edge_subgraph(torch.arange(data.num_edges)),
}


def assert_right(data: Data) -> None:
    """Layers on the structure attached give what they give on one made anew."""
    line_graph = LineGraph.from_data(data)
    for mode in ("P", "D"):
        conv = PLSTMConv(6, 4, heads=2, mode=mode, edge_dim=2).double()
        expected = conv(data.x, data.edge_index, data.edge_attr)
        actual = conv(data.x, data.edge_index, data.edge_attr, line_graph=line_graph)
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)  # sums may come in another order


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_graphs_are_refused(change, seed):
    data = ToDAG()(random_graph(seed))
    before, count = data.edge_index.clone(), data.num_nodes
    data = change(data)
    if data.num_nodes == count and torch.equal(data.edge_index, before):
        assert_right(data)  # there was nothing to change
        return
    for changed in (data, Batch.from_data_list([data, data])):
        with pytest.raises(ValueError, match=f"{CHANGED}.*apply ToDAG last"):
            LineGraph.from_data(changed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("keep", UNCHANGED.values(), ids=UNCHANGED)
def test_unchanged_graphs_are_accepted(keep, seed):
    dag = keep(ToDAG()(random_graph(seed)))
    assert_right(dag)
    assert_right(Batch.from_data_list([dag, keep(ToDAG()(random_graph(seed + 10, 5, 7)))]))


def test_many_random_dags_coalesced():
    raised = 0
    for seed in range(100):
        data = ToDAG()(random_graph(seed, num_nodes=6, num_edges=8))
        before = data.edge_index
        data = data.coalesce()
        if torch.equal(data.edge_index, before):
            assert_right(data)
        else:
            raised += 1
            with pytest.raises(ValueError, match=CHANGED):
                LineGraph.from_data(data)
    assert 10 < raised


def test_the_graph_of_a_batch_is_named():
    dags = [ToDAG()(random_graph(seed, 6, 8)) for seed in range(4)]
    dags[2].edge_index = dags[2].edge_index.flip(1)
    with pytest.raises(ValueError, match=r"changed after ToDAG \(graph 2 of the batch\)"):
        LineGraph.from_data(Batch.from_data_list(dags))


def batch_of(*sizes: tuple[int, int]) -> Batch:
    return Batch.from_data_list([ToDAG()(random_graph(seed, *size)) for seed, size in enumerate(sizes)])


@pytest.mark.parametrize(
    "change",
    [
        lambda batch: batch.coalesce(),
        lambda batch: assigned(batch, batch.edge_index.flip(1)),
        lambda batch: assigned(batch, batch.edge_index.roll(8, dims=1)),
        lambda batch: batch.subgraph(torch.arange(batch.num_nodes) > 6),
        lambda batch: edited(batch, lambda edges: edges.copy_(edges.flip(1))),
    ],
)
def test_changed_batches_are_refused(change):
    with pytest.raises(ValueError, match=CHANGED):
        LineGraph.from_data(change(batch_of((6, 8), (6, 8), (7, 12))))


def test_batches_of_all_kinds_are_accepted():
    dags = [ToDAG()(random_graph(seed, 4 + seed, 3 + 2 * seed)) for seed in range(5)]
    dags.insert(2, ToDAG()(random_graph(0, 3, 0)))
    dags.append(ToDAG()(random_graph(0, 2, 1)))
    loader = DataLoader(dags, batch_size=4, shuffle=True, follow_batch=["x", "kept_pairs", "dag_checksum"])
    for batch in loader:
        assert_right(batch)
        for single in batch.to_data_list():
            assert_right(single)
        assert_right(Batch.from_data_list(batch.to_data_list()[::-1]))
        assert_right(pickle.loads(pickle.dumps(batch)))
    assert_right(Batch.from_data_list([Batch.from_data_list(dags[:3]), Batch.from_data_list(dags[3:])]))
    assert_right(batch.index_select([0]) and Batch.from_data_list(batch.index_select([0])))
    del batch.ptr, batch.batch
    assert_right(batch)
    assert_right(Batch.from_data_list([ToDAG()(random_graph(0, 1, 0))] * 3))


def test_slices_of_data_sets_are_accepted(tmp_path):
    class Graphs(InMemoryDataset):
        def __init__(self, root):
            super().__init__(root)
            self.data, self.slices = self.collate([ToDAG()(random_graph(seed, 5, 7)) for seed in range(6)])

    dataset = Graphs(str(tmp_path))
    assert_right(dataset[1])
    assert_right(Batch.from_data_list(list(dataset[torch.tensor([4, 2, 2])])))
    assert_right(next(iter(DataLoader(dataset[1:4], batch_size=3))))


def test_changed_and_then_to_dag_again_is_right():
    for change in ("coalesce", "self-loops", "nodes renumbered", "link split"):
        data = CHANGES[change](ToDAG()(random_graph(1)))
        if change == "self-loops":
            data = T.RemoveSelfLoops(attr="edge_attr")(data)
        assert_right(ToDAG()(data))


@pytest.mark.parametrize("damage", [lambda c: c[:0], lambda c: c[:, :2], lambda c: c.float(), lambda c: c.view(-1)])
def test_a_damaged_checksum_is_refused(damage):
    data = ToDAG()(random_graph(0))
    data.dag_checksum = damage(data.dag_checksum)
    with pytest.raises(ValueError, match="changed"):
        LineGraph.from_data(data)


def test_cuts_without_a_checksum_are_refused_and_levels_are_found_anew():
    data = ToDAG()(random_graph(0))
    del data.dag_checksum
    with pytest.raises(ValueError, match="kept_pairs, but no dag_checksum"):
        LineGraph.from_data(data)
    del data.kept_pairs
    data.level = data.level * 0  # a feature of the user's own, say
    assert_right(data)


@pytest.mark.parametrize("name", ["level", "kept_pairs"])
def test_an_attribute_of_the_users_own_is_not_overwritten(name):
    data = random_graph(0)
    data[name] = torch.rand(9)
    with pytest.raises(ValueError, match=f"attribute '{name}' of its own"):
        ToDAG()(data)


def test_grids_are_checked_and_independent_of_each_other():
    first = GridToDAG(2)(torch.rand(1, 8, 6))
    first.edge_index.copy_(first.edge_index.flip(1))
    with pytest.raises(ValueError, match=CHANGED):
        LineGraph.from_data(first)
    assert LineGraph.from_data(GridToDAG(2)(torch.rand(1, 8, 6))).num_edges == first.num_edges


def test_molecules_after_to_dag():
    batch = Batch.from_data_list([ToDAG()(smiles_to_data(s)) for s in ("C", "CCO", "c1ccccc1", "[Na+].[Cl-]")])
    assert LineGraph.from_data(batch).num_nodes == batch.num_nodes
    with pytest.raises(ValueError, match=CHANGED):
        LineGraph.from_data(batch.sort())
