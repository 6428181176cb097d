import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plstm_graph.graph.levels import longest_path_levels
from plstm_graph.graph.orientation.orient import is_symmetric, numbering_rank, orient


def edges(*columns: tuple[int, int]) -> torch.Tensor:
    return torch.tensor(columns, dtype=torch.long).view(-1, 2).t().contiguous()


def test_keeps_the_rising_column_of_each_undirected_edge() -> None:
    edge_index = edges((0, 1), (1, 0), (2, 1), (1, 2))
    oriented, columns = orient(edge_index, torch.tensor([5, 7, 6]))
    assert columns.tolist() == [0, 2]
    assert oriented.tolist() == [[0, 2], [1, 1]]


def test_flips_an_edge_that_is_given_in_the_falling_direction_only() -> None:
    oriented, columns = orient(edges((2, 0), (0, 1)), numbering_rank(3))
    assert columns.tolist() == [0, 1]
    assert oriented.tolist() == [[0, 0], [2, 1]]


def test_parallel_edges_stay_with_their_own_columns() -> None:
    # Two parallel edges, one of which comes in a single, falling column.
    oriented, columns = orient(edges((1, 0), (0, 1), (1, 0)), numbering_rank(2))
    assert columns.tolist() == [1, 2]
    assert oriented.tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("num_nodes", [0, 3])
def test_graph_without_edges(num_nodes: int) -> None:
    oriented, columns = orient(torch.empty(2, 0, dtype=torch.long), numbering_rank(num_nodes))
    assert oriented.shape == (2, 0)
    assert columns.tolist() == []


def test_self_loop_is_named() -> None:
    with pytest.raises(ValueError, match=r"node 2 has a self-loop \(column 1"):
        orient(edges((0, 1), (2, 2)), numbering_rank(3))


def test_equal_ranks_along_an_edge_are_named() -> None:
    with pytest.raises(ValueError, match=r"nodes 1 and 2 .*column 1.* same rank 4"):
        orient(edges((0, 1), (1, 2)), torch.tensor([3, 4, 4]))


@pytest.mark.parametrize(
    ("edge_index", "expected"),
    [
        (edges(), True),
        (edges((0, 1), (1, 0)), True),
        (edges((1, 0), (1, 2), (0, 1), (2, 1)), True),
        (edges((0, 1)), False),
        (edges((0, 1), (1, 2), (2, 0)), False),
        (edges((0, 1), (0, 1), (1, 0)), False),
        (edges((0, 1), (0, 1), (1, 0), (1, 0)), True),
    ],
)
def test_is_symmetric_counts_parallel_edges(edge_index: torch.Tensor, expected: bool) -> None:
    assert is_symmetric(edge_index, 3) is expected


@st.composite
def multigraphs(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Edges in any mixture of directions and multiplicities, without self-loops, and a ranking of the nodes."""
    num_nodes = draw(st.integers(2, 6))
    node = st.integers(0, num_nodes - 1)
    columns = draw(st.lists(st.tuples(node, node).filter(lambda edge: edge[0] != edge[1]), max_size=20))
    return edges(*columns), torch.tensor(draw(st.permutations(range(num_nodes))))


@settings(max_examples=100, deadline=None)
@given(multigraphs())
def test_orientation_of_any_multigraph(graph: tuple[torch.Tensor, torch.Tensor]) -> None:
    edge_index, rank = graph
    oriented, columns = orient(edge_index, rank)
    longest_path_levels(oriented, rank.numel())  # acyclic, or this raises
    assert bool((rank[oriented[0]] < rank[oriented[1]]).all())
    assert columns.tolist() == sorted(set(columns.tolist()))
    for column, edge in zip(columns.tolist(), oriented.t().tolist(), strict=True):
        assert sorted(edge) == sorted(edge_index[:, column].tolist())
    given_edges, kept = edge_index.t().tolist(), oriented.t().tolist()
    for u in range(rank.numel()):
        for v in range(rank.numel()):
            if rank[u] < rank[v]:
                assert kept.count([u, v]) == max(given_edges.count([u, v]), given_edges.count([v, u]))
