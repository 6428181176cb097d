"""Edges as nodes: paths, structure, features, targets and every other attribute; what cannot be told is an error."""

import numpy as np
import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader

from plstm_graph import PLSTM
from plstm_graph.datasets import smiles_to_data
from plstm_graph.graph import CycleError, LineGraph, ancestors, longest_path_levels
from plstm_graph.graph.checksum import dag_checksum
from plstm_graph.nn.encoders import OGB_DIMS
from plstm_graph.testing import random_dag
from plstm_graph.transforms import SubdivideEdges, ToDAG

# 0 -> 1 -> 2 -> 3, with a shortcut 0 -> 3 given twice and node 4 alone: five nodes, six edges.
EDGES = torch.tensor([[0, 0, 1, 2, 0, 1], [1, 3, 2, 3, 3, 3]])
N, E = 5, 6


def graph(**attributes) -> Data:
    return Data(edge_index=EDGES.clone(), num_nodes=N, **attributes)


def random_graph(seed: int, nodes: int = 9, edges: int = 16) -> Data:
    generator = torch.Generator().manual_seed(seed)
    return Data(
        x=torch.randint(4, (nodes, 2), generator=generator),
        edge_index=random_dag(nodes, edges, generator),
        edge_attr=torch.randint(3, (edges, 1), generator=generator),
        y=torch.rand(1, 1, generator=generator),
    )


def test_every_edge_lies_between_its_ends():
    data = SubdivideEdges()(graph())
    assert data.num_nodes == N + E and data.num_edges == 2 * E
    assert data.is_edge.tolist() == [False] * N + [True] * E
    halves = data.edge_index.t().tolist()
    for edge, (start, end) in enumerate(EDGES.t().tolist()):
        assert [start, N + edge] in halves and [N + edge, end] in halves
    assert data.x.tolist() == [[0]] * N + [[1]] * E
    assert graph().num_nodes == N, "the graph itself stays as it was"


@pytest.mark.parametrize("seed", range(4))
def test_the_same_nodes_reach_each_other(seed):
    before = random_graph(seed)
    after = SubdivideEdges()(before)
    for node in range(before.num_nodes):
        expected = ancestors(before.edge_index, before.num_nodes, node)
        assert torch.equal(ancestors(after.edge_index, after.num_nodes, node)[: before.num_nodes], expected)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("multitree", [True, False])
def test_what_to_dag_attached_is_that_of_the_new_graph(seed, multitree):
    before = ToDAG("keep", multitree)(random_graph(seed, 9, 4 * seed))
    after = SubdivideEdges()(before)
    assert torch.equal(after.level, longest_path_levels(after.edge_index, after.num_nodes))
    assert torch.equal(after.dag_checksum, dag_checksum(after.edge_index, after.num_nodes))
    line_graph = LineGraph.from_data(after)
    assert ("kept_pairs" in after) == multitree
    if multitree:
        # A path between edges of before is one between their second halves: at most one, and the same ones.
        e = before.num_edges
        reach = LineGraph.from_data(before).to_multitree().ancestry
        halves = line_graph.to_multitree()
        counts = paths_between_edges(halves)
        assert int(counts.max(initial=0)) <= 1
        assert int((counts[e:, e:] > 0).sum()) == reach.num_entries


def paths_between_edges(line_graph: LineGraph) -> np.ndarray:
    """Number of paths from each edge to each, itself included, ``[E, E]``."""
    step = np.zeros((line_graph.num_edges,) * 2, dtype=np.int64)
    np.add.at(step, tuple(line_graph.pairs.numpy()), 1)
    total = power = np.eye(len(step), dtype=np.int64)
    for _ in range(len(step)):
        power = power @ step
        total = total + power
    return total


def test_a_graph_that_changed_after_to_dag_is_refused():
    data = ToDAG()(random_graph(0))
    data.edge_index = data.edge_index.flip(1)
    with pytest.raises(ValueError, match="changed after ToDAG"):
        SubdivideEdges()(data)
    data = ToDAG()(random_graph(0))
    del data.dag_checksum
    with pytest.raises(ValueError, match="kept_pairs, but no dag_checksum"):
        SubdivideEdges()(data)
    subdivided = SubdivideEdges()(ToDAG()(random_graph(0)))
    with pytest.raises(ValueError, match="changed after ToDAG"):
        LineGraph.from_data(subdivided.sort())


@pytest.mark.parametrize(
    ("x", "edge_attr", "dtype", "sizes"),
    [
        (torch.rand(N, 3), torch.rand(E, 2), torch.float, (3, 2)),
        (torch.rand(N, 3).double(), torch.rand(E), torch.double, (3, 1)),
        (torch.randint(4, (N, 2)), torch.randint(5, (E, 1)), torch.long, ([4, 4], [5])),
        (torch.randint(4, (N,)), torch.rand(E, 2), torch.float, ([4], 2)),
        (torch.rand(N, 2), torch.randint(5, (E, 2)), torch.float, (2, [5, 5])),
        (torch.rand(N, 2), None, torch.float, (2, None)),
        (torch.randint(4, (N, 1)).to(torch.uint8), None, torch.long, ([4], None)),
        (None, torch.randint(2, (E, 2)).bool(), torch.long, (0, [2, 2])),
        (None, torch.rand(E, 2), torch.float, (0, 2)),
        (None, None, torch.long, (0, None)),
    ],
)
def test_features_lie_in_columns_of_their_own_and_sizes_fit_a_model(x, edge_attr, dtype, sizes):
    data = SubdivideEdges()(graph(x=x, edge_attr=edge_attr))
    assert data.x.dtype == dtype and data.edge_attr is None
    nodes = torch.zeros(N, 0) if x is None else x.view(N, -1)
    edges = torch.zeros(E, 0) if edge_attr is None else edge_attr.view(E, -1)
    f, d = nodes.size(1), edges.size(1)
    assert data.x.shape == (N + E, f + d + 1)
    assert torch.equal(data.x[:N, :f], nodes.to(dtype)) and torch.equal(data.x[N:, f : f + d], edges.to(dtype))
    assert not data.x[:N, f:].any() and not data.x[N:, :f].any() and (data.x[N:, -1] == 1).all()
    in_channels, edge_dim = SubdivideEdges.sizes(*sizes)
    model = PLSTM(in_channels, 8, 1, 1, edge_dim=edge_dim).to(dtype if dtype.is_floating_point else torch.float)
    assert model(data.x, data.edge_index).isfinite().all()


def test_sizes_of_molecules_are_written_out():
    assert SubdivideEdges.sizes(OGB_DIMS["atom"], OGB_DIMS["bond"]) == ([*OGB_DIMS["atom"], *OGB_DIMS["bond"], 2], None)
    with pytest.raises(ValueError, match="OGB_DIMS"):
        SubdivideEdges.sizes("atom", "bond")


@pytest.mark.parametrize("as_one", [lambda step: T.Compose([ToDAG(), step]), lambda step: T.Compose([step, ToDAG()])])
def test_before_and_after_to_dag_in_batches(as_one):
    graphs = [random_graph(seed, 3 + seed, 2 * seed) for seed in range(5)]
    transform = as_one(SubdivideEdges(target_level="graph"))
    after = [transform(each) for each in graphs]
    sizes = SubdivideEdges.sizes([4, 4], [3])
    torch.manual_seed(0)
    model = PLSTM(sizes[0], 8, 1, 1, edge_dim=sizes[1]).double()
    batch = next(iter(DataLoader(after, batch_size=5)))
    out = model(batch.x, batch.edge_index, batch=batch.batch, line_graph=LineGraph.from_data(batch), batch_size=5)
    single = torch.cat([model(each.x, each.edge_index, line_graph=LineGraph.from_data(each)) for each in after])
    torch.testing.assert_close(out, single)
    assert batch.is_edge.sum() == sum(each.num_edges for each in graphs)


def test_molecules():
    transform = T.Compose([ToDAG(), SubdivideEdges()])
    for smiles in ("C", "CCO", "c1ccccc1", "[Na+].[Cl-]"):
        before, data = ToDAG()(smiles_to_data(smiles)), transform(smiles_to_data(smiles))
        assert data.num_nodes == before.num_nodes + before.num_edges and data.smiles == smiles
        start, end = data.edge_index
        level = LineGraph.from_data(data).level
        assert (level[start] < level[end]).all()
        # The rank of an edge lies between those of its ends, whichever is larger.
        node = data.canonical_rank[: before.num_nodes]
        assert torch.equal(node, 2 * before.canonical_rank)
        ends = node[before.edge_index]
        between = data.canonical_rank[before.num_nodes :]
        assert (ends.min(dim=0).values < between).all() and (between < ends.max(dim=0).values).all()


def test_targets_of_nodes():
    y = torch.rand(N, 2)
    data = SubdivideEdges()(graph(y=y, train_mask=torch.arange(N) > 2))
    assert torch.equal(data.y[:N], y) and data.y[N:].isnan().all()
    assert data.train_mask.tolist() == [False] * 3 + [True] * 2 + [False] * E
    assert torch.equal(data.y[~data.is_edge], y)
    classes = SubdivideEdges()(graph(y=torch.arange(N)))
    assert classes.y.tolist() == [*range(N), *[-100] * E]
    scores = torch.randn(N + E, N)
    torch.testing.assert_close(
        torch.nn.functional.cross_entropy(scores, classes.y),
        torch.nn.functional.cross_entropy(scores[~classes.is_edge], torch.arange(N)),
    )


def test_targets_of_edges_and_of_graphs():
    y = torch.rand(E, 1)
    data = SubdivideEdges()(graph(y=y, train_mask=torch.arange(E) > 2))
    assert data.y[:N].isnan().all() and torch.equal(data.y[data.is_edge], y)
    assert data.train_mask.tolist() == [False] * (N + 3) + [True] * 3
    for y in (torch.rand(1), torch.rand(1, N), torch.tensor(3.0), 7):
        assert SubdivideEdges()(graph(y=y)).y is y
    y = torch.rand(N)
    assert SubdivideEdges("graph")(graph(y=y)).y is y


def test_targets_that_could_be_of_several_are_an_error():
    as_many = Data(edge_index=torch.tensor([[0, 0, 1], [1, 2, 2]]), num_nodes=3)
    for data, y in ((as_many, torch.rand(3, 2)), (graph(), torch.rand(7))):
        data.y = y
        with pytest.raises(ValueError, match="does not tell what y is of: give SubdivideEdges target_level"):
            SubdivideEdges()(data)
    single = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2, y=torch.rand(1))
    with pytest.raises(ValueError, match="y has 1 rows, the graph 2 nodes and 1 edges"):
        SubdivideEdges()(single)
    assert SubdivideEdges("edge")(single).y.isnan().tolist() == [True, True, False]
    as_many.y = torch.rand(3)
    assert SubdivideEdges("node")(as_many).y.isnan().tolist() == [False] * 3 + [True] * 3
    assert SubdivideEdges("edge")(as_many).y.isnan().tolist() == [True] * 3 + [False] * 3
    with pytest.raises(ValueError, match="y has 7 rows, but the graph has 5 nodes to predict"):
        SubdivideEdges("node")(graph(y=torch.rand(7)))
    with pytest.raises(TypeError, match="y is bool, in which no value can say that there is none"):
        SubdivideEdges("node")(graph(y=torch.rand(N) > 0.5))
    with pytest.raises(ValueError, match="target_level must be one of 'auto'"):
        SubdivideEdges("nodes")


def test_a_graph_without_edges_stays():
    for y in (torch.rand(1, 2), torch.rand(3)):
        data = SubdivideEdges()(Data(x=torch.rand(3, 2), edge_index=EDGES[:, :0], y=y))
        assert data.num_nodes == 3 and torch.equal(data.y, y) and not data.is_edge.any()
    assert SubdivideEdges()(Data(edge_index=EDGES[:, :0], num_nodes=0)).x.shape == (0, 1)


def test_positions_names_and_other_attributes():
    data = SubdivideEdges()(
        graph(
            pos=torch.arange(2.0 * N).view(N, 2),
            node_id=list("abcde"),
            node_colour=torch.arange(N),
            node_array=np.arange(2.0 * N).reshape(N, 2),
            random_walk_pe=torch.rand(N, 4),
            edge_weight=torch.arange(E),
            edge_names=tuple("uvwxyz"),
            edge_label_index=torch.tensor([[0, 1], [2, 3]]),
            edge_label=torch.rand(2),
            graph_scale=torch.rand(N),
            descriptor=torch.rand(1, 7),
            val_mask=None,
            name="abcde",
        )
    )
    assert data.pos[N:].tolist() == [(data.pos[u] + data.pos[v]).div(2).tolist() for u, v in EDGES.t().tolist()]
    assert data.node_id[N:] == [f"{'abcde'[u]} -> {'abcde'[v]}" for u, v in EDGES.t().tolist()]
    assert data.node_colour.tolist() == [*range(N), *[0] * E]
    assert data.node_array.shape == (N + E, 2) and not data.node_array[N:].any()
    assert data.random_walk_pe.shape == (N + E, 4) and not data.random_walk_pe[N:].any()
    assert data.edge_weight.tolist() == [*range(E), *range(E)]
    assert data.edge_names == tuple("uvwxyzuvwxyz")
    assert data.edge_label_index.tolist() == [[0, 1], [2, 3]] and data.edge_label.shape == (2,)
    assert data.graph_scale.shape == (N,) and data.descriptor.shape == (1, 7) and data.name == "abcde"


@pytest.mark.parametrize("rows", [N, E])
@pytest.mark.parametrize("name", ["colour", "capacity", "w"])
def test_a_name_that_does_not_tell_is_an_error(name, rows):
    data = graph(**{name: torch.rand(rows)})
    with pytest.raises(ValueError, match=rf"data\.{name} has {rows} entries, the graph 5 nodes and 6 edges, and its"):
        SubdivideEdges()(data)
    keys = {"node_keys" if rows == N else "edge_keys": [name]}
    assert SubdivideEdges(**keys)(data)[name].shape == (N + E if rows == N else 2 * E,)
    with pytest.raises(ValueError, match=f"_keys names data.{name}, which has {rows} entries for"):
        SubdivideEdges(**{"node_keys" if rows == E else "edge_keys": [name]})(data)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": torch.rand(N + 1, 2)}, ValueError, r"x must be \[5, F\]"),
        ({"x": torch.rand(N, 2, 2)}, ValueError, r"x must be \[5, F\]"),
        ({"edge_attr": torch.rand(E - 1, 2)}, ValueError, r"edge_attr must be \[6, F\]"),
        ({"x": torch.eye(N).to_sparse()}, TypeError, "x must be a dense tensor of real numbers"),
        ({"edge_attr": torch.zeros(E, 1, dtype=torch.complex64)}, TypeError, "edge_attr must be a dense tensor"),
        ({"x": torch.rand(N, 1), "edge_attr": torch.full((E,), 2**25)}, ValueError, "the category 33554432"),
        ({"is_edge": torch.zeros(N)}, ValueError, "'is_edge': it was subdivided already"),
        ({"edge_index": None}, ValueError, "has no edge_index"),
        ({"edge_index": torch.tensor([[0, 1], [1, 0]])}, CycleError, "0 -> 1|1 -> 0"),
        ({"edge_index": torch.tensor([[0, 9], [1, 0]])}, ValueError, "9"),
    ],
)
def test_bad_graphs_are_named(change, error, message):
    data = graph()
    for name, value in change.items():
        data[name] = value
    with pytest.raises(error, match=message):
        SubdivideEdges()(data)


def test_it_takes_single_graphs_once():
    data = SubdivideEdges()(graph())
    with pytest.raises(ValueError, match="subdivided already"):
        SubdivideEdges()(data)
    with pytest.raises(TypeError, match="single graphs, not batches"):
        SubdivideEdges()(Batch.from_data_list([graph()]))
    with pytest.raises(TypeError, match="got HeteroData"):
        SubdivideEdges()(HeteroData())
    assert repr(SubdivideEdges()) == "SubdivideEdges(target_level='auto')"


def test_edges_enter_states():
    """A node reads the feature of an edge that lies far behind it, though keys and values are of nodes only."""
    data = ToDAG()(Data(x=torch.zeros(9, 1), edge_index=torch.stack([torch.arange(8), torch.arange(1, 9)])))
    data.edge_attr = torch.zeros(8, 1).index_fill_(0, torch.tensor([0]), 1.0)
    torch.manual_seed(0)
    model = PLSTM(SubdivideEdges.sizes(1, 1)[0], 8, 1, 1, degree=False, predict="node")
    x = SubdivideEdges()(data).x.requires_grad_()
    out = model(x, SubdivideEdges()(data).edge_index)
    assert torch.autograd.grad(out[8].sum(), x)[0][9, 1] != 0  # the feature of the first edge
