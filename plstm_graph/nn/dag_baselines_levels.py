"""Nodes and in-edges of a DAG sorted by level, for networks that update one level after the other."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph


@dataclass(frozen=True)
class LevelOrder:
    """A DAG stored level by level: every edge enters its end's level from a lower one.

    Attributes:
        node_order (Tensor): Caller's node at each storage position, ``[N]``.
        node_position (Tensor): Storage position of each caller's node, ``[N]``; inverse of ``node_order``.
        edge_order (Tensor): Caller's edge at each storage position, ``[E]``.
        start (Tensor): Storage position of the start node of each stored edge, ``[E]``.
        end (Tensor): Storage position of the end node of each stored edge, ``[E]``, non-decreasing.
        levels (list[tuple[int, int, int, int]]): First and last-plus-one node of each level, then the same of the edges
            that enter it.
    """

    node_order: Tensor
    node_position: Tensor
    edge_order: Tensor
    start: Tensor
    end: Tensor
    levels: list[tuple[int, int, int, int]]

    @classmethod
    def build(cls, edge_index: Tensor, level: Tensor) -> "LevelOrder":
        """Sort nodes and edges by level.

        Args:
            edge_index: Start and end node of each edge, ``[2, E]``.
            level: Longest-path level of each node, ``[N]``.
        """
        node_order = torch.argsort(level, stable=True)
        position = torch.empty_like(node_order)
        position[node_order] = torch.arange(level.numel(), device=level.device)
        end, edge_order = torch.sort(position[edge_index[1]], stable=True)
        nodes = torch.bincount(level).cumsum(0)
        edges = torch.bincount(level[edge_index[1]], minlength=nodes.numel()).cumsum(0)
        stops = list(zip(nodes.tolist(), edges.tolist(), strict=True))
        starts = [(0, 0), *stops[:-1]]
        return cls(
            node_order=node_order,
            node_position=position,
            edge_order=edge_order,
            start=position[edge_index[0, edge_order]],
            end=end,
            levels=[
                (node, last_node, edge, last_edge)
                for (node, edge), (last_node, last_edge) in zip(starts, stops, strict=True)
            ],
        )

    @classmethod
    def of(cls, line_graph: LineGraph, against: bool = False) -> "LevelOrder":
        """The levels of a line graph's DAG, built at the first call and kept as long as the line graph is.

        Args:
            line_graph: The structure.
            against: Whether edges are followed against their direction.
        """
        orders = _ORDERS.setdefault(line_graph, {})
        if against not in orders:
            graph = line_graph.reverse() if against else line_graph
            orders[against] = cls.build(graph.edge_index, graph.level)
        return orders[against]


_ORDERS: WeakKeyDictionary[LineGraph, dict[bool, LevelOrder]] = WeakKeyDictionary()
