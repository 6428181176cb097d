import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.graph import LineGraph
from plstm_graph.graph.rows import Rows
from tests.strategies import line_graphs


def _dense(ptr: torch.Tensor, column: torch.Tensor, value: torch.Tensor, num_columns: int) -> torch.Tensor:
    matrix = torch.zeros(ptr.numel() - 1, num_columns, dtype=value.dtype)
    row = torch.repeat_interleave(ptr.diff())
    return matrix.index_put((row, column), value, accumulate=True)


def _reaches(graph) -> torch.Tensor:
    """Which node reaches which along kept pairs, ``[N, N]`` of (reader, read), the node itself included."""
    step = torch.zeros(graph.num_edges, graph.num_edges, dtype=torch.float64)
    step[graph.pairs[1], graph.pairs[0]] = 1.0
    reach = torch.linalg.inv(torch.eye(graph.num_edges, dtype=torch.float64) - step) > 0.5
    nodes = torch.eye(graph.num_nodes, dtype=torch.bool)
    last, first = reach.nonzero().t()
    nodes[graph.edge_index[1, last], graph.edge_index[0, first]] = True
    return nodes


@given(line_graphs(), st.integers(1, 3))
def test_links_are_the_pairs_of_nodes_with_a_path_in_both_directions(graph, heads):
    layout = graph.links.layout(heads, graph.is_reversed)
    items, size = layout.column.numel(), graph.num_nodes * heads
    expected = torch.kron(_reaches(graph), torch.eye(heads)).bool()
    ones = torch.ones(items, dtype=torch.long)
    assert torch.equal(_dense(layout.ptr, layout.column, ones, size), expected.long())
    # Values in their common order, and items in that of the matrix, are one matrix and its transpose.
    value = torch.arange(1, items + 1)
    matrix = _dense(layout.ptr, layout.column, value[layout.where], size)
    back = _dense(layout.back_ptr, layout.back_column, value[layout.where][layout.back_where], size)
    assert torch.equal(matrix.t(), back)
    own = value.view(-1, heads)[layout.own_link].view(-1)
    assert torch.equal(matrix.diagonal(), own)


@given(line_graphs())
def test_entries_know_their_link(graph):
    schedule, ancestry, links = graph.schedule, graph.ancestry, graph.links
    link = links.entry_link
    assert torch.equal(links.reader[link], schedule.end[ancestry.to_edge])
    assert torch.equal(links.by_reader.column[link], schedule.start[ancestry.from_edge])


def test_layouts_are_made_once():
    dag = LineGraph.grid(3, 2)
    assert dag.links.layout(2) is dag.reverse().links.layout(2)


def test_rows_of_several_heads_interleave():
    rows = Rows.sort(torch.tensor([1, 0, 1]), torch.tensor([2, 0, 1]), torch.arange(3), 2).for_heads(2)
    assert rows.ptr.tolist() == [0, 1, 2, 4, 6]
    assert rows.column.tolist() == [0, 1, 2, 4, 3, 5]
    assert rows.where.tolist() == [2, 3, 4, 0, 5, 1]
