import pytest
import torch
from torch_geometric.data import Batch, Data

from plstm_graph import PLSTM
from plstm_graph.nn import Ensemble, MakespanPLSTM
from plstm_graph.nn.baselines import GIN
from plstm_graph.testing import random_dag
from plstm_graph.viz import attribution, draw_dag_attribution, draw_molecule_attribution
from plstm_graph.viz.molecule import read_smiles
from tests.rounding import rounding


def small(make, seed=0, **options):
    torch.manual_seed(seed)
    return make(3, 8, 2, 2, **options).double()


def random_graph(nodes, edges):
    return Data(x=torch.randn(nodes, 3, dtype=torch.double), edge_index=random_dag(nodes, edges))


def reader(model, row=0, column=0):
    """The number of a row and column of each graph's predictions."""

    def number(graphs):
        batch = Batch.from_data_list(graphs)
        output = model(batch.x, batch.edge_index, batch=batch.batch, batch_size=len(graphs))
        return output.view(len(graphs), -1, 2)[:, row, column]

    return number


@pytest.mark.parametrize("make", [PLSTM, GIN])
def test_a_value_is_what_is_lost_without_the_features_of_a_node(make):
    model, data = small(make).eval(), random_graph(7, 11)
    values = attribution(model, reader(model, column=1), data, nodes_at_once=15)
    keep = torch.ones(7, 1, dtype=torch.double)
    keep[4] = 0
    with torch.no_grad():
        whole = model(data.x, data.edge_index)[0, 1]
        handle = model.node_encoder.register_forward_hook(lambda module, inputs, output: output * keep)
        without = model(data.x, data.edge_index)[0, 1]
        handle.remove()
        again = model(data.x, data.edge_index)[0, 1]
    assert float(again) == pytest.approx(float(whole), rel=rounding(torch.float64, 7 * 8))
    assert values.shape == (7,)
    assert float(values[4]) == pytest.approx(float(whole - without), rel=1e-6)
    assert (values != 0).all()


@pytest.mark.parametrize("most", [256, 3])
def test_a_task_of_a_plan_adds_what_is_lost_when_it_takes_no_time(most):
    torch.manual_seed(0)
    model = MakespanPLSTM(4, 8, times=[2, 3], out_channels=2).double().eval()
    data = Data(x=torch.rand(7, 4, dtype=torch.double), edge_index=random_dag(7, 11))
    values = attribution(model, reader(model, column=1), data, most=most, nodes_at_once=15)
    assert int((values != 0).sum()) <= most and (values >= 0).all()
    for node in values.nonzero().view(-1).tolist():
        without = data.x.clone()
        without[node, 2:] = 0
        with torch.no_grad():
            lost = model(data.x, data.edge_index)[0, 1] - model(without, data.edge_index)[0, 1]
        assert float(values[node]) == pytest.approx(float(lost), rel=1e-6)


def test_a_node_that_nothing_reads_adds_nothing_to_another_nodes_prediction():
    model = small(PLSTM, predict="node", modes="P", norm="rms")
    data = Data(x=torch.randn(4, 3, dtype=torch.double), edge_index=torch.tensor([[0, 1], [1, 2]]))
    values = attribution(model, reader(model, row=2), data)
    # Predictions come from a batch, where a row of a product may differ in its last bits by its place.
    whole = reader(model, row=2)([data]).abs()
    reached = values.abs() > rounding(torch.float64, 4 * 8) * whole
    assert reached.tolist() == [True, True, True, False]
    assert model.training


def test_of_large_graphs_the_strongest_nodes_are_tried():
    model, data = small(PLSTM).eval(), random_graph(12, 20)
    data.x[5:] *= 1e-3
    model.node_encoder.bias.data.zero_()
    few, all_of_them = (attribution(model, reader(model), data, most=most) for most in (3, 12))
    tried = few != 0  # exact: the others are written as zeros
    assert tried.sum() == 3
    assert torch.allclose(few[tried], all_of_them[tried])
    assert not tried[5:].any()


def test_members_of_an_ensemble_are_averaged():
    ensemble, data = Ensemble(small(PLSTM), 2).double(), random_graph(5, 6)
    values = [attribution(each, reader(each), data) for each in (ensemble, *ensemble.members)]
    assert torch.allclose(values[0], (values[1] + values[2]) / 2)


def test_a_model_of_another_kind():
    with pytest.raises(ValueError, match="no GraphModel of this package in Linear"):
        attribution(torch.nn.Linear(2, 1), len, random_graph(3, 2))


def test_a_large_dag_is_cut_to_what_matters():
    """The node that is asked about, its in-edge, and the strongest nodes of the chain; ways between are counted."""
    edge_index = torch.stack([torch.arange(99), torch.arange(1, 100)])
    values = torch.linspace(0, 1, 100)
    figure = draw_dag_attribution(edge_index, values, [f"n{node}" for node in range(100)], "title", marked=[3])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {word for word in words if word[0] == "n"} == {"n2", "n3", *(f"n{node}" for node in range(84, 100))}
    assert [word for word in words if word[0] == "+"] == ["+80"]
    assert "18 of 100 nodes" in figure.get_suptitle() and len(figure.axes) == 3


@pytest.mark.parametrize("nodes", [6, 60, 150])
def test_a_path_is_drawn_strongly_and_to_its_end(nodes):
    """A chain with a node beside each of its edges: of more than can be drawn, its last nodes are."""
    chain = torch.arange(0, nodes, 2)
    edge_index = torch.cat([torch.stack([chain[:-1], chain[1:]]), torch.stack([chain, chain + 1])], dim=1)
    path = torch.arange(len(chain) - 1)
    labels = [f"n{node}" for node in range(nodes)]
    figure = draw_dag_attribution(edge_index, torch.rand(nodes), labels, marked=[int(chain[-1])], path=path)
    axes = figure.axes[0]
    strong = [patch for patch in axes.patches if patch.get_linestyle() == "-"]
    words = {text.get_text() for text in axes.texts}
    drawn = [node for node in chain.tolist() if f"n{node}" in words]
    if nodes <= 60:
        assert drawn == chain.tolist() and len(strong) == len(drawn) - 1 and len(axes.patches) > len(strong)
    else:
        assert drawn[-6:] == chain[-6:].tolist() and 5 <= len(strong) < len(drawn) <= 18
        assert sum(int(word) for word in words if word[0] == "+") > 0
    faint = draw_dag_attribution(edge_index, torch.rand(nodes), labels).axes[0].patches
    assert all(patch.get_linestyle() in "-:" for patch in faint)


@pytest.mark.parametrize("smiles", ["CCO", "C" * 90, "CC(=O)N" * 20 + "C"])
def test_a_title_is_not_cut(smiles):
    figure = draw_molecule_attribution(smiles, torch.zeros(read_smiles(smiles).GetNumAtoms()), f"{smiles}: y = 1")
    figure.canvas.draw()
    box = figure.texts[0].get_window_extent()
    assert "".join(figure.get_suptitle().split()) == f"{smiles}:y=1" and 0 <= box.x0 and box.x1 <= figure.bbox.x1


def test_a_molecule_is_drawn_only_with_its_own_atoms(tmp_path):
    draw_molecule_attribution("CCO", torch.tensor([0.1, -2.0, 3.0]), "ethanol").savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000
    with pytest.raises(ValueError, match="CCO has 3 atoms, but there are 2 values"):
        draw_molecule_attribution("CCO", torch.zeros(2))
    with pytest.raises(ValueError, match="invalid SMILES"):
        draw_molecule_attribution("C1C", torch.zeros(2))
