import networkx as nx
import pytest
import torch

from plstm_graph.graph.orientation.centre import centre_distance, centre_rank


def as_edge_index(graph: nx.Graph) -> torch.Tensor:
    columns = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    return torch.cat([columns, columns.flip(0)], dim=1)


def expected_distance(graph: nx.Graph) -> list[int]:
    distance = {}
    for component in nx.connected_components(graph):
        part = graph.subgraph(component)
        distance.update(nx.multi_source_dijkstra_path_length(part, set(nx.center(part))))
    return [distance[node] for node in range(graph.number_of_nodes())]


GRAPHS = {
    "path of 1": nx.path_graph(1),
    "path of 2": nx.path_graph(2),
    "even path": nx.path_graph(8),
    "odd path": nx.path_graph(9),
    "odd cycle": nx.cycle_graph(7),
    "star": nx.star_graph(5),
    "complete": nx.complete_graph(5),
    "grid": nx.convert_node_labels_to_integers(nx.grid_2d_graph(4, 5)),
    "barbell": nx.barbell_graph(4, 3),
    "two components and an isolated node": nx.disjoint_union_all(
        [nx.path_graph(5), nx.cycle_graph(4), nx.empty_graph(1)]
    ),
    "no edges": nx.empty_graph(3),
} | {f"random {seed}": nx.gnp_random_graph(24, 0.09, seed=seed) for seed in range(30)}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_distance_agrees_with_networkx(graph: nx.Graph) -> None:
    assert centre_distance(as_edge_index(graph), graph.number_of_nodes()).tolist() == expected_distance(graph)


def test_directions_are_ignored() -> None:
    edge_index = torch.tensor([[1, 1, 3], [0, 2, 2]])  # the path 0 - 1 - 2 - 3 - and an isolated 4
    assert centre_distance(edge_index, 5).tolist() == [1, 0, 0, 1, 0]


def test_empty_graph() -> None:
    assert centre_rank(torch.empty(2, 0, dtype=torch.long), 0).tolist() == []


def test_rank_leads_outward_or_inward() -> None:
    path = as_edge_index(nx.path_graph(5))
    assert centre_rank(path, 5).tolist() == [3, 1, 0, 2, 4]
    assert centre_rank(path, 5, inward=True).tolist() == [0, 2, 4, 3, 1]


def test_tie_decides_between_equal_distances() -> None:
    path = as_edge_index(nx.path_graph(5))
    assert centre_rank(path, 5, tie=torch.tensor([9, 8, 7, 6, 5])).tolist() == [4, 2, 0, 1, 3]


def test_tie_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"tie must be \[N\] = \[5\], got \[4\]"):
        centre_rank(as_edge_index(nx.path_graph(5)), 5, tie=torch.arange(4))


def test_with_a_tie_the_rank_does_not_depend_on_the_numbering() -> None:
    graph = GRAPHS["grid"]
    num_nodes = graph.number_of_nodes()
    edge_index = as_edge_index(graph)
    generator = torch.Generator().manual_seed(0)
    tie = torch.randperm(num_nodes, generator=generator)
    number = torch.randperm(num_nodes, generator=generator)  # new number of each node
    renumbered_tie = torch.empty_like(tie)
    renumbered_tie[number] = tie
    rank = centre_rank(edge_index, num_nodes, tie)
    assert torch.equal(centre_rank(number[edge_index], num_nodes, renumbered_tie)[number], rank)


def test_long_path_needs_few_searches() -> None:
    # Quadratic cost would be minutes here.
    num_nodes = 20_000
    path = torch.stack([torch.arange(num_nodes - 1), torch.arange(1, num_nodes)])
    distance = centre_distance(path, num_nodes)
    assert distance[[0, num_nodes // 2 - 1, num_nodes // 2, num_nodes - 1]].tolist() == [9999, 0, 0, 9999]
