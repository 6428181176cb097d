import pytest
import torch
from torch_geometric.data import Batch

from plstm_graph.datasets import smiles_to_data
from plstm_graph.nn.baselines import OGBGNN
from tests.rounding import rounding


@pytest.mark.parametrize(("conv", "virtual_node"), [("gin", False), ("gcn", True)])
def test_graphs_of_a_batch_do_not_meet(conv, virtual_node):
    model = OGBGNN("atom", out_channels=2, conv=conv, virtual_node=virtual_node).eval()
    graphs = [smiles_to_data(smiles) for smiles in ("CCO", "c1ccccc1O", "C")]
    batch = Batch.from_data_list(graphs)
    together = model(batch.x, batch.edge_index, batch.edge_attr, batch.batch, 3)
    for row, graph in enumerate(graphs):
        alone = model(graph.x, graph.edge_index, graph.edge_attr, torch.zeros(graph.num_nodes, dtype=torch.long))
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)
    assert together.shape == (3, 2)


def test_virtual_node_joins_atoms_that_no_bond_joins():
    index = torch.zeros(2, dtype=torch.long)
    for virtual_node in (False, True):
        model = OGBGNN("atom", 16, out_channels=4, conv="gin", virtual_node=virtual_node).eval()
        nodes = []
        model.pool.register_forward_pre_hook(lambda module, inputs, nodes=nodes: nodes.append(inputs[0]))
        for smiles in ("[Na+].[Cl-]", "[K+].[Cl-]"):
            graph = smiles_to_data(smiles)
            model(graph.x, graph.edge_index, graph.edge_attr, index, 1)
        difference = (nodes[0][1] - nodes[1][1]).abs().max() / nodes[0][1].abs().max()
        assert (difference > rounding(torch.float32, 32)) == virtual_node


@pytest.mark.parametrize(("conv", "virtual_node", "published"), [("gin", False, 1_885_206), ("gin", True, 3_336_306)])
def test_size_is_that_of_the_example(conv, virtual_node, published):
    # OGB's leaderboard for ogbg-molhiv; since then, chirality has one category more.
    size = sum(parameter.numel() for parameter in OGBGNN("atom", conv=conv, virtual_node=virtual_node).parameters())
    assert size == published + 300


def test_unknown_convolution():
    with pytest.raises(ValueError, match="conv must be 'gin' or 'gcn', got 'gat'"):
        OGBGNN("atom", out_channels=1, conv="gat")
