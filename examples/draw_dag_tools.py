"""Draw the pictures of docs/dag_tools.md.

python examples/draw_dag_tools.py docs/dag_tools.png
"""

import itertools
import sys

import torch
from matplotlib.figure import Figure

from plstm_graph.graph import LineGraph, ancestors, descendants, longest_path, random_dag, transitive_reduction
from plstm_graph.viz.dag import draw_dag

NODES = 14


def main():
    edge_index = random_dag(NODES, 22, span=6, generator=torch.Generator().manual_seed(3))
    figure = Figure(figsize=(16, 8), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    draw_dag(axes[0], edge_index, NODES, title="longest_path_levels, generations")

    path = longest_path(edge_index, NODES).tolist()
    steps = set(itertools.pairwise(path))
    on_path = torch.tensor([tuple(edge) in steps for edge in edge_index.t().tolist()])
    colors = ["#f6a35c" if node in path else "white" for node in range(NODES)]
    draw_dag(axes[1], edge_index, NODES, colors=colors, strong=on_path, title="longest_path")

    node = path[len(path) // 2]
    above, below = ancestors(edge_index, NODES, node), descendants(edge_index, NODES, node)
    colors = [
        "#f6a35c" if other == node else "#bcd6f2" if above[other] else "#bfe3c0" if below[other] else "white"
        for other in range(NODES)
    ]
    draw_dag(axes[2], edge_index, NODES, colors=colors, title=f"ancestors (blue) and descendants (green) of {node}")

    keep = transitive_reduction(edge_index, NODES)
    draw_dag(axes[3], edge_index, NODES, strong=keep, title="transitive_reduction (dashed: a longer path leads there)")

    small = torch.tensor([[0, 1, 1, 2, 3, 4], [1, 2, 3, 4, 4, 5]])
    names = [f"{u}→{v}" for u, v in small.t().tolist()]
    graph = LineGraph(small, 6)
    draw_dag(
        axes[4],
        graph.pairs,
        graph.num_edges,
        labels=names,
        title="LineGraph.pairs of a diamond 1, {2, 3}, 4 with tails 0 and 5",
    )
    kept = set(map(tuple, graph.to_multitree().pairs.t().tolist()))
    strong = torch.tensor([tuple(pair) in kept for pair in graph.pairs.t().tolist()])
    draw_dag(
        axes[5],
        graph.pairs,
        graph.num_edges,
        labels=names,
        strong=strong,
        title="LineGraph.to_multitree() (dashed: cut)",
    )
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "dag_tools.png", dpi=75)


if __name__ == "__main__":
    main()
