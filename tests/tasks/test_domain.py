"""What is unlike the training set is told: molecules by their similarity, DAGs by their size."""

import math

import pytest
import torch
from torch_geometric.data import Data

from plstm_graph.datasets.molecules.table_split import Split
from plstm_graph.tasks.dag_folder import FolderOfDAGs
from plstm_graph.tasks.domain import MOST_MOLECULES, Domain, check_fingerprints, domain_of
from plstm_graph.tasks.molecules import MoleculeTable
from tests.made_sets import made_table, make_folder


def test_molecules_below_what_validation_reaches(tmp_path):
    split = Split("random")
    path = str(made_table(tmp_path / "t.csv"))
    table = MoleculeTable(path, target_columns=["activity"], split=split, root=str(tmp_path))
    domain, fingerprints = domain_of(table)
    assert fingerprints.shape == (len(table.subset("train")), 256) and fingerprints.dtype == torch.uint8
    assert 0 < domain.similarity <= 1 and domain.sizes == {}
    said = domain.unlike(torch.tensor([1.0, domain.similarity, domain.similarity - 0.05, 0.0]))
    assert said[:2] == ["", ""] and all("unlike the training molecules" in text for text in said[2:])
    assert f"a similarity of {domain.similarity:.2f} or more" in said[3]
    assert Domain.of_plain(domain.to_plain()) == domain


def test_graphs_smaller_or_larger_than_those_of_training(tmp_path):
    folder = FolderOfDAGs(str(make_folder(tmp_path / "dags")))
    domain, fingerprints = domain_of(folder)
    assert fingerprints is None and domain.similarity is None
    assert all(domain.outside(graph) == "" for graph in folder.subset("train"))
    low, high = domain.sizes["nodes"]
    large = Data(num_nodes=high + 3, level=torch.arange(high + 3))
    most = domain.sizes["levels"][1]
    assert domain.outside(large) == (
        f"{high + 3} nodes, where training graphs have {low} to {high}; "
        f"{high + 3} levels, where training graphs have {domain.sizes['levels'][0]} to {most}"
    )
    assert Domain.of_plain(domain.to_plain()) == domain
    assert Domain().outside(large) == "" and Domain().unlike(torch.zeros(1)) == [""]


@pytest.mark.parametrize(
    "plain",
    [
        *({"similarity": value, "sizes": {}} for value in (-0.1, 1.5, math.nan, "0.3", True)),
        *({"similarity": None, "sizes": {"nodes": value}} for value in ([5], [5, 4], [-1, 4], [1.5, 2.5], 3)),
        {"similarity": None, "sizes": {"edges": [1, 2]}},
        [],
    ],
)
def test_what_is_no_domain(plain):
    with pytest.raises(ValueError):
        Domain.of_plain(plain)


@pytest.mark.parametrize(
    "values",
    [
        3,
        "x",
        torch.zeros(4, 256),
        torch.zeros(4, 255, dtype=torch.uint8),
        torch.zeros(256, dtype=torch.uint8),
        torch.zeros(0, 256, dtype=torch.uint8),
        torch.zeros(1, 256, dtype=torch.uint8).expand(MOST_MOLECULES + 1, 256),
        torch.zeros(4, 256, dtype=torch.uint8).to_sparse(),
    ],
)
def test_what_are_no_fingerprints(values):
    with pytest.raises(ValueError, match="fingerprints of its training molecules are"):
        check_fingerprints(values)
    assert check_fingerprints(None) is None
