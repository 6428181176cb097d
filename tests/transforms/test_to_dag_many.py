"""ToDAG on many graphs at once: what each of them gets is what it gets alone."""

import pytest
import torch
from torch_geometric.data import Data

from plstm_graph.datasets import ChEMBL2321810, smiles_to_data
from plstm_graph.transforms import ToDAG

ORIENTATIONS = ["auto", "numbering", "centre", "depth_first", "canonical"]


def assert_same(graphs, expected):
    assert len(graphs) == len(expected)
    for graph, other in zip(graphs, expected, strict=True):
        assert graph.keys() == other.keys()  # in their order, too
        for key in graph.keys():
            value = graph[key]
            same = torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
            assert same, key


@pytest.fixture(scope="module")
def molecules(tmp_path_factory):
    few = [smiles_to_data(smiles) for smiles in ("C", "[Na+].[Cl-]", "C1CC2CC1CC2.CCO", "c1ccc2cc3ccccc3cc2c1")]
    return [*few, *ChEMBL2321810(tmp_path_factory.mktemp("many"))[:60]]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("multitree", [True, False])
def test_molecules(molecules, orientation, multitree):
    transform = ToDAG(orientation, multitree)
    assert_same(transform._together(molecules), [transform(data) for data in molecules])
    assert "level" not in molecules[0]


@pytest.mark.parametrize("orientation", ["auto", "keep"])
def test_dags_without_ranks_keep_their_directions(orientation):
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for num_nodes in (1, 5, 12, 30):
        ends = torch.randint(num_nodes, (2, 3 * num_nodes), generator=generator)
        edge_index = ends.sort(dim=0).values[:, ends[0] != ends[1]]
        graphs.append(Data(edge_index=edge_index, edge_attr=torch.rand(edge_index.size(1), 2), num_nodes=num_nodes))
    transform = ToDAG(orientation)
    assert_same(transform._together(graphs), [transform(data) for data in graphs])


def test_graphs_of_several_kinds_and_faulty_ones_are_taken_one_by_one():
    undirected = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    directed = Data(edge_index=torch.tensor([[1], [0]]), num_nodes=2)
    with pytest.raises(ValueError, match="some are not"):
        ToDAG()._together([undirected, directed])
    assert_same(ToDAG().many([undirected, directed]), [ToDAG()(undirected), ToDAG()(directed)])
    ranked = smiles_to_data("CCO")
    assert_same(ToDAG().many([undirected, ranked]), [ToDAG()(undirected), ToDAG()(ranked)])
    loop = Data(edge_index=torch.tensor([[0, 2], [1, 2]]), num_nodes=3)
    with pytest.raises(ValueError, match=r"cycle of 1 node"):
        ToDAG("keep").many([directed, loop])
    short = Data(edge_index=undirected.edge_index, num_nodes=2, canonical_rank=torch.tensor([0]))
    with pytest.raises(ValueError, match=r"canonical_rank must be \[N\] = \[2\], got \[1\]"):
        ToDAG("centre").many([short, short])
    own = Data(edge_index=directed.edge_index, num_nodes=2, level=torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="attribute 'level' of its own"):
        ToDAG().many([directed, own])
    assert ToDAG().many([]) == []
