"""Nodes and in-edges of a DAG sorted by level, for networks that update nodes one level after the other."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class NodeLevels:
    """A DAG stored level by level: every edge enters its end's level from a lower one.

    Attributes:
        node_order (Tensor): Caller's node at each storage position, ``[N]``.
        node_position (Tensor): Storage position of each caller's node, ``[N]``; inverse of ``node_order``.
        edge_order (Tensor): Caller's edge at each storage position, ``[E]``.
        edge_position (Tensor): Storage position of each caller's edge, ``[E]``; inverse of ``edge_order``.
        start (Tensor): Storage position of the start node of each stored edge, ``[E]``.
        end (Tensor): Storage position of the end node of each stored edge, ``[E]``, non-decreasing.
        node_ptr (Tensor): Stored nodes of level ``l`` are ``node_ptr[l]:node_ptr[l + 1]``, ``[L + 1]``, always on the
            CPU so that reading it never waits for another device.
        edge_ptr (Tensor): The same for the edges that enter level ``l``.
    """

    node_order: Tensor
    node_position: Tensor
    edge_order: Tensor
    edge_position: Tensor
    start: Tensor
    end: Tensor
    node_ptr: Tensor
    edge_ptr: Tensor

    @classmethod
    def build(cls, edge_index: Tensor, level: Tensor) -> "NodeLevels":
        """Sort nodes and edges by level.

        Args:
            edge_index: Start and end node of each edge, ``[2, E]``.
            level: Longest-path level of each node, ``[N]``.
        """
        node_order = torch.argsort(level, stable=True)
        position = _inverse(node_order)
        end, edge_order = torch.sort(position[edge_index[1]], stable=True)
        nodes = torch.bincount(level)
        return cls(
            node_order=node_order,
            node_position=position,
            edge_order=edge_order,
            edge_position=_inverse(edge_order),
            start=position[edge_index[0, edge_order]],
            end=end,
            node_ptr=_boundaries(nodes),
            edge_ptr=_boundaries(torch.bincount(level[edge_index[1]], minlength=nodes.numel())),
        )

    @property
    def levels(self) -> list[tuple[int, int, int, int]]:
        """First and last-plus-one node of each level, then the same of the edges that enter it."""
        return level_bounds(self.node_ptr, self.edge_ptr)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "NodeLevels":
        """Copy to a device; the level boundaries stay on the CPU."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {
            name: value if name.endswith("_ptr") else value.to(device, non_blocking=non_blocking)
            for name, value in values.items()
        }
        return NodeLevels(**moved)


def level_bounds(node_ptr: Tensor, edge_ptr: Tensor) -> list[tuple[int, int, int, int]]:
    """As :attr:`NodeLevels.levels`."""
    nodes, edges = node_ptr.tolist(), edge_ptr.tolist()
    return list(zip(nodes[:-1], nodes[1:], edges[:-1], edges[1:], strict=True))


def _inverse(order: Tensor) -> Tensor:
    return torch.empty_like(order).scatter_(0, order, torch.arange(order.numel(), device=order.device))


def _boundaries(count: Tensor) -> Tensor:
    """Where each level begins, as a CPU tensor."""
    ptr = torch.zeros(count.numel() + 1, dtype=torch.long, device="cpu")
    ptr[1:] = count.cumsum(0)
    return ptr
