"""The line graph of a batch, joined from those of its graphs."""

from collections.abc import Sequence
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor

from plstm_graph.graph.line_graph import LineGraph
from plstm_graph.graph.pairs import count_pairs


def union(graphs: Sequence[LineGraph]) -> LineGraph:
    """See :meth:`LineGraph.union`, which has arguments and errors."""
    graphs = list(graphs)
    for number, graph in enumerate(graphs):
        if not isinstance(graph, LineGraph):
            raise TypeError(f"item {number} must be a plstm_graph.LineGraph, got {type(graph).__name__}")
        if graph._is_multitree:
            raise ValueError(f"line graph {number} is cut to a multitree: join those that it was cut from")
    if not graphs:
        raise ValueError("there are no line graphs to join")
    devices = sorted({str(graph.device) for graph in graphs})
    if len(devices) > 1:
        raise ValueError(f"line graphs lie on several devices: {', '.join(devices)}")
    if len({graph.is_reversed for graph in graphs}) > 1:
        raise ValueError("some of the line graphs are reversed and some are not")
    if graphs[0].is_reversed:
        return union([graph.reverse() for graph in graphs]).reverse()
    nodes = _offsets([graph.num_nodes for graph in graphs])
    edges = _offsets([graph.num_edges for graph in graphs])
    cut = all(graph._kept_pairs is not None for graph in graphs)
    chosen = any(graph._pairs is not None and not _has_all_pairs(graph) for graph in graphs)
    pairs = [graph.pairs + first for graph, first in zip(graphs, edges, strict=False)] if cut or chosen else []
    return LineGraph(
        torch.cat([graph.edge_index + first for graph, first in zip(graphs, nodes, strict=False)], dim=1),
        nodes[-1],
        pairs=torch.cat(pairs, dim=1) if pairs else None,
        level=torch.cat([graph.level for graph in graphs]),
        kept_pairs=torch.cat([cast(Tensor, graph._kept_pairs) for graph in graphs]) if cut else None,
    )


def _has_all_pairs(graph: LineGraph) -> bool:
    return graph.num_pairs == count_pairs(graph.edge_index, graph.num_nodes)


def _offsets(sizes: Sequence[int]) -> list[int]:
    """Where each of several things begins that are put one after the other, and where the last ends."""
    return [0, *accumulate(sizes)]
