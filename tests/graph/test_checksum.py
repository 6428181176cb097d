import itertools

import pytest
import torch
from hypothesis import given

from plstm_graph.graph.checksum import check_dag_checksum, dag_checksum
from tests.strategies import dags


def batched(graphs):
    """Edges, number of nodes and checksum of a batch."""
    first = torch.tensor([0, *itertools.accumulate(n for _, n in graphs)])
    edges = torch.cat([edge_index + first[i] for i, (edge_index, _) in enumerate(graphs)], dim=1)
    return edges, int(first[-1]), torch.cat([dag_checksum(*graph) for graph in graphs])


@given(dags(), dags())
def test_it_fits_its_graph_alone_and_in_batches(one, two):
    for graphs in ([one], [one, two], [two, one, one], [two, (torch.empty(2, 0, dtype=torch.long), 3), one]):
        edges, num_nodes, checksum = batched(graphs)
        assert checksum.shape == (len(graphs), 3)
        check_dag_checksum(checksum, edges, num_nodes)


@given(dags(), dags())
def test_every_other_order_and_every_other_edge_differs(one, two):
    edges, num_nodes, checksum = batched([one, two])
    changed = [edges.flip(0), edges.flip(1), edges.roll(1, dims=1)]
    for column in range(edges.size(1)):
        other = edges.clone()
        other[1, column] = (other[1, column] + 1) % max(num_nodes, 1)
        changed.append(other)
    for other in changed:
        if not torch.equal(other, edges):
            with pytest.raises(ValueError, match="changed after ToDAG"):
                check_dag_checksum(checksum, other, num_nodes)


def test_all_small_graphs_have_different_checksums():
    pairs = list(itertools.product(range(3), repeat=2))
    seen = set()
    for length in range(4):
        for columns in itertools.product(pairs, repeat=length):
            edge_index = torch.tensor(columns, dtype=torch.long).view(-1, 2).t()
            seen.add(tuple(dag_checksum(edge_index, 3)[0].tolist()))
    assert len(seen) == 1 + 9 + 81 + 729


def test_counts_are_named():
    edge_index = torch.tensor([[0, 1], [1, 2]])
    checksum = dag_checksum(edge_index, 3)
    with pytest.raises(ValueError, match="it had 3 nodes then and has 4 now"):
        check_dag_checksum(checksum, edge_index, 4)
    with pytest.raises(ValueError, match="it had 2 edges then and has 1 now"):
        check_dag_checksum(checksum, edge_index[:, :1], 3)
    with pytest.raises(ValueError, match="it had 3 nodes then and has 0 now"):
        check_dag_checksum(checksum, edge_index[:, :0], 0)
