"""Which attributes follow the edges that ToDAG drops: by their names, not by chance."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from plstm_graph.transforms import ToDAG, TransitiveReduction

#: An undirected path of four nodes and a lone node; three of its six columns stay.
COLUMNS = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
STAY = [0, 2, 4]


def path(**attributes) -> Data:
    return Data(edge_index=COLUMNS.clone(), num_nodes=5, **attributes)


@pytest.mark.parametrize(
    "name",
    ["edge_attr", "edge_weight", "edge_type", "edge_label", "edge_mask", "train_edge_mask", "bond_type", "edge_y"],
)
@pytest.mark.parametrize(
    "value",
    [torch.arange(6), torch.arange(12.0).view(6, 2), np.arange(6), list("abcdef"), tuple("abcdef")],
    ids=["tensor", "matrix", "array", "list", "tuple"],
)
def test_attributes_of_edges_follow(name, value):
    if name in ("edge_attr", "edge_weight", "edge_type") and isinstance(value, list | tuple):
        return
    dag = ToDAG("numbering")(path(**{name: value}))
    expected = [value[i] for i in STAY]
    assert type(dag[name]) is type(value)
    assert all(np.array_equal(a, b) for a, b in zip(dag[name], expected, strict=True))


@pytest.mark.parametrize(
    "name",
    [
        *("y", "train_mask", "val_mask", "test_mask", "y_mask", "pos", "target", "targets", "label", "graph_attr", "z"),
        *("node_weight", "task_weight", "atom_names", "name", "canonical_rank_2", "time", "graph_id"),
    ],
)
@pytest.mark.parametrize("value", [torch.arange(6.0), np.arange(6), list("abcdef")], ids=["tensor", "array", "list"])
def test_others_of_the_same_length_stay(name, value):
    dag = ToDAG("numbering")(path(**{name: value}))
    assert dag.num_edges == 3
    assert dag[name] is value
    assert TransitiveReduction()(dag)[name] is value


def test_targets_of_a_graph_and_of_its_edges_are_told_apart_by_their_shape():
    for y in (torch.rand(6), torch.rand(1, 6), torch.rand(5, 2), torch.rand(1)):
        assert ToDAG("numbering")(path(y=y)).y is y
    y = torch.rand(6, 2)
    assert torch.equal(ToDAG("numbering")(path(y=y)).y, y[STAY])


def test_as_many_nodes_as_edges():
    columns = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
    names = ["x", "charge", "atom_names", "y"]
    data = Data(
        edge_index=columns, num_nodes=4, edge_attr=torch.arange(4), **{name: torch.rand(4, 2) for name in names}
    )
    dag = ToDAG("numbering")(data)
    assert dag.edge_attr.tolist() == [0, 2]
    assert all(dag[name] is data[name] for name in names)


@pytest.mark.parametrize("name", ["capacity", "fingerprint", "knowledge", "w"])
def test_a_name_that_does_not_tell_is_an_error(name):
    for value in (torch.rand(6), torch.rand(6, 3), list(range(6))):
        with pytest.raises(
            ValueError, match=rf"data\.{name} has as many entries as the graph has edges, 6.*edge_{name}"
        ):
            ToDAG("numbering")(path(**{name: value}))
    for value in (torch.rand(7), torch.rand(5), torch.rand(()), 3, "abcdef", {"a": torch.rand(6)}):
        assert ToDAG("numbering")(path(**{name: value}))[name] is value
    value = torch.rand(6)
    assert ToDAG("keep")(Data(edge_index=COLUMNS[:, STAY].repeat(1, 2), num_nodes=5, **{name: value}))[name] is value
    assert torch.equal(ToDAG("numbering", edge_keys=[name])(path(**{name: value}))[name], value[STAY])
    with pytest.raises(ValueError, match=rf"edge_keys names data\.{name}, which has 4 entries; the graph has 6 edges"):
        ToDAG("numbering", edge_keys=[name])(path(**{name: torch.rand(4)}))


def test_edge_keys_may_be_missing_and_stand_in_the_repr():
    assert "capacity" not in ToDAG("numbering", edge_keys=["capacity"])(path())
    assert repr(ToDAG(edge_keys=["y"])) == "ToDAG(orientation='auto', multitree=True, edge_keys=['y'])"
    assert torch.equal(ToDAG("numbering", edge_keys=["y"])(path(y=torch.arange(6))).y, torch.tensor(STAY))


def test_node_pairs_of_their_own_stay():
    pairs = torch.tensor([[0, 0, 0, 1, 1, 3], [2, 3, 4, 3, 4, 0]])
    label = torch.arange(6)
    dag = ToDAG("numbering")(path(edge_label_index=pairs, edge_label=label, ancestor_edge_index=pairs))
    assert dag.edge_label_index is pairs and dag.edge_label is label and dag.ancestor_edge_index is pairs


def test_node_pairs_that_are_the_edges_follow_them():
    dag = ToDAG("numbering")(path(edge_label_index=COLUMNS.clone(), edge_label=torch.arange(6)))
    assert torch.equal(dag.edge_label_index, COLUMNS[:, STAY])
    assert dag.edge_label.tolist() == STAY


def test_transitive_reduction_selects_in_the_same_way():
    data = Data(
        edge_index=torch.tensor([[0, 1, 0], [1, 2, 2]]), num_nodes=4, edge_weight=torch.arange(3), y=torch.rand(3)
    )
    reduced = TransitiveReduction()(data)
    assert reduced.edge_weight.tolist() == [0, 1] and reduced.y is data.y
    data.capacity = torch.arange(3)
    with pytest.raises(ValueError, match=r"data\.capacity"):
        TransitiveReduction()(data)
    assert TransitiveReduction(edge_keys=["capacity"])(data).capacity.tolist() == [0, 1]
