"""Graphs of other kinds are refused by words that say what was given and what to do."""

import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.data import Data, HeteroData

from plstm_graph import PLSTM, PLSTMConv
from plstm_graph.nn.baselines import DirectedGIN, LevelGRU

X, EDGES = torch.randn(4, 5), torch.tensor([[0, 0, 1, 2], [1, 2, 3, 3]])
SPARSE, HETERO = torch.eye(4), HeteroData()
HETERO["a"].x = X
KINDS = {
    "conv": lambda: PLSTMConv(5, 8),
    "conv, D": lambda: PLSTMConv(5, 8, mode="D", flow="target_to_source"),
    "model": lambda: PLSTM(5, 8, 1, 1),
    "model of modes M and G": lambda: PLSTM(5, 8, 1, 1, modes="MG"),
    "level GRU": lambda: LevelGRU(5, 8, 1, 1),
    "GIN": lambda: DirectedGIN(5, 8, 1, 1),
}
CASES = {
    "bipartite": ((X, X), EDGES, r"x is a tuple of 2, as of bipartite graphs.*one x \[N, F\]"),
    "bipartite, one side": ((X, None), EDGES, "x is a tuple of 2, as of bipartite graphs"),
    "list": ([X, X], EDGES, "x is a list of 2, as of bipartite graphs"),
    "nodes of types": ({"a": X, "b": X}, EDGES, r"x is a dict, as of heterogeneous graphs.*to_homogeneous\(\)"),
    "edges of types": (X, {("a", "to", "a"): EDGES}, r"edge_index is a dict.*to_homogeneous\(\)"),
    "coo": (X, SPARSE.to_sparse, r"sparse matrix \(torch.sparse_coo\).*to_edge_index\(adj\)"),
    "csr": (X, SPARSE.to_sparse_csr, r"sparse matrix \(torch.sparse_csr\)"),
    "csc": (X, SPARSE.to_sparse_csc, r"sparse matrix \(torch.sparse_csc\)"),
    "whole graph": (Data(x=X, edge_index=EDGES), EDGES, "x is a Data; give its parts"),
    "whole heterogeneous graph": (HETERO, EDGES, "x is a HeteroData; give its parts"),
    "no features": (None, EDGES, r"x must be a tensor \[N, F\].*got NoneType"),
    "no edges": (X, None, r"edge_index must be a tensor \[2, E\], got NoneType"),
    "list of edges": (X, [[0, 1], [1, 2]], r"edge_index must be a tensor \[2, E\], got list"),
}


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta:UserWarning")
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_another_kind_is_named(kind, case):
    x, edge_index, words = case
    with pytest.raises(TypeError, match=f"(?s){words}"):
        kind()(x, edge_index() if callable(edge_index) else edge_index)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_edge_index_of_pyg_is_one(kind):
    model = kind().eval()
    given = EdgeIndex(EDGES, sparse_size=(4, 4), sort_order="row")
    torch.testing.assert_close(model(X, given), model(X, EDGES))
