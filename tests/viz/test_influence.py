import pytest
import torch

from plstm_graph import PLSTM, LineGraph, PLSTMConv
from plstm_graph.datasets import smiles_to_data
from plstm_graph.transforms import ToDAG
from plstm_graph.viz import draw_influence, influence

SMILES = "CC(C)Cc1ccc(cc1)C(C)C(=O)O"


def test_influence_is_zero_exactly_where_no_path_leads():
    conv = PLSTMConv(3, 8, flow="source_to_target")
    x, edge_index = torch.randn(4, 3), torch.tensor([[0, 1, 0], [1, 2, 3]])
    matrix = influence(torch.nn.Sequential(conv)[0], x, edge_index)
    read = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]], dtype=torch.bool)
    assert torch.equal(matrix > 0, read)  # exact: nothing is written where no path leads
    assert matrix.sum(dim=1).mean().item() == pytest.approx(1.0)


def test_influence_averages_all_layers_and_removes_its_hooks():
    data = ToDAG()(smiles_to_data(SMILES))
    model = PLSTM("atom", 16, 1, 1).eval()
    matrix = influence(model, data.x, data.edge_index, data.edge_attr, line_graph=LineGraph.from_data(data))
    assert matrix.shape == (15, 15)
    assert not matrix.requires_grad
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_drawing_is_written(tmp_path):
    figure = draw_influence(SMILES, torch.rand(15, 15), atoms=[0, 7], size=150)
    assert len(figure.axes) == 4  # two molecules, the matrix and its colour bar
    figure.savefig(tmp_path / "influence.png", dpi=40)
    assert (tmp_path / "influence.png").read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="Linear has no PLSTMConv layer"):
        influence(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"CCO has 3 atoms, but the matrix is \[4, 4\]"):
        draw_influence("CCO", torch.zeros(4, 4))
    with pytest.raises(ValueError, match="invalid SMILES 'C1'"):
        draw_influence("C1", torch.zeros(1, 1))
