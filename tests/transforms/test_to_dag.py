import copy

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader

from plstm_graph.datasets import smiles_to_data
from plstm_graph.graph import CycleError, LineGraph, line_graph_pairs, longest_path_levels
from plstm_graph.graph.multitree.mask import multitree_mask
from plstm_graph.transforms import ToDAG

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "C", "[Na+].[Cl-]", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CC", "C1CC1.O"]


def graph(*columns: tuple[int, int], num_nodes: int) -> Data:
    edge_index = torch.tensor(columns, dtype=torch.long).view(-1, 2).t().contiguous()
    return Data(edge_index=edge_index, num_nodes=num_nodes)


def renumber(data: Data, number: torch.Tensor) -> Data:
    """The same graph with node ``i`` called ``number[i]``."""
    renumbered = copy.copy(data)
    renumbered.edge_index = number[data.edge_index]
    for key in ("x", "canonical_rank"):
        value = torch.empty_like(data[key])
        value[number] = data[key]
        renumbered[key] = value
    return renumbered


def test_repr() -> None:
    assert repr(ToDAG()) == "ToDAG(orientation='auto', multitree=True)"


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        ("numbering", [[0, 1, 2], [1, 2, 3]]),
        ("centre", [[1, 1, 2], [0, 2, 3]]),
        ("depth_first", [[0, 1, 2], [1, 2, 3]]),
        ("canonical", [[0, 2, 3], [1, 1, 2]]),
        ("auto", [[2, 2, 1], [3, 1, 0]]),
    ],
)
def test_orientations_of_a_path(orientation: str, expected: list[list[int]]) -> None:
    path = graph((0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), num_nodes=4)
    if orientation in ("canonical", "auto"):
        path.canonical_rank = torch.tensor([2, 3, 1, 0])
    data = ToDAG(orientation)(path)
    edges = set(zip(*data.edge_index.tolist(), strict=True))
    assert edges == set(zip(*expected, strict=True))
    assert torch.equal(data.level, longest_path_levels(data.edge_index, 4))


def test_edge_level_attributes_follow_their_edge() -> None:
    data = graph((0, 1), (1, 2), (1, 0), (2, 1), (0, 3), (3, 0), num_nodes=4)
    number = data.edge_index.sum(0)  # the same for both directions, different for each edge
    data.edge_attr = number.view(-1, 1).float()
    data.bond_name = [f"bond {i}" for i in number.tolist()]
    data.edge_label_index = data.edge_index.clone()
    data.x = torch.randn(4, 2)
    data.y = torch.randn(1, 6)
    dag = ToDAG("numbering")(data)
    expected = dag.edge_index.sum(0)
    assert dag.num_edges == 3
    assert dag.edge_attr.view(-1).tolist() == expected.tolist()
    assert dag.bond_name == [f"bond {i}" for i in expected.tolist()]
    assert torch.equal(dag.edge_label_index.sum(0), expected)
    assert dag.x is data.x and dag.y is data.y


def test_the_given_graph_is_not_changed() -> None:
    data = smiles_to_data(SMILES[0])
    before = copy.deepcopy(data)
    ToDAG()(data)
    assert data.keys() == before.keys()
    assert all(torch.equal(data[key], before[key]) for key in ("edge_index", "edge_attr", "x"))


def test_a_dag_keeps_its_directions() -> None:
    dag = graph((2, 0), (2, 1), (1, 0), (1, 0), num_nodes=4)
    for orientation in ("auto", "keep"):
        data = ToDAG(orientation)(dag)
        assert torch.equal(data.edge_index, dag.edge_index)
        assert data.level.tolist() == [2, 1, 0, 0]


def test_a_directed_graph_with_a_cycle_is_an_error() -> None:
    cycle = graph((0, 1), (1, 2), (2, 0), num_nodes=3)
    for orientation in ("auto", "keep"):
        with pytest.raises(CycleError) as error:
            ToDAG(orientation)(cycle)
        assert sorted(error.value.cycle) == [0, 1, 2]


def test_applying_it_twice_changes_nothing() -> None:
    once = ToDAG()(smiles_to_data(SMILES[0]))
    twice = ToDAG()(once)
    for key in ("edge_index", "edge_attr", "level", "kept_pairs"):
        assert torch.equal(once[key], twice[key])


def test_without_multitree_an_older_mask_goes() -> None:
    data = ToDAG()(smiles_to_data(SMILES[0]))
    assert "kept_pairs" not in ToDAG(multitree=False)(data)


def test_kept_pairs_is_the_multitree_of_the_line_graph() -> None:
    data = ToDAG()(smiles_to_data(SMILES[3]))
    pairs = line_graph_pairs(data.edge_index, data.num_nodes)
    assert torch.equal(data.kept_pairs, multitree_mask(data.edge_index, data.num_nodes, pairs, data.level))
    kept = LineGraph.from_data(data).to_multitree().pairs
    assert torch.equal(kept, LineGraph.from_edge_index(data.edge_index, data.num_nodes).to_multitree().pairs)


@pytest.mark.parametrize("orientation", ["auto", "centre", "depth_first", "canonical"])
def test_molecules_are_oriented_alike_however_their_atoms_are_numbered(orientation: str) -> None:
    generator = torch.Generator().manual_seed(0)
    for smiles in SMILES:
        data = smiles_to_data(smiles)
        number = torch.randperm(data.num_nodes, generator=generator)
        dag = ToDAG(orientation)(data)
        renumbered = ToDAG(orientation)(renumber(data, number))
        assert torch.equal(renumbered.edge_index, number[dag.edge_index])
        assert torch.equal(renumbered.edge_attr, dag.edge_attr)
        assert torch.equal(renumbered.level[number], dag.level)
        assert torch.equal(renumbered.kept_pairs, dag.kept_pairs)


def test_data_loader_batches_the_structure() -> None:
    data_list = [ToDAG()(smiles_to_data(smiles)) for smiles in SMILES]
    batch = next(iter(DataLoader(data_list, batch_size=len(data_list))))
    assert torch.equal(batch.level, longest_path_levels(batch.edge_index, batch.num_nodes))
    line_graph = LineGraph.from_data(batch)
    first_edge = 0
    expected = []
    for single in data_list:
        expected.append(LineGraph.from_data(single).to_multitree().pairs + first_edge)
        first_edge += single.num_edges
    assert torch.equal(line_graph.to_multitree().pairs, torch.cat(expected, dim=1))
    for i, single in enumerate(data_list):
        example = batch.get_example(i)
        assert set(example.keys()) == set(single.keys())
        for key in ("edge_index", "edge_attr", "level", "kept_pairs", "canonical_rank"):
            assert torch.equal(example[key], single[key]), key


@pytest.mark.parametrize("num_nodes", [0, 1, 3])
def test_graph_without_edges(num_nodes: int) -> None:
    for orientation in ("auto", "keep", "numbering", "centre"):
        data = ToDAG(orientation)(Data(x=torch.zeros(num_nodes, 2), edge_index=torch.empty(2, 0, dtype=torch.long)))
        assert data.level.tolist() == [0] * num_nodes
        assert data.kept_pairs.shape == (0,)
        assert data.kept_pairs.dtype == torch.bool


def test_works_in_a_composition() -> None:
    transform = T.Compose([T.ToUndirected(), ToDAG("numbering")])
    assert transform(graph((1, 0), (2, 1), num_nodes=3)).edge_index.tolist() == [[0, 1], [1, 2]]


def test_unknown_orientation() -> None:
    names = "'auto', 'keep', 'numbering', 'centre', 'depth_first', 'canonical'"
    with pytest.raises(ValueError, match=f"one of {names}, got 'center'"):
        ToDAG("center")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (Data(x=torch.zeros(2, 1)), ValueError, r"no edge_index \(it has: x\)"),
        (graph((0, 5), num_nodes=2), ValueError, "out of range"),
        (Data(edge_index=torch.zeros(2, 1), num_nodes=2), TypeError, "dtype"),
        (Data(edge_index=torch.zeros(3, 1, dtype=torch.long), num_nodes=2), ValueError, "shape"),
        (graph((0, 0), num_nodes=1), ValueError, "node 0 has a self-loop"),
        (Batch.from_data_list([graph((0, 1), num_nodes=2)]), TypeError, "single graphs, not batches"),
        (HeteroData(), TypeError, "got HeteroData"),
    ],
)
def test_bad_graphs(data: Data, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ToDAG()(data)


def test_edge_features_of_another_length() -> None:
    data = graph((0, 1), (1, 0), num_nodes=2)
    data.edge_attr = torch.zeros(1, 3)
    with pytest.raises(ValueError, match="edge_attr has 1 rows, but edge_index has 2 columns"):
        ToDAG()(data)


def test_canonical_rank_missing_or_of_another_length() -> None:
    data = graph((0, 1), (1, 0), num_nodes=2)
    with pytest.raises(ValueError, match=r"needs data\.canonical_rank"):
        ToDAG("canonical")(data)
    data.canonical_rank = torch.arange(3)
    with pytest.raises(ValueError, match=r"canonical_rank must be \[N\] = \[2\], got \[3\]"):
        ToDAG("canonical")(data)
