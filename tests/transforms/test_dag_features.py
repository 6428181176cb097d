import pytest
import torch
from torch_geometric.data import Batch, Data

from plstm_graph.graph import CycleError
from plstm_graph.transforms import AddDAGLevels, TransitiveClosure, TransitiveReduction

# 0 -> 1 -> 2 -> 3, with shortcuts 0 -> 2 and 0 -> 3, and node 4 alone.
_EDGES = torch.tensor([[0, 0, 1, 0, 2], [1, 2, 2, 3, 3]])


def _data(**more):
    return Data(edge_index=_EDGES, num_nodes=5, **more)


def test_levels_and_heights_are_appended():
    data = AddDAGLevels()(_data(x=torch.ones(5, 1)))
    third = 1 / 3
    expected = [[1, 0, 1], [1, third, 2 * third], [1, 2 * third, third], [1, 1, 0], [1, 0, 0]]
    torch.testing.assert_close(data.x, torch.tensor(expected))
    assert AddDAGLevels(normalize=False)(_data()).x.tolist() == [[0, 3], [1, 2], [2, 1], [3, 0], [0, 0]]
    assert AddDAGLevels("place")(_data(x=torch.ones(5, 1, dtype=torch.long))).place.shape == (5, 2)
    with pytest.raises(ValueError, match="store it apart by attr_name"):
        AddDAGLevels()(_data(x=torch.ones(5, 1, dtype=torch.long)))


def test_reduction_keeps_features_with_their_edges():
    data = TransitiveReduction()(_data(edge_attr=torch.arange(5.0).view(-1, 1)))
    assert data.edge_index.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert data.edge_attr.view(-1).tolist() == [0, 2, 4]
    assert data.num_nodes == 5


def test_closure_is_batched():
    data = TransitiveClosure()(_data())
    assert data.ancestor_edge_index.tolist() == [[0, 0, 1, 0, 1, 2], [1, 2, 2, 3, 3, 3]]
    batch = Batch.from_data_list([data, data])
    assert batch.ancestor_edge_index[:, 6:].tolist() == (data.ancestor_edge_index + 5).tolist()
    with pytest.raises(ValueError, match="must end in 'edge_index'"):
        TransitiveClosure("ancestors")


@pytest.mark.parametrize("transform", [AddDAGLevels(), TransitiveReduction(), TransitiveClosure()])
def test_cycles_and_graphs_without_edges(transform):
    with pytest.raises(CycleError):
        transform(Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2))
    with pytest.raises(ValueError, match="the graph has no edge_index"):
        transform(Data(x=torch.ones(2, 1)))
    assert transform(Data(edge_index=_EDGES[:, :0], num_nodes=0)).num_nodes == 0
