"""Which edges reach which: the sparsity pattern of the resolvent (I - T)^-1, and the steps that fill it in."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from plstm_graph.graph.levels import expand_ranges
from plstm_graph.graph.schedule import Schedule
from plstm_graph.graph.structure_native import has_native_structure, list_ancestors

#: More entries than this (each takes about 100 bytes with its steps) are never built.
MAX_ENTRIES = 2**24


class AncestryTooLargeError(ValueError):
    """The edges of a graph have more ancestors, all in all, than may be listed."""


@dataclass(frozen=True, eq=False)
class Ancestry:
    """All pairs (a, f) of edges where a path leads from ``a`` to ``f``, that from an edge to itself included.

    Edges are named by their storage position in the :class:`~plstm_graph.graph.Schedule`. An *entry* is one such pair;
    a *step* carries the entry (a, e) over the pair (e, f) of the line graph to the entry (a, f). The reversed DAG has
    the same entries and steps: there, ``f`` reaches ``a``.

    Attributes:
        from_edge: ``a`` of each entry, ``[A]``.
        to_edge: ``f`` of each entry, ``[A]``; entries are sorted by it, then by ``a``.
        own: Entry of each edge with itself, ``[E]``.
        step_from: Entry that each step starts from, ``[S]``.
        step_to: Entry that each step leads to, ``[S]``.
        step_pair: The caller's pair that each step crosses, ``[S]``.
        step_ptr: Steps that lead to level ``l`` are ``step_ptr[l]:step_ptr[l + 1]``, ``[L + 1]``, always on the CPU.
    """

    from_edge: Tensor
    to_edge: Tensor
    own: Tensor
    step_from: Tensor
    step_to: Tensor
    step_pair: Tensor
    step_ptr: Tensor

    @classmethod
    def build(cls, schedule: Schedule, max_entries: int = MAX_ENTRIES) -> "Ancestry":
        """List the ancestors of every edge.

        Args:
            schedule: The line graph in storage order.
            max_entries: Stop when there are more entries or steps than this.

        Raises:
            AncestryTooLargeError: If there are; nothing of that size has been allocated by then.
        """
        if has_native_structure(schedule.edge_order):
            listed = list_ancestors(schedule, max_entries)
            if listed is None:
                raise _too_large(schedule, max_entries)
            return cls(*listed)
        return cls._build_in_torch(schedule, max_entries)

    @classmethod
    def _build_in_torch(cls, schedule: Schedule, max_entries: int) -> "Ancestry":
        """What :meth:`build` does, level by level, on any device."""
        size = schedule.edge_order.numel()
        edge_ptr, pair_ptr = schedule.edge_ptr.tolist(), schedule.pair_ptr.tolist()
        count = schedule.edge_order.new_zeros(size)
        first = torch.zeros_like(count)
        edges = torch.arange(size, device=count.device)
        # Grows by doubling: deep graphs have too many levels to copy what there is at each of them.
        buffer = count.new_empty(4 * size)
        filled = 0
        steps: list[tuple[Tensor, Tensor, Tensor]] = []
        step_ptr = [0]

        for level in range(schedule.num_levels):
            here = edges[edge_ptr[level] : edge_ptr[level + 1]]
            pairs = slice(pair_ptr[level], pair_ptr[level + 1])
            entries, num_steps = here, 0
            if pairs.start < pairs.stop:
                arriving = count[schedule.pair_in[pairs]]
                num_steps = int(arriving.sum())
                if step_ptr[-1] + num_steps > max_entries or filled + num_steps > max_entries:
                    raise _too_large(schedule, max_entries)
                step_from = expand_ranges(first[schedule.pair_in[pairs]], arriving)
                pair = torch.repeat_interleave(
                    torch.arange(pairs.start, pairs.stop, device=count.device), arriving, output_size=num_steps
                )
                # Several paths from one edge to another meet in one entry.
                key = torch.cat([here * (size + 1), schedule.pair_out[pair] * size + buffer[step_from]])
                entry, step_to = torch.unique(key, return_inverse=True)
                to_edge = torch.div(entry, size, rounding_mode="floor")
                entries = entry - to_edge * size
                steps.append((step_from, step_to[here.numel() :] + filled, pair))
                number = torch.bincount(to_edge - edge_ptr[level], minlength=here.numel())
            else:
                number = torch.ones_like(here)
            count[edge_ptr[level] : edge_ptr[level + 1]] = number
            first[edge_ptr[level] : edge_ptr[level + 1]] = number.cumsum(0) - number + filled
            if filled + entries.numel() > buffer.numel():
                buffer = torch.cat([buffer[:filled], buffer.new_empty(filled + 2 * entries.numel())])
            buffer[filled : filled + entries.numel()] = entries
            filled += entries.numel()
            step_ptr.append(step_ptr[-1] + num_steps)

        from_edge, none = buffer[:filled].clone(), edges[:0]
        step_from, step_to, pair = (torch.cat(part) for part in zip(*steps, strict=True)) if steps else (none,) * 3
        to_edge = torch.repeat_interleave(edges, count, output_size=from_edge.numel())
        return cls(
            from_edge=from_edge,
            to_edge=to_edge,
            own=(from_edge == to_edge).nonzero().view(-1),
            step_from=step_from,
            step_to=step_to,
            step_pair=schedule.pair_order[pair],
            step_ptr=torch.tensor(step_ptr, device="cpu"),
        )

    @property
    def num_entries(self) -> int:
        """Number of entries ``A``."""
        return self.from_edge.numel()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Ancestry":
        """Copy to a device; ``step_ptr`` stays on the CPU."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Ancestry(
            **{
                name: tensor if name == "step_ptr" else tensor.to(device, non_blocking=non_blocking)
                for name, tensor in moved.items()
            }
        )


def _too_large(schedule: Schedule, max_entries: int) -> AncestryTooLargeError:
    return AncestryTooLargeError(
        f"the {schedule.edge_order.numel()} edges have more than {max_entries} ancestors in all; use the recurrent form"
    )
