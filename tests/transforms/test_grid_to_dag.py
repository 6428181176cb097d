"""Images as DAGs: the same numbers as the operator on grids, for PLSTMConv unchanged."""

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Batch

from plstm_graph import LineGraph, PLSTMConv
from plstm_graph.ops.grid2d.plstm_grid2d import plstm_grid2d
from plstm_graph.transforms import GridToDAG
from tests.rounding import rounding


def grid_gates(conv, data, graph, shape):
    """The gates that a PLSTMConv gives the edges and pairs of a grid, each at its node; zero where there is none."""
    source, transition, mark, direct = conv.gates.of_logits(conv.gates.logits(data.x, None), graph)
    start, end = graph.edge_index
    in_edge, out_edge = graph.pairs
    right = torch.arange(graph.num_edges) < (shape[0] - 1) * shape[1]
    none = source.new_zeros(len(data.x), conv.heads)

    def at_node(values, nodes, chosen):
        return none.index_add(0, nodes[chosen], values[chosen]).view(1, *shape, -1)

    node = end[in_edge]
    return (
        at_node(source, start, right),
        at_node(source, start, ~right),
        at_node(transition, node, right[in_edge] & right[out_edge]),
        at_node(transition, node, ~right[in_edge] & ~right[out_edge]),
        at_node(transition, node, right[in_edge] & ~right[out_edge]),
        at_node(transition, node, ~right[in_edge] & right[out_edge]),
        at_node(mark, end, right),
        at_node(mark, end, ~right),
        direct.view(1, *shape, -1),
    )


@pytest.mark.parametrize("chirality", ["L", "R"])
@pytest.mark.parametrize("mode", ["P", "D"])
@pytest.mark.parametrize("shape", [(3, 4), (5, 5), (1, 6), (4, 1)])
def test_conv_on_the_dag_equals_the_grid_operator(mode, chirality, shape):
    data = GridToDAG(patch_size=2, chirality=chirality)(torch.rand(3, 2 * shape[0], 2 * shape[1]).double())
    conv = PLSTMConv(12, 8, heads=2, mode=mode).double()
    line_graph = LineGraph.from_data(data)
    out = conv(data.x, data.edge_index, line_graph=line_graph)

    graph = line_graph.to_multitree() if mode == "D" else line_graph
    gates = grid_gates(conv, data, graph, shape)
    if mode == "D":
        assert (gates[4 if chirality == "L" else 5] == 0).all()  # exact: nothing is written there
    query, key, value = (F.linear(data.x, weight).view(1, *shape, 2, 4) for weight in conv.lin.weight.chunk(3))
    expected = plstm_grid2d(query, key / 2, value, *gates)
    torch.testing.assert_close(out, conv.lin_out(conv.norm(expected).flatten(-2)).flatten(0, 2), rtol=1e-10, atol=1e-12)


def test_nodes_are_patches_in_order():
    image = torch.arange(2 * 4 * 6).view(2, 4, 6).float()
    data = GridToDAG(patch_size=2)(image)
    assert data.x.shape == (6, 8)
    # Exact: copies, and halves.
    assert torch.equal(data.x[4], image[:, 2:4, 2:4].flatten())
    assert data.pos[4].tolist() == [1, 0.5]
    assert data.level.tolist() == [0, 1, 2, 1, 2, 3]
    assert set(map(tuple, data.edge_index.t().tolist())) >= {(1, 4), (4, 5)}
    data.validate()


@pytest.mark.parametrize("chirality", ["L", "R"])
def test_d_mode_loses_no_reachability(chirality):
    data = GridToDAG(chirality=chirality)(torch.rand(1, 6, 7))
    cut = LineGraph.from_data(data).to_multitree()
    assert cut.num_pairs < LineGraph.from_data(data).num_pairs
    reach = torch.zeros(cut.num_edges, cut.num_edges, dtype=torch.double)
    reach[cut.pairs[0], cut.pairs[1]] = 1
    paths = torch.linalg.inv(torch.eye(cut.num_edges, dtype=torch.double) - reach)
    assert paths.max().item() == pytest.approx(1, rel=rounding(torch.float64, cut.num_edges)), (
        "a multitree has one path at most"
    )
    start, end = cut.edge_index
    reached = torch.zeros(42, 42, dtype=torch.bool)
    first, last = (paths > 0.5).nonzero(as_tuple=True)
    reached[start[first], end[last]] = True
    place = (data.pos * torch.tensor([5.0, 6.0])).round()
    before = (place[:, None] <= place[None]).all(dim=-1) & ~torch.eye(42, dtype=torch.bool)
    assert torch.equal(reached, before)


def test_images_of_different_sizes_in_a_batch():
    transform = GridToDAG(patch_size=4)
    conv = PLSTMConv(16, 8, heads=2, mode="D")
    images = [torch.rand(1, 8, 12), torch.rand(1, 16, 4)]
    batch = Batch.from_data_list([transform(image) for image in images])
    together = conv(batch.x, batch.edge_index, line_graph=LineGraph.from_data(batch))
    apart = [transform(image) for image in images]
    alone = [conv(each.x, each.edge_index, line_graph=LineGraph.from_data(each)) for each in apart]
    torch.testing.assert_close(together, torch.cat(alone))


def test_bytes_and_bad_images():
    image = torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8)
    torch.testing.assert_close(
        GridToDAG()(image).x, GridToDAG()(image / 255).x, rtol=rounding(torch.float32, 1), atol=0
    )
    with pytest.raises(ValueError, match=r"multiples of the patch size, 3, got \[3, 4, 4\]"):
        GridToDAG(3)(image)
    with pytest.raises(ValueError, match=r"must be \[C, height, width\]"):
        GridToDAG()(image[0])
    with pytest.raises(ValueError, match="not finite"):
        GridToDAG()(torch.full((1, 2, 2), float("inf")))
    with pytest.raises(ValueError, match="chirality must be 'L' or 'R', got 'D'"):
        GridToDAG(chirality="D")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        GridToDAG(0)
    assert repr(GridToDAG(4)) == "GridToDAG(patch_size=4, chirality='L')"
