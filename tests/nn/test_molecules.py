"""The whole model on real molecules: batching, and independence of how the atoms are numbered."""

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from plstm_graph import PLSTM, LineGraph
from plstm_graph.datasets import smiles_to_data
from plstm_graph.testing import assert_batch_consistency, assert_close
from plstm_graph.transforms import ToDAG

SMILES = [
    "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "c1ccc2c(c1)ccc3c2ccc4ccccc43",
    "C12C3C4C1C5C2C3C45",
    "[Na+].[Cl-]",
    "C",
]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return PLSTM("atom", 16, 2, 2, pool=["mean", "sum"]).eval()


def run(model, data):
    return model(
        data.x, data.edge_index, data.edge_attr, data.batch, LineGraph.from_data(data), batch_size=data.num_graphs
    )


def renumbered(data, generator):
    """The same molecule with its atoms and bonds in another order."""
    new_of_old = torch.randperm(data.num_nodes, generator=generator)
    old_of_new = new_of_old.argsort()
    order = torch.randperm(data.num_edges, generator=generator)
    return Data(
        x=data.x[old_of_new],
        edge_index=new_of_old[data.edge_index[:, order]],
        edge_attr=data.edge_attr[order],
        canonical_rank=data.canonical_rank[old_of_new],
        num_nodes=data.num_nodes,
    )


def test_batch_equals_single_molecules(model):
    graphs = [ToDAG()(smiles_to_data(smiles)) for smiles in SMILES]
    assert_batch_consistency(lambda data: run(model, data), graphs)


@pytest.mark.parametrize("orientation", ["canonical", "centre", "depth_first"])
def test_model_does_not_depend_on_the_numbering_of_atoms(model, orientation):
    generator = torch.Generator().manual_seed(0)
    molecules = [smiles_to_data(smiles) for smiles in SMILES]
    transform = ToDAG(orientation)
    written = run(model, next(iter(DataLoader([transform(m) for m in molecules], len(molecules)))))
    for _ in range(3):
        others = [transform(renumbered(m, generator)) for m in molecules]
        assert_close(run(model, next(iter(DataLoader(others, len(others))))), written, 1e-5, orientation)


def test_numbering_orientation_does_depend_on_it(model):
    # The check above would be empty if directions did not matter.
    generator = torch.Generator().manual_seed(0)
    molecule = smiles_to_data(SMILES[0])
    outputs = [
        run(model, next(iter(DataLoader([ToDAG("numbering")(m)], 1))))
        for m in (molecule, renumbered(molecule, generator))
    ]
    assert not torch.allclose(*outputs, atol=1e-3)
