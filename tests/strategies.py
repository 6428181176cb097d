"""Hypothesis strategies for DAGs and gates."""

import torch
from hypothesis import strategies as st

from plstm_graph.graph import LineGraph
from plstm_graph.testing import random_operands


@st.composite
def dags(draw, max_nodes: int = 12, max_edges: int = 30):
    """Edge index and number of nodes: hubs, parallel edges, isolated nodes, no edges, one node; any numbering."""
    num_nodes = draw(st.integers(1, max_nodes))
    rank = draw(st.permutations(range(num_nodes)))
    ends = st.tuples(st.integers(0, num_nodes - 1), st.integers(0, num_nodes - 1)).filter(lambda e: e[0] != e[1])
    edges = draw(st.lists(ends, max_size=max_edges)) if num_nodes > 1 else []
    oriented = [(u, v) if rank[u] < rank[v] else (v, u) for u, v in edges]
    return torch.tensor(oriented, dtype=torch.long).view(-1, 2).t().contiguous(), num_nodes


@st.composite
def line_graphs(draw):
    """Line graphs with all pairs or a subset of them, in any order, either direction."""
    edge_index, num_nodes = draw(dags())
    graph = LineGraph(edge_index, num_nodes)
    chosen = draw(st.permutations(range(graph.num_pairs)))[: draw(st.integers(0, graph.num_pairs))]
    if draw(st.booleans()):
        graph = LineGraph(edge_index, num_nodes, pairs=graph.pairs[:, torch.tensor(chosen, dtype=torch.long)])
    return graph.reverse() if draw(st.booleans()) else graph


@st.composite
def problems(draw):
    """A line graph and operands, some of whose gates are exactly 0 or 1."""
    graph = draw(line_graphs())
    widths = draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    operands = random_operands(graph, *widths, generator=generator)
    for name in ("source", "transition", "mark", "direct"):
        exact = torch.randint(0, 4, operands[name].shape, generator=generator)
        with torch.no_grad():
            operands[name][exact == 0] = 0.0
            operands[name][exact == 1] = 1.0
    return graph, operands
