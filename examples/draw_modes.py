"""Draw the pictures of docs/modes.md: what each mode carries through the same small DAG, computed by the operator.

python examples/draw_modes.py docs/modes/modes.png
"""

import sys

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from plstm_graph import LineGraph, plstm
from plstm_graph.ops import plstm_max_plus
from plstm_graph.viz.dag import draw_dag

EDGES = torch.tensor([[0, 0, 1, 1, 2, 3, 4, 5], [2, 3, 3, 4, 5, 5, 6, 6]])
NODES = 7
HOURS = torch.tensor([2.0, 1, 3, 4, 2, 1, 1]).double()
ORANGE = "#f6a35c"


def read(value: Tensor, source: Tensor, transition: Tensor, graph: LineGraph) -> Tensor:
    """What each node reads if heads are one wide, marks and queries are one, and each node hears itself: ``[N]``."""
    ones = torch.ones(NODES, 1, 1).double()
    gates = (source.view(-1, 1), transition.view(-1, 1), torch.ones(graph.num_edges, 1).double())
    return plstm(ones, ones, value.double().view(-1, 1, 1), *gates, torch.ones(NODES, 1).double(), graph).view(-1)


def amounts(axes: Axes, graph: LineGraph) -> None:
    """P-mode: what arrives is divided among the out-edges."""
    share = 1 / torch.bincount(EDGES[0])[EDGES[0]].double()
    given = torch.tensor([8.0, 4, 0, 0, 0, 0, 0])
    litres = read(given, share, share[graph.pairs[1]], graph)
    title = "P, amounts: water is divided where ways part"
    draw(axes, litres, f"{title}\n(litres; 8 enter at one spring, 4 at the other)")


def averages(axes: Axes, graph: LineGraph) -> None:
    """P-mode with normalization="row": each node is the mean of what arrives."""
    part = 1 / torch.bincount(EDGES[1])[EDGES[1]].double()
    value = read(torch.tensor([1.0, 0, 0, 0, 0, 0, 0]), part, part[graph.pairs[1]], graph)
    draw(axes, value, "P by rows, averages: a child is the mean of its parents\n(part of the first founder's genes)")


def signals(axes: Axes, graph: LineGraph) -> None:
    """D-mode: copied along single paths."""
    tree = graph.to_multitree()
    source = (tree.edge_index[0] == 0).double()
    strength = read(torch.tensor([1.0, 0, 0, 0, 0, 0, 0]), source, torch.full((tree.num_pairs,), 0.9).double(), tree)
    title = "D, signals: each edge gets a copy, which takes one way to each edge beyond"
    draw(axes, strength, f"{title}\n(strength of what the lower left node says; at 1.8 two copies meet)")


def times(axes: Axes, graph: LineGraph) -> None:
    """M-mode: the latest of all ways."""
    start, end = graph.edge_index
    column = HOURS.view(-1, 1)
    terms = (column[start], column[start][graph.pairs[1]], column[end], column)
    done = plstm_max_plus(*terms, graph).view(-1)
    critical = torch.isclose(done[end], done[start] + HOURS[end])
    on_path, node = torch.zeros(graph.num_edges, dtype=torch.bool), int(done.argmax())
    while (into := (critical & (end == node)).nonzero().view(-1)).numel():
        on_path[into[0]] = True
        node = int(start[into[0]])
    title = "M, times: a task waits for the last of those before it"
    draw(axes, done, f"{title}\n(hours until done; the critical path is drawn)", on_path)


def draw(axes: Axes, values: Tensor, title: str, strong: Tensor | None = None) -> None:
    """The DAG with a value on each node, darker where it is larger."""
    shade = (values / values.max()).tolist()
    colors = [(1.0, 1 - 0.36 * part, 1 - 0.64 * part) for part in shade]
    draw_dag(axes, EDGES, NODES, labels=[f"{value:.2g}" for value in values.tolist()], colors=colors, strong=strong)
    axes.set_title(title, fontsize=10)


def main() -> None:
    graph = LineGraph(EDGES, NODES)
    figure = Figure(figsize=(11, 7), layout="constrained")
    for axes, panel in zip(figure.subplots(2, 2).ravel(), (amounts, averages, signals, times), strict=True):
        panel(axes, graph)
    figure.savefig(sys.argv[1], dpi=110)


if __name__ == "__main__":
    main()
