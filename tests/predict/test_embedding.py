"""Vectors of graphs and nodes: from where in a model they come, and that they are of the graph alone."""

import pytest
import torch
from rdkit import Chem
from torch_geometric.data import Batch

from plstm_graph.datasets import smiles_to_data
from plstm_graph.nn import PLSTM, Ensemble
from plstm_graph.nn.baselines import (
    GCN,
    GIN,
    LSTMGNN,
    MPNN,
    OGBGNN,
    BagOfNodes,
    ChildSumTreeLSTM,
    DAGTransformer,
    DirectedGIN,
    LevelGRU,
)
from plstm_graph.predict.embedding import default_of, embeddings
from plstm_graph.predict.predictor import Predictor
from plstm_graph.transforms import SubdivideEdges, ToDAG
from tests.made_checkpoints import make_recipe

_SMILES = ["CCO", "c1ccccc1CC(=O)N", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "[Na+].[Cl-]"]
_SIZES = {"in_channels": "atom", "edge_dim": "bond", "hidden_channels": 8, "num_layers": 2, "out_channels": 3}
_CLASSES = [PLSTM, GIN, GCN, MPNN, LSTMGNN, BagOfNodes, ChildSumTreeLSTM, DAGTransformer, DirectedGIN, LevelGRU]


def _graphs(smiles=_SMILES, transform=None):
    transform = ToDAG() if transform is None else transform
    return [transform(smiles_to_data(each)) for each in smiles]


def _predictor(model):
    return Predictor(model, make_recipe(target_names=["a", "b", "c"], kind="multilabel")).eval()


def _output(predictor, graphs):
    with torch.no_grad():
        return predictor(predictor.collate(graphs))


@pytest.mark.parametrize("make", _CLASSES)
def test_the_rest_of_the_model_makes_the_prediction_of_them(make):
    predictor, graphs = _predictor(make(**_SIZES, dropout=0.3)), _graphs()
    body, head = (embeddings(predictor, graphs, "graphs", layer) for layer in ("body", "head"))
    assert body.shape[0] == head.shape[0] == len(graphs)
    expected = _output(predictor, graphs)
    with torch.no_grad():
        for vectors, rest in ((body, predictor.model.head), (head, predictor.model.head[-1])):
            torch.testing.assert_close(rest(vectors), expected, rtol=1e-4, atol=1e-5)
    assert default_of(predictor.model) == "graphs"
    torch.testing.assert_close(embeddings(predictor, graphs, "graphs"), body, rtol=0, atol=0)


@pytest.mark.parametrize("of", ["graphs", "nodes"])
@pytest.mark.parametrize("make", _CLASSES)
def test_neither_batches_nor_other_graphs_nor_former_calls_change_them(make, of):
    predictor, graphs = _predictor(make(**_SIZES, dropout=0.3)), _graphs()
    whole = embeddings(predictor, graphs, of)
    torch.testing.assert_close(embeddings(predictor, graphs, of, batch_size=1), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        embeddings(predictor, graphs[::-1], "graphs").flip(0),
        embeddings(predictor, graphs, "graphs"),
        rtol=1e-4,
        atol=1e-5,
    )
    torch.testing.assert_close(embeddings(predictor, graphs, of), whole, rtol=0, atol=0)


@pytest.mark.parametrize("make", [PLSTM, GIN, LevelGRU])
def test_the_order_of_atoms_changes_nothing_but_their_rows(make):
    predictor = _predictor(make(**_SIZES))
    for smiles in _SMILES[:3]:
        molecule = Chem.MolFromSmiles(smiles)
        order = torch.randperm(molecule.GetNumAtoms()).tolist()
        written = Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False)
        # Which atom of the one stands where in the other; equivalent ones are told apart by nobody.
        places = Chem.MolFromSmiles(written).GetSubstructMatch(molecule)
        one, other = _graphs([smiles]), _graphs([written])
        pooled = [embeddings(predictor, graphs, "graphs") for graphs in (one, other)]
        torch.testing.assert_close(*pooled, rtol=1e-4, atol=1e-5)
        nodes = [embeddings(predictor, graphs, "nodes") for graphs in (one, other)]
        torch.testing.assert_close(nodes[0].sum(dim=0), nodes[1].sum(dim=0), rtol=1e-4, atol=1e-4)
        unlike = [int(rank) for rank in Chem.CanonicalRankAtoms(molecule, breakTies=False)]
        alone = [atom for atom, rank in enumerate(unlike) if unlike.count(rank) == 1]
        torch.testing.assert_close(nodes[0][alone], nodes[1][[places[atom] for atom in alone]], rtol=1e-4, atol=1e-5)


def test_graphs_are_what_pooling_makes_of_their_nodes():
    predictor, graphs = _predictor(PLSTM(**_SIZES, pool="mean")), _graphs()
    batch = Batch.from_data_list(graphs)
    pooled = predictor.model.pool(embeddings(predictor, graphs, "nodes"), batch.batch, dim=0)
    torch.testing.assert_close(embeddings(predictor, graphs, "graphs"), pooled, rtol=1e-4, atol=1e-5)
    wide = _predictor(PLSTM(**_SIZES, pool=["mean", "sum"], readout_channels=24))
    assert embeddings(wide, graphs, "graphs").shape == (len(graphs), 48)
    assert embeddings(wide, graphs, "nodes").shape == (batch.num_nodes, 8)


def test_members_stand_one_behind_the_other():
    model = Ensemble(PLSTM(**_SIZES), 3)
    graphs = _graphs()
    found = embeddings(_predictor(model), graphs, "graphs")
    alone = [embeddings(_predictor(member), graphs, "graphs") for member in model.members]
    torch.testing.assert_close(found, torch.cat(alone, dim=1))
    assert not torch.equal(alone[0], alone[1])


@pytest.mark.parametrize("level", ["node", "edge"])
def test_models_of_nodes_or_edges_give_those_of_nodes_and_their_means(level):
    predictor, graphs = _predictor(PLSTM(**_SIZES, predict=level)), _graphs()
    assert default_of(predictor.model) == "nodes"
    nodes = embeddings(predictor, graphs, "nodes")
    sizes = [graph.num_nodes for graph in graphs]
    means = torch.stack([part.mean(dim=0) for part in nodes.split(sizes)])
    torch.testing.assert_close(embeddings(predictor, graphs, "graphs"), means, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=f"the head of this model is of {level}s, so it has no hidden layer of graphs"):
        embeddings(predictor, graphs, "graphs", "head")
    if level == "node":
        hidden = embeddings(predictor, graphs, "nodes", "head")
        torch.testing.assert_close(predictor.model.head[-1](hidden), _output(predictor, graphs), rtol=1e-4, atol=1e-5)


def test_nodes_that_were_edges_have_none():
    transform = SubdivideEdges()
    sizes = SubdivideEdges.sizes([119, 5, 12, 12, 10, 6, 6, 2, 2], [5, 6, 2])
    model = PLSTM(**_SIZES | {"in_channels": sizes[0], "edge_dim": sizes[1]})
    graphs = _graphs(transform=lambda data: transform(ToDAG()(data)))
    atoms = sum(Chem.MolFromSmiles(each).GetNumAtoms() for each in _SMILES)
    assert embeddings(_predictor(model), graphs, "nodes").shape == (atoms, 8)


class _Own(torch.nn.Module):
    """A model of somebody's own, which reads the number of atoms."""

    def __init__(self, linear=True):
        super().__init__()
        self.first, self.last = torch.nn.Linear(1, 4), torch.nn.Linear(4, 3)
        self.linear = linear

    def forward(self, x, batch, batch_size):
        counts = x.new_zeros(batch_size).index_add_(0, batch, torch.ones_like(batch)).float()
        hidden = self.first(counts.unsqueeze(1)).relu() if self.linear else counts.unsqueeze(1).expand(-1, 4)
        return self.last(hidden) if self.linear else hidden[:, :3]


def test_of_other_models_the_input_of_the_last_linear_layer_is_taken():
    graphs = _graphs()
    for model in (_Own(), OGBGNN("atom", 8, 2, 3)):
        predictor = _predictor(model)
        last = getattr(model, "last", None) or model.head
        for layer in (None, "head"):
            found = embeddings(predictor, graphs, "graphs", layer)
            torch.testing.assert_close(last(found), _output(predictor, graphs), rtol=1e-4, atol=1e-5)
        with pytest.raises(ValueError, match=r"is no GraphModel of this package.*--layer head"):
            embeddings(predictor, graphs, "graphs", "body")
        with pytest.raises(ValueError, match=r"reads .* so it has no embedding of nodes"):
            embeddings(predictor, graphs, "nodes")
        assert not any(module._forward_pre_hooks for module in model.modules())
    with pytest.raises(ValueError, match="_Own has no linear layer"):
        embeddings(_predictor(_Own(linear=False)), graphs, "graphs")


def test_no_graphs_have_no_vectors():
    assert embeddings(_predictor(PLSTM(**_SIZES)), [], "graphs").shape == (0, 0)
