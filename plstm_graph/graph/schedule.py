"""The order in which a line graph is advanced: edges and pairs sorted by level, computed once per batch."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Schedule:
    """Level-sorted storage order of a line graph.

    Edges are stored by the level of their start node, pairs by the storage position of their out-edge, so that the
    edges of one level, and the pairs that lead into them, are contiguous. The reversed DAG needs no schedule of its
    own: its line graph is the transpose of this one, and its edges advance through the same levels from the last to
    the first.

    Attributes:
        edge_order: Caller's edge at each storage position, ``[E]``.
        edge_position: Storage position of each of the caller's edges, ``[E]``, the inverse of ``edge_order``.
        pair_order: Caller's pair at each storage position, ``[P]``.
        start: Start node of each stored edge, ``[E]``.
        end: End node of each stored edge, ``[E]``.
        pair_in: Storage position of the in-edge of each stored pair, ``[P]``.
        pair_out: Storage position of the out-edge of each stored pair, ``[P]``, non-decreasing.
        edge_ptr: Stored edges of level ``l`` are ``edge_ptr[l]:edge_ptr[l + 1]``, ``[L + 1]``, always on the CPU so
            that reading it never waits for another device.
        pair_ptr: The same for the pairs whose out-edge is on level ``l``, ``[L + 1]``, always on the CPU.
    """

    edge_order: Tensor
    edge_position: Tensor
    pair_order: Tensor
    start: Tensor
    end: Tensor
    pair_in: Tensor
    pair_out: Tensor
    edge_ptr: Tensor
    pair_ptr: Tensor

    @classmethod
    def build(cls, edge_index: Tensor, pairs: Tensor, level: Tensor) -> "Schedule":
        """Sort edges and pairs by level.

        Args:
            edge_index: Start and end node of each edge, ``[2, E]``, int64.
            pairs: In-edge and out-edge of each pair, ``[2, P]``, int64.
            level: Longest-path level of each node, ``[N]``, int64.
        """
        edge_level, edge_order = torch.sort(level[edge_index[0]], stable=True)
        edge_position = torch.empty_like(edge_order)
        edge_position[edge_order] = torch.arange(edge_order.numel(), device=edge_order.device)
        pair_out, pair_order = torch.sort(edge_position[pairs[1]], stable=True)
        pair_in = edge_position[pairs[0, pair_order]]
        start, end = edge_index[:, edge_order]
        return cls(
            edge_order=edge_order,
            edge_position=edge_position,
            pair_order=pair_order,
            start=start,
            end=end,
            pair_in=pair_in,
            pair_out=pair_out,
            edge_ptr=_boundaries(edge_level),
            pair_ptr=_boundaries(edge_level[pair_out], num_levels=int(edge_level[-1]) + 1 if len(edge_level) else 0),
        )

    @property
    def num_levels(self) -> int:
        """Number of levels that have edges, ``L``."""
        return self.edge_ptr.numel() - 1

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Schedule":
        """Copy to a device; the level boundaries stay on the CPU."""
        return Schedule(
            **{
                f.name: getattr(self, f.name)
                if f.name.endswith("_ptr")
                else getattr(self, f.name).to(device, non_blocking=non_blocking)
                for f in fields(self)
            }
        )


def _boundaries(sorted_level: Tensor, num_levels: int = 0) -> Tensor:
    """Where each level begins in a sorted list of levels, as a CPU tensor."""
    count = torch.bincount(sorted_level, minlength=num_levels)
    ptr = torch.zeros(count.numel() + 1, dtype=torch.long, device="cpu")
    ptr[1:] = count.cumsum(0)
    return ptr
