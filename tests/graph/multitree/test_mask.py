import itertools
import zipfile

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.graph import line_graph_pairs, longest_path_levels
from plstm_graph.graph.multitree import component as multitree_component
from plstm_graph.graph.multitree import mask as multitree
from plstm_graph.graph.multitree import search as multitree_search
from plstm_graph.graph.multitree.by_blocks import edge_blocks
from plstm_graph.graph.multitree.mask import multitree_mask
from plstm_graph.graph.reachability import ancestor_pairs
from plstm_graph.testing import random_dag
from tests.strategies import dags


def cut(edge_index, num_nodes, pairs=None, rank=None):
    """Pairs of a graph and which of them are kept."""
    pairs = line_graph_pairs(edge_index, num_nodes) if pairs is None else pairs
    return pairs, multitree_mask(edge_index, num_nodes, pairs, longest_path_levels(edge_index, num_nodes), rank)


def path_counts(pairs, num_edges):
    """Number of paths from every edge to every edge, (I - A)^-1 as the sum of all powers of A, in integers."""
    adjacency = torch.zeros(num_edges, num_edges, dtype=torch.long)
    adjacency.index_put_((pairs[0], pairs[1]), torch.tensor(1), accumulate=True)
    total = power = torch.eye(num_edges, dtype=torch.long)
    while power.any():
        power = (power @ adjacency).clamp(max=2)  # whether it is more than one is all that matters
        total = (total + power).clamp(max=2)
    return total


def greedy_mask(edge_index, num_nodes, pairs):
    """The rule of the authors, in words: edge by edge, and for each in-edge by in-edge, in topological order, a pair
    is kept if the multitree built so far has no edge that reaches both of its edges."""
    level = longest_path_levels(edge_index, num_nodes)
    order = sorted(range(edge_index.size(1)), key=lambda e: (int(level[edge_index[0, e]]), edge_index[:, e].tolist()))
    column = {pair: i for i, pair in enumerate(map(tuple, pairs.t().tolist()))}
    in_edges = {f: [] for f in order}
    for e, f in sorted(column, key=lambda pair: order.index(pair[0])):
        in_edges[f].append(e)
    keep = torch.zeros(pairs.size(1), dtype=torch.bool)
    ancestors = {}
    for f in order:
        ancestors[f] = {f}
        for e in in_edges[f]:
            if not ancestors[e] & ancestors[f]:
                ancestors[f] |= ancestors[e]
                keep[column[e, f]] = True
    return keep


def grid(*sides):
    """Edges of a grid of any dimension, each coordinate rising, shuffled, with shuffled node numbers."""
    node = torch.randperm(torch.Size(sides).numel()).view(sides)
    edges = []
    for axis, side in enumerate(sides):
        low, high = node.narrow(axis, 0, side - 1), node.narrow(axis, 1, side - 1)
        edges.append(torch.stack([low.flatten(), high.flatten()]))
    edge_index = torch.cat(edges, dim=1)
    return edge_index[:, torch.randperm(edge_index.size(1))], node.numel()


@given(dags(max_nodes=14, max_edges=40), st.randoms(use_true_random=False))
def test_at_most_one_path_no_needless_cut_and_never_below_greedy(dag, random):
    edge_index, num_nodes = dag
    num_edges = edge_index.size(1)
    pairs = line_graph_pairs(*dag)
    columns = random.sample(range(pairs.size(1)), pairs.size(1))[: random.choice([pairs.size(1), pairs.size(1) // 2])]
    pairs = pairs[:, torch.tensor(columns, dtype=torch.long)]
    _, keep = cut(*dag, pairs)
    assert keep.shape == (pairs.size(1),) and keep.dtype == torch.bool
    counts = path_counts(pairs[:, keep], num_edges)
    assert (counts <= 1).all()
    for column in (~keep).nonzero().view(-1).tolist():
        restored = keep.clone()
        restored[column] = True
        assert path_counts(pairs[:, restored], num_edges).max() == 2
    greedy = greedy_mask(edge_index, num_nodes, pairs)
    kept, kept_greedy = (ancestor_pairs(*dag, pairs[:, mask]).size(1) for mask in (keep, greedy))
    assert kept >= kept_greedy


@pytest.mark.parametrize("reference", [(6, 260, 405), (8, 651, 1232)])
def test_greedy_reference_is_the_rule_of_the_authors(reference):
    side, kept, total = reference
    node = torch.arange(side * side).view(side, side)
    down, right = torch.stack([node[:-1], node[1:]]), torch.stack([node[:, :-1], node[:, 1:]])
    edge_index = torch.cat([down.flatten(1), right.flatten(1)], dim=1)
    pairs = line_graph_pairs(edge_index, side * side)
    greedy = greedy_mask(edge_index, side * side, pairs)
    assert ancestor_pairs(edge_index, side * side).size(1) == total
    assert ancestor_pairs(edge_index, side * side, pairs[:, greedy]).size(1) == kept


@pytest.mark.parametrize(
    "sides",
    [*itertools.combinations_with_replacement((2, 3, 5, 8), 2), (1, 9), (16, 16), (2, 3, 4), (4, 4, 4), (2,) * 5],
)
def test_grids_of_any_dimension_lose_nothing(sides):
    for _ in range(3):
        edge_index, num_nodes = grid(*sides)
        pairs, keep = cut(edge_index, num_nodes)
        assert (path_counts(pairs[:, keep], edge_index.size(1)) <= 1).all()
        kept = ancestor_pairs(edge_index, num_nodes, pairs[:, keep])
        assert torch.equal(kept, ancestor_pairs(edge_index, num_nodes))


def test_nothing_is_cut_where_no_second_path_exists():
    tree = torch.tensor([[0, 0, 1, 1, 2, 7], [1, 2, 3, 4, 5, 2]])
    diamond = torch.tensor([[0, 0, 1, 2], [1, 2, 3, 3]])  # two paths of nodes, but no edge before or after
    for edge_index in (tree, diamond, torch.cat([tree, diamond + 8], dim=1), tree[:, :0], tree[:, :1]):
        assert cut(edge_index, 12)[1].all()


def test_least_loss_is_found_where_greedy_loses():
    # A ring of six with a tail below: cut at its bottom, two nodes lose the tail; cut at its top, only node 5 is lost.
    edge_index = torch.tensor([[0, 1, 2, 3, 1, 4, 5, 6, 7, 8], [1, 2, 3, 6, 4, 5, 6, 7, 8, 9]])
    pairs, keep = cut(edge_index, 10)
    single_cuts = ~torch.eye(pairs.size(1), dtype=torch.bool)
    best = max(
        ancestor_pairs(edge_index, 10, pairs[:, mask]).size(1)
        for mask in single_cuts
        if (path_counts(pairs[:, mask], 10) <= 1).all()
    )
    greedy = ancestor_pairs(edge_index, 10, pairs[:, greedy_mask(edge_index, 10, pairs)]).size(1)
    assert ancestor_pairs(edge_index, 10, pairs[:, keep]).size(1) == best == greedy + 4
    assert best == ancestor_pairs(edge_index, 10).size(1) - 2


def test_parallel_edges():
    edge_index = torch.tensor([[0, 1, 1, 2], [1, 2, 2, 3]])
    pairs, keep = cut(edge_index, 4)
    assert (path_counts(pairs[:, keep], 4) <= 1).all() and (~keep).sum() == 1
    assert ancestor_pairs(edge_index, 4, pairs[:, keep]).size(1) == 6


@given(dags(max_nodes=14, max_edges=40), st.randoms(use_true_random=False))
def test_order_of_edges_and_pairs_and_numbers_under_ranks_do_not_matter(dag, random):
    edge_index, num_nodes = dag
    edge_index = torch.unique(edge_index, dim=1)  # parallel edges cannot be told apart
    num_edges = edge_index.size(1)
    pairs, keep = cut(edge_index, num_nodes)
    expected = {(tuple(edge_index[:, e].tolist()), tuple(edge_index[:, f].tolist())) for e, f in pairs[:, keep].t()}

    number, column = (torch.tensor(random.sample(range(n), n), dtype=torch.long) for n in (num_nodes, num_edges))
    shuffled = number[edge_index[:, column]]
    rank = torch.empty_like(number)
    rank[number] = 3 * torch.arange(num_nodes)
    pairs = line_graph_pairs(shuffled, num_nodes)
    pairs = pairs[:, torch.tensor(random.sample(range(pairs.size(1)), pairs.size(1)), dtype=torch.long)]
    pairs, keep = cut(shuffled, num_nodes, pairs, rank)
    original = (rank // 3)[shuffled]
    found = {(tuple(original[:, e].tolist()), tuple(original[:, f].tolist())) for e, f in pairs[:, keep].t()}
    assert found == expected


def test_batch_gives_the_masks_of_its_graphs():
    generator = torch.Generator().manual_seed(3)
    graphs = [random_dag(nodes, edges, generator) for nodes, edges in [(12, 30), (1, 0), (20, 25), (9, 9), (30, 80)]]
    sizes = [12, 1, 20, 9, 30]
    offset = torch.tensor([0, *sizes]).cumsum(0).tolist()
    batch = torch.cat([edge_index + shift for edge_index, shift in zip(graphs, offset, strict=False)], dim=1)
    single = torch.cat([cut(edge_index, size)[1] for edge_index, size in zip(graphs, sizes, strict=True)])
    assert torch.equal(cut(batch, sum(sizes))[1], single) and not single.all()


@given(dags(max_nodes=14, max_edges=40))
def test_rule_for_large_components_is_a_multitree_too(dag):
    edge_index, num_nodes = dag
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multitree, "_MAX_SEARCH_EDGES", 0)
        pairs, keep = cut(edge_index, num_nodes)
    assert (path_counts(pairs[:, keep], edge_index.size(1)) <= 1).all()


def test_rule_for_large_components_in_linear_time():
    num_nodes = 60_000
    child = torch.arange(1, num_nodes)
    tree = torch.stack([(child - 1) // 3, child])
    assert cut(tree, num_nodes)[1].all() and cut(tree.flip(0), num_nodes)[1].all()
    closed = torch.cat([tree, torch.tensor([[0], [num_nodes - 1]])], dim=1)  # one block more, the rest are bridges
    pairs, keep = cut(closed, num_nodes)
    assert keep.sum() == pairs.size(1)  # the second path starts at a root without in-edges


@given(dags(max_nodes=10, max_edges=16))
def test_blocks_are_biconnected_components(dag):
    edge_index = dag[0]
    if edge_index.size(1) == 0:
        return
    whole = nx.Graph(edge_index.t().tolist())
    members = nx.node_connected_component(whole, int(edge_index[0, 0]))
    edge_index = torch.tensor([edge for edge in edge_index.t().tolist() if edge[0] in members]).t()
    whole = whole.subgraph(members)
    local = {node: i for i, node in enumerate(whole)}
    start, end = ([local[node] for node in nodes] for nodes in edge_index.tolist())
    blocks = edge_blocks(start, end, len(local))
    found = {frozenset(frozenset((start[e], end[e])) for e in range(len(start)) if blocks[e] == b) for b in set(blocks)}
    expected = {
        frozenset(frozenset(local[node] for node in edge) for edge in block)
        for block in nx.biconnected_component_edges(whole)
    }
    assert found == expected


@given(dags(max_nodes=14, max_edges=40))
def test_search_without_budget_still_gives_a_multitree(dag):
    edge_index, num_nodes = dag
    for budget in (0, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(multitree_search, "_BUDGET", budget)
            patch.setattr(multitree_component, "_BUDGET", budget)
            pairs, keep = cut(edge_index, num_nodes)
        assert (path_counts(pairs[:, keep], edge_index.size(1)) <= 1).all()


def test_mutag_loses_nothing(real_data):
    with zipfile.ZipFile(real_data / "TU" / "MUTAG.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith("MUTAG_A.txt"))
        bonds = [[int(node) - 1 for node in line.split(",")] for line in archive.read(name).decode().splitlines()]
    edge_index = torch.tensor([bond for bond in bonds if bond[0] < bond[1]]).t()
    num_nodes = int(edge_index.max()) + 1
    pairs, keep = cut(edge_index, num_nodes)
    total = ancestor_pairs(edge_index, num_nodes)
    assert torch.equal(ancestor_pairs(edge_index, num_nodes, pairs[:, keep]), total) and not keep.all()
    greedy = greedy_mask(edge_index, num_nodes, pairs)
    assert ancestor_pairs(edge_index, num_nodes, pairs[:, greedy]).size(1) < 0.84 * total.size(1)
