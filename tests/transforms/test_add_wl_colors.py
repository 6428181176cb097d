"""Weisfeiler-Leman colours: the partition that they make, and what they must not depend on."""

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn.conv import WLConv
from torch_geometric.utils import to_undirected

from plstm_graph.nn import PLSTM
from plstm_graph.transforms import AddWLColors, ToDAG

MANY = 2**40  # so many categories that two colours fall together by chance only


def _graph(seed: int, labels: int = 3) -> Data:
    generator = torch.Generator().manual_seed(seed)
    edge_index = to_undirected(torch.randint(0, 12, (2, 16), generator=generator))
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    return Data(x=torch.randint(0, labels, (12, 1), generator=generator), edge_index=edge_index)


def _same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether two colourings make the same partition."""
    return len(torch.stack([first, second], dim=1).unique(dim=0)) == len(first.unique()) == len(second.unique())


@pytest.mark.parametrize("directed", [False, True])
def test_partition_is_that_of_the_refinement(directed):
    batch = Batch.from_data_list([_graph(seed) for seed in range(30)])
    found = AddWLColors(rounds=4, num_colors=MANY, directed=directed)(batch.clone()).x
    assert found.shape == (360, 5) and found[:, :1].equal(batch.x)
    color, refine = batch.x.view(-1), [WLConv() for _ in range(4)]
    for number, conv in enumerate(refine):
        color = conv(color, batch.edge_index)
        assert _same(found[:, number + 1], color)
    assert 30 < len(found[:, 1].unique()) < len(found[:, 2].unique()) < 360


def test_colors_follow_the_nodes_wherever_they_stand():
    graph, order = _graph(1), torch.randperm(12, generator=torch.Generator().manual_seed(2))
    place = torch.empty_like(order)
    place[order] = torch.arange(12)
    edges = torch.randperm(graph.num_edges, generator=torch.Generator().manual_seed(3))
    moved = Data(x=graph.x[order], edge_index=place[graph.edge_index][:, edges])
    color = AddWLColors(3)
    assert color(moved).x.equal(color(graph.clone()).x[order])
    flipped = Data(x=graph.x, edge_index=graph.edge_index.flip(0))
    assert color(flipped).x.equal(color(graph.clone()).x)


def test_what_tells_nodes_apart():
    path = torch.tensor([[0, 1], [1, 2]])
    bonds = torch.tensor([[1], [2]])
    same = torch.ones(3, 1)
    ends = {
        name: AddWLColors(1, 2**20, directed=directed)(Data(x=same, edge_index=path, edge_attr=attr)).x[[0, 2], 1]
        for name, attr, directed in [("plain", None, False), ("bonds", bonds, False), ("directed", None, True)]
    }
    assert ends["plain"].unique().numel() == 1
    assert ends["bonds"].unique().numel() == ends["directed"].unique().numel() == 2
    measured = Data(x=torch.tensor([[0.3, 1.0], [0.1, 1.0], [0.2, 1.0]]), edge_index=path)
    assert len(AddWLColors(1, 2**20)(measured.clone()).x[:, 2].unique()) == 3
    assert len(AddWLColors(1, 2**20, columns=[1])(measured).x[:, 2].unique()) == 2
    zeros = torch.tensor([[0.0], [1.0], [-0.0]])
    assert len(AddWLColors(1, 2**20)(Data(x=zeros, edge_index=path)).x[:, 1].unique()) == 2


def test_a_model_embeds_them():
    graph = _graph(4)
    categories = ToDAG("numbering")(AddWLColors(2, 64)(graph.clone()))
    assert PLSTM([3, 64, 64], 16, 1, 2)(categories.x, categories.edge_index).shape == (1, 2)
    numbers = ToDAG("numbering")(AddWLColors(2, 64)(Data(x=torch.rand(12, 2), edge_index=graph.edge_index)))
    assert PLSTM([0, 0, 64, 64], 16, 1, 2)(numbers.x, numbers.edge_index).shape == (1, 2)


def test_what_has_no_colors():
    for arguments in ({"rounds": 0}, {"num_colors": 1}):
        with pytest.raises(ValueError, match="rounds must be at least 1 and num_colors at least 2"):
            AddWLColors(**arguments)
    edges = torch.tensor([[0], [1]])
    with pytest.raises(ValueError, match=r"the graph has no x \(it has: edge_index\)"):
        AddWLColors()(Data(edge_index=edges))
    with pytest.raises(ValueError, match=r"columns are \[1\], but x has 1"):
        AddWLColors(columns=[1])(Data(x=torch.ones(2, 1), edge_index=edges))
    with pytest.raises(ValueError, match=r"x is torch.float16, which cannot hold 4096 categories"):
        AddWLColors(num_colors=4096)(Data(x=torch.ones(2, 1).half(), edge_index=edges))
    with pytest.raises(ValueError, match=r"x is torch.uint8, which cannot hold 257 categories"):
        AddWLColors(num_colors=257)(Data(x=torch.ones(2, 1, dtype=torch.uint8), edge_index=edges))
