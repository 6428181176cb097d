import pytest
import torch
from hypothesis import given

from plstm_graph.graph import CycleError, longest_path_levels
from plstm_graph.viz.curves import new_figure
from plstm_graph.viz.dag import draw_dag, layered_layout, routed_layout
from tests.strategies import dags


@given(dags())
def test_places_are_levels_and_no_two_nodes_share_one(dag):
    places = layered_layout(*dag)
    assert places[:, 0].tolist() == longest_path_levels(*dag).tolist()
    assert len(set(map(tuple, places.tolist()))) == dag[1]


@given(dags())
def test_edges_over_several_levels_pass_between_nodes(dag):
    """Half a node and half a lane lie between the middle of a node and that of a lane, at least."""
    places, ways = routed_layout(*dag)
    for (start, end), way in zip(dag[0].t().tolist(), ways, strict=True):
        assert [point[0] for point in way] == list(range(int(places[start][0]) + 1, int(places[end][0])))
        for level, height in way:
            assert all(abs(y - height) >= 0.75 for x, y in places if x == level)


def test_words_are_drawn_above_circles_and_long_ones_are_shortened():
    _, (axes,) = new_figure(1)
    draw_dag(axes, torch.tensor([[0], [1]]), 2, labels=["a name of many letters\n0.5", "b"])
    assert [text.get_text() for text in axes.texts] == ["a name of man\u2026\n0.5", "b"]
    assert min(text.get_zorder() for text in axes.texts) > max(each.get_zorder() for each in axes.collections)


def test_parallel_chains_do_not_cross():
    edge_index = torch.tensor([[0, 1, 2, 3], [3, 2, 5, 4]])  # 0 -> 3 -> 4 and 1 -> 2 -> 5
    places = layered_layout(edge_index, 6)[:, 1]
    assert places[0] == places[3] == places[4]
    assert places[1] == places[2] == places[5]


def test_a_picture_shows_every_node_and_edge(tmp_path):
    figure, (axes,) = new_figure(1)
    edge_index = torch.tensor([[0, 0, 1], [1, 2, 2]])
    draw_dag(axes, edge_index, 3, labels=["a", "b", "c"], strong=torch.tensor([True, False, True]), title="a DAG")
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    assert len(axes.patches) == 3
    figure.savefig(tmp_path / "dag.png")
    with pytest.raises(CycleError):
        draw_dag(axes, torch.tensor([[0, 1], [1, 0]]), 2)
