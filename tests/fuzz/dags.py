"""Random DAGs and line graphs of any kind, drawn from a seed."""

import random

import torch

from plstm_graph.graph import LineGraph


def random_line_graph(rng: random.Random) -> tuple[str, LineGraph]:
    """A line graph with all pairs, some of them in any order, or those of a multitree, in either direction."""
    nodes, edges = random_dag(rng)
    graph = LineGraph(torch.tensor(edges, dtype=torch.long).view(-1, 2).t().contiguous(), nodes)
    kind = rng.choice(("all", "subset", "multitree"))
    if kind == "multitree":
        graph = graph.to_multitree()
    elif kind == "subset":
        chosen = rng.sample(range(graph.num_pairs), rng.randint(0, graph.num_pairs))
        graph = LineGraph(graph.edge_index, nodes, pairs=graph.pairs[:, torch.tensor(chosen, dtype=torch.long)])
    return kind, graph.reverse() if rng.random() < 0.5 else graph


def random_dag(rng: random.Random) -> tuple[int, list[tuple[int, int]]]:
    """Number of nodes and edges in any order: sparse, dense, deep, with a hub, parallel edges, isolated nodes, none."""
    nodes = rng.choice((1, 2, 3, 8, 20, 40))
    rank = rng.sample(range(nodes), nodes)
    kind = rng.choice(("sparse", "dense", "chain", "hub"))
    edges = []
    if nodes > 1:
        if kind == "chain":
            edges = [(i, i + 1) for i in range(nodes - 1)] + [(i, i + 2) for i in range(0, nodes - 2, 3)]
        elif kind == "hub":
            hub = rng.randrange(nodes)
            edges = [(min(i, hub), max(i, hub)) for i in range(nodes) if i != hub]
        else:
            count = rng.randint(0, 3 * nodes if kind == "dense" else nodes)
            edges = [tuple(sorted(rng.sample(range(nodes), 2))) for _ in range(count)]
    if edges and rng.random() < 0.3:
        edges += rng.choices(edges, k=2)
    rng.shuffle(edges)
    return nodes, [(rank[u], rank[v]) for u, v in edges]
