"""Which nodes read which nodes through a DAG: the sparsity pattern of the parallel form's attention."""

from dataclasses import dataclass, field, fields
from typing import NamedTuple

import torch
from torch import Tensor

from plstm_graph.graph.ancestry import Ancestry
from plstm_graph.graph.plain import outside_transforms
from plstm_graph.graph.rows import Rows, pointer
from plstm_graph.graph.schedule import Schedule
from plstm_graph.graph.structure_native import has_native_structure, stable_order, unique_links


class LinkLayout(NamedTuple):
    """Links for a number of heads and one direction, as a flat list of tensors. ``M`` links, ``A`` entries.

    Attributes:
        ptr: Compressed rows of readers, ``[R * H + 1]``.
        column: What is read, ``[M * H]``.
        where: Where the value of each item stands in ``[M, H]``, ``[M * H]``.
        back_ptr: Compressed rows of the transpose, ``[C * H + 1]``.
        back_column: Who reads, ``[M * H]``.
        back_where: Which item of the matrix itself each item of the transpose is, ``[M * H]``.
        entry_link: The link that each entry of the ancestry belongs to, ``[A]``.
        own_link: The link of each node with itself, ``[N]``; empty if there are none.
    """

    ptr: Tensor
    column: Tensor
    where: Tensor
    back_ptr: Tensor
    back_column: Tensor
    back_where: Tensor
    entry_link: Tensor
    own_link: Tensor


@dataclass(frozen=True, eq=False)
class Links:
    """Pairs (reader, node read) that an entry of an :class:`~plstm_graph.graph.ancestry.Ancestry` joins, each once.

    Attributes:
        by_reader: A row for each reader; ``where`` numbers the links.
        reader: The reader of each item there, ``[M]``.
        by_read: A row for each node that is read, the transpose; ``where`` is the number of the link.
        read: The node read of each item there, ``[M]``.
        entry_link: The link that each entry of the ancestry belongs to, ``[A]``.
        own_link: The link of each node with itself, ``[N]``; empty if there are none.
    """

    by_reader: Rows
    reader: Tensor
    by_read: Rows
    read: Tensor
    entry_link: Tensor
    own_link: Tensor
    layouts: dict[tuple[int, bool], LinkLayout] = field(default_factory=dict, repr=False)

    @classmethod
    def between_nodes(cls, schedule: Schedule, ancestry: Ancestry, num_nodes: int) -> "Links":
        """Every node reads itself and the nodes that have a path to it. The reversed DAG has the same links, turned.

        Args:
            schedule: The line graph in storage order.
            ancestry: Which of its edges reach which.
            num_nodes: ``N``
        """
        node = torch.arange(num_nodes, device=ancestry.to_edge.device)
        reader = torch.cat([node, schedule.end[ancestry.to_edge]])
        read = torch.cat([node, schedule.start[ancestry.from_edge]])
        return cls._build(reader, read, num_nodes, num_nodes, num_own=num_nodes)

    @classmethod
    def of_edges(cls, schedule: Schedule, ancestry: Ancestry, num_nodes: int, reverse: bool) -> "Links":
        """Every edge, in storage order, reads the nodes whose input its state holds.

        Args:
            schedule: The line graph in storage order.
            ancestry: Which of its edges reach which.
            num_nodes: ``N``
            reverse: Whether states travel from sinks to sources.
        """
        reader, read = ancestry.to_edge, schedule.start[ancestry.from_edge]
        if reverse:
            reader, read = ancestry.from_edge, schedule.end[ancestry.to_edge]
        return cls._build(reader, read, schedule.edge_order.numel(), num_nodes, num_own=0)

    @classmethod
    def _build(cls, reader: Tensor, read: Tensor, num_readers: int, num_read: int, num_own: int) -> "Links":
        """Links from one (reader, read) for each node with itself and each entry, repetitions included."""
        if has_native_structure(reader):
            reader, read, which = unique_links(reader, read, num_readers, num_read)
            order = stable_order(read, num_read)
        else:
            link, which = torch.unique(reader * num_read + read, return_inverse=True)
            reader = torch.div(link, max(num_read, 1), rounding_mode="floor")
            read = link - reader * num_read
            order = torch.argsort(read, stable=True)
        number = torch.arange(reader.numel(), device=reader.device)
        return cls(
            by_reader=Rows(pointer(torch.bincount(reader, minlength=num_readers)), read, number),
            reader=reader,
            by_read=Rows(pointer(torch.bincount(read, minlength=num_read)), reader[order], order),
            read=read[order],
            entry_link=which[num_own:],
            own_link=which[:num_own],
        )

    def ends(self, reverse: bool = False) -> tuple[Tensor, Tensor]:
        """Reader of each link, and the node that it reads, ``[M]`` each; turned if the DAG is reversed."""
        ends = self.reader, self.by_reader.column
        return (ends[1], ends[0]) if reverse else ends

    @outside_transforms
    def layout(self, heads: int, reverse: bool = False) -> LinkLayout:
        """The links laid out for a number of heads; made once and kept.

        Args:
            heads: Number of heads ``H``.
            reverse: Turn readers into what is read, and the other way round.
        """
        if (heads, reverse) in self.layouts:
            return self.layouts[heads, reverse]
        both = self._lay_out(heads)
        if not torch.compiler.is_compiling():
            self.layouts[heads, False], self.layouts[heads, True] = both
        return both[reverse]

    def _lay_out(self, heads: int) -> tuple[LinkLayout, LinkLayout]:
        """Both directions, which share their rows."""
        rows = self.by_reader.for_heads(heads, self.reader)
        back = self.by_read.for_heads(heads, self.read)
        item = torch.arange(rows.where.numel(), device=rows.where.device)
        place = torch.empty_like(item).scatter_(0, rows.where, item).index_select(0, back.where)
        back_place = torch.empty_like(item).scatter_(0, place, item)
        links = (self.entry_link, self.own_link)
        return (
            LinkLayout(*rows, back.ptr, back.column, place, *links),
            LinkLayout(*back, rows.ptr, rows.column, back_place, *links),
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Links":
        """Copy to a device."""
        names = [f.name for f in fields(self) if f.name != "layouts"]
        return Links(**{name: getattr(self, name).to(device, non_blocking=non_blocking) for name in names})
