"""The line graph of a DAG: the structure that every form of the operator and every layer runs on."""

import sys
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from plstm_graph.graph.ancestry import MAX_ENTRIES, Ancestry, AncestryTooLargeError
from plstm_graph.graph.blocks.cuts import equal_blocks, merged_blocks
from plstm_graph.graph.blocks.layout import BlockLayout
from plstm_graph.graph.blocks.level_blocks import Blocks
from plstm_graph.graph.checks import check_edge_index, check_level, check_pairs
from plstm_graph.graph.checksum import check_dag_checksum
from plstm_graph.graph.edge_rows import edge_rows
from plstm_graph.graph.levels import longest_path_levels
from plstm_graph.graph.links import Links
from plstm_graph.graph.multitree.mask import multitree_mask
from plstm_graph.graph.native_plan import plan_lists
from plstm_graph.graph.node_levels import NodeLevels
from plstm_graph.graph.pairs import MAX_PAIRS, count_pairs, line_graph_pairs
from plstm_graph.graph.plain import outside_transforms, plain
from plstm_graph.graph.schedule import Schedule
from plstm_graph.graph.split_nodes import split_graph
from plstm_graph.graph.structure_native import has_native_structure


class _HasStructure(Protocol):
    """What :meth:`LineGraph.from_data` reads of a graph or a batch of graphs."""

    edge_index: Any
    num_nodes: Any


_OF_ANOTHER = "the line graph is of other edges"


def _mark(tensor: Tensor) -> tuple[weakref.ref[Tensor], int] | None:
    """What tells whether a tensor is the same object with the same content; tensors of inference mode have none."""
    return None if tensor.is_inference() else (weakref.ref(tensor), tensor._version)


def _own(tensor: Tensor) -> Tensor:
    """A plain copy that nobody else holds."""
    return tensor.as_subclass(Tensor).clone()


class LineGraph:
    r"""A directed acyclic graph seen from its edges (`pLSTM paper <https://arxiv.org/abs/2506.11997>`_, eq. 5).

    The edges of the DAG are the vertices of its line graph; a *pair* :math:`(e, f)` joins an edge to an edge that
    starts where it ends. Cell states live on the edges and move along the pairs. Edges and pairs keep the caller's
    order; isolated nodes and parallel edges are legal, self-loops are cycles. A batch of graphs is one disjoint DAG.

    Args:
        edge_index (Tensor): Start and end node of each edge, ``[2, E]``, int64, in any order.
        num_nodes (int, optional): Number of nodes ``N``. (default: one more than the largest index)
        pairs (Tensor, optional): In-edge and out-edge of each pair as columns of ``edge_index``, ``[2, P]``, int64,
            in any order; a subset is legal. (default: all pairs of the DAG, listed when first needed)
        level (Tensor, optional): Longest-path level of each node, ``[N]``, int64, if it is known already.
        kept_pairs (Tensor, optional): Which of the pairs survive the cut to a multitree, ``[P]``, bool, if known
            already, as :class:`~plstm_graph.transforms.ToDAG` attaches it.

    A line graph keeps copies of the tensors that it is made of, so that it stays what it is when they are changed.
    Its own tensors must not be changed in place: where that is noticed, it is an error.

    Attributes:
        num_nodes (int): ``N``

    Raises:
        CycleError: If the graph has a directed cycle; names one.
        TypeError: If an argument has the wrong type or dtype.
        ValueError: If an index is out of range, a shape is wrong, or a pair does not meet at a node; names the column.
    """

    @outside_transforms
    def __init__(
        self,
        edge_index: Tensor,
        num_nodes: int | None = None,
        pairs: Tensor | None = None,
        *,
        level: Tensor | None = None,
        kept_pairs: Tensor | None = None,
    ) -> None:
        _refuse_recording()
        if torch.compiler.is_compiling():
            raise RuntimeError(
                "compiled code cannot build a line graph: build it before, call its prepare(), and hand it over as "
                "line_graph"
            )
        edge_index = plain(edge_index)
        pairs, level, kept_pairs = (None if given is None else plain(given) for given in (pairs, level, kept_pairs))
        self.num_nodes = check_edge_index(edge_index, num_nodes)
        self._same = _mark(edge_index)
        edge_index = self._edge_index = _own(edge_index)
        if level is None:
            level = longest_path_levels(edge_index, self.num_nodes)
        else:
            level = _own(level)
            check_level(level, edge_index, self.num_nodes)
        if pairs is not None:
            pairs = _own(pairs)
            check_pairs(pairs, edge_index)
        self._pairs = pairs
        self._level: Tensor | None = level
        self._kept_pairs = None if kept_pairs is None else _own(kept_pairs)
        self._schedule: Schedule | None = None
        self._ancestry: Ancestry | None = None
        self._more_entries_than = -1
        self._links: dict[str, Links] = {}
        self._plans: dict[bool, Tensor] = {}
        self._node_levels: dict[bool, NodeLevels] = {}
        self._rows: dict[int, LineGraph] = {}
        self._blocks: dict[int | tuple[int, int, int], Blocks] = {}
        self._multitree: LineGraph | None = None
        self._is_multitree = False
        self._split_nodes: LineGraph | None = None
        self._forward: LineGraph | None = None
        self._versions: dict[str, int] = {}
        if kept_pairs is not None and kept_pairs.shape != self.pairs.shape[1:]:
            raise ValueError(f"kept_pairs must be [P] = [{self.num_pairs}], got {list(kept_pairs.shape)}")

    @classmethod
    def from_edge_index(cls, edge_index: Tensor, num_nodes: int | None = None) -> "LineGraph":
        """All pairs of a DAG.

        Args:
            edge_index: Start and end node of each edge, ``[2, E]``, int64.
            num_nodes: Number of nodes. (default: one more than the largest index)

        Raises:
            CycleError: If the graph has a directed cycle.
        """
        return cls(edge_index, num_nodes)

    @classmethod
    def from_data(cls, data: _HasStructure) -> "LineGraph":
        """The line graph of a PyG graph or batch, from what :class:`~plstm_graph.transforms.ToDAG` attached to it.

        Args:
            data: Anything with ``edge_index`` and ``num_nodes``; ``level`` and ``kept_pairs`` spare computing them, and
                count only beside the ``dag_checksum`` that tells what they were computed for. A ``line_graph`` that it
                has already is taken, and so are those of its graphs, which PyG batches as a list.

        Raises:
            ValueError: If edges or nodes were changed after ToDAG, or after a line graph was attached, so that levels
                and cuts are those of another graph.
        """
        attached = getattr(data, "line_graph", None)
        if attached is not None:
            graph = attached if isinstance(attached, LineGraph) else cls.union(attached)
            if graph.num_nodes != data.num_nodes:
                raise ValueError(f"the graph has {data.num_nodes} nodes, but its line graph {graph.num_nodes}")
            graph.check_same_edges(data.edge_index)
            return graph
        level, kept_pairs = getattr(data, "level", None), getattr(data, "kept_pairs", None)
        checksum = getattr(data, "dag_checksum", None)
        if checksum is None:
            if kept_pairs is not None:
                raise ValueError(
                    "the graph has kept_pairs, but no dag_checksum that says which edges they belong to; apply ToDAG "
                    "to it once more (files that an earlier version processed are to be made anew)"
                )
            return cls(data.edge_index, data.num_nodes)
        num_nodes = check_edge_index(data.edge_index, data.num_nodes)
        check_dag_checksum(checksum, data.edge_index, num_nodes)
        return cls(data.edge_index, num_nodes, level=level, kept_pairs=kept_pairs)

    @classmethod
    @outside_transforms
    def union(cls, graphs: Sequence["LineGraph"]) -> "LineGraph":
        """The line graph of several DAGs side by side, in their order: that of a batch of graphs.

        Levels, pairs and cuts are those that the parts know already; what else was built is built anew when needed.

        Args:
            graphs: Whole line graphs, all reversed or none, on one device.

        Raises:
            TypeError: If one of them is no line graph.
            ValueError: If there are none, only some are reversed, one is cut to a multitree, or devices differ.
        """
        from plstm_graph.graph.union import union  # which makes line graphs itself

        return union(graphs)

    @classmethod
    def grid(cls, width: int, height: int) -> "LineGraph":
        """The two-dimensional grid: node ``x * height + y``, edges to ``(x + 1, y)`` first, then to ``(x, y + 1)``.

        Args:
            width: Number of nodes along the first axis, ``X``.
            height: Number of nodes along the second axis, ``Y``.
        """
        node = torch.arange(width * height).view(width, height)
        right = torch.stack([node[:-1].reshape(-1), node[1:].reshape(-1)])
        down = torch.stack([node[:, :-1].reshape(-1), node[:, 1:].reshape(-1)])
        return cls(torch.cat([right, down], dim=1), width * height)

    @property
    def edge_index(self) -> Tensor:
        """Start and end node of each edge, ``[2, E]``, int64."""
        return self._unchanged("_edge_index")

    @property
    def device(self) -> torch.device:
        """Where the structure lies; boundaries of levels are always on the CPU."""
        return self._edge_index.device

    @property
    def num_edges(self) -> int:
        """Number of edges ``E``."""
        return self._edge_index.size(1)

    @property
    @outside_transforms
    def pairs(self) -> Tensor:
        """In-edge and out-edge of each pair as columns of ``edge_index``, ``[2, P]``, listed at the first call.

        Raises:
            ValueError: If there are more than :data:`~plstm_graph.graph.pairs.MAX_PAIRS`; names the largest hub.
        """
        if self._pairs is None:
            if self._forward is not None:
                self._pairs = self._forward.pairs.flip(0)
            else:
                _refuse_in_compiled_code("the pairs")
                self._pairs = line_graph_pairs(self.edge_index, self.num_nodes)
        return self._unchanged("_pairs")

    @property
    @outside_transforms
    def num_pairs(self) -> int:
        """Number of pairs ``P``, counted without listing them."""
        if self._pairs is not None:
            return self._pairs.size(1)
        if self._forward is not None:
            return self._forward.num_pairs
        _refuse_in_compiled_code("the pairs")
        return count_pairs(self.edge_index, self.num_nodes)

    @property
    def is_reversed(self) -> bool:
        """Whether this is the transpose of the line graph that its schedule was built for."""
        return self._forward is not None

    @property
    @outside_transforms
    def level(self) -> Tensor:
        """Number of edges on the longest path that ends in each node, ``[N]``, int64."""
        if self._level is None:
            self._level = longest_path_levels(self.edge_index, self.num_nodes)
        return self._unchanged("_level")

    @property
    @outside_transforms
    def schedule(self) -> Schedule:
        """The order of evaluation, built at the first call; shared by both directions."""
        if self._forward is not None:
            return self._forward.schedule
        if self._schedule is None:
            _refuse_in_compiled_code("the schedule")
            self._schedule = Schedule.build(self.edge_index, self.pairs, self.level)
        return self._schedule

    @property
    @outside_transforms
    def node_levels(self) -> NodeLevels:
        """Nodes level by level in this direction, with the edges that enter each level, built at the first call."""
        levels = (self._forward or self)._node_levels
        if self.is_reversed not in levels:
            _refuse_in_compiled_code("the levels of nodes", "nodes=True")
            levels[self.is_reversed] = NodeLevels.build(self.edge_index, self.level)
        return levels[self.is_reversed]

    @property
    @outside_transforms
    def ancestry(self) -> Ancestry:
        """Which edges reach which, built at the first call; shared by both directions.

        Raises:
            AncestryTooLargeError: If there are more than :data:`~plstm_graph.graph.ancestry.MAX_ENTRIES` such pairs.
        """
        if self._forward is not None:
            return self._forward.ancestry
        if self._ancestry is None:
            _refuse_in_compiled_code("the ancestors")
            self._ancestry = Ancestry.build(self.schedule)
        return self._ancestry

    @outside_transforms
    def has_ancestry(self, max_entries: int) -> bool:
        """Whether no more than ``max_entries`` pairs of edges reach each other; if so, they are listed from then on."""
        if self._forward is not None:
            return self._forward.has_ancestry(max_entries)
        max_entries = min(max_entries, MAX_ENTRIES)
        if self._ancestry is None and max_entries > self._more_entries_than:
            try:
                self._ancestry = Ancestry.build(self.schedule, max_entries)
            except AncestryTooLargeError:
                self._more_entries_than = max_entries
        return self._ancestry is not None and self._ancestry.num_entries <= max_entries

    @property
    @outside_transforms
    def links(self) -> Links:
        """Which nodes read which, built at the first call; shared by both directions, whose links are each other's
        transposes.

        Raises:
            AncestryTooLargeError: As for :attr:`ancestry`.
        """
        if self._forward is not None:
            return self._forward.links
        if "nodes" not in self._links:
            self._links["nodes"] = Links.between_nodes(self.schedule, self.ancestry, self.num_nodes)
        return self._links["nodes"]

    @property
    def has_links(self) -> bool:
        """Whether :attr:`links` were built already."""
        return "nodes" in (self._forward or self)._links

    @property
    @outside_transforms
    def edge_links(self) -> Links:
        """Which edges, in storage order, hold the inputs of which nodes in this direction, built at the first call.

        Raises:
            AncestryTooLargeError: As for :attr:`ancestry`.
        """
        links = (self._forward or self)._links
        name = "edges, reversed" if self.is_reversed else "edges"
        if name not in links:
            links[name] = Links.of_edges(self.schedule, self.ancestry, self.num_nodes, self.is_reversed)
        return links[name]

    @property
    @outside_transforms
    def split_nodes(self) -> "LineGraph":
        """Every node split in two, with an edge through it, for transitions that factorise at the node; built once.

        See :func:`~plstm_graph.graph.split_nodes.split_graph`: the edges of this graph come first, in their order, and
        there are at most ``2 E`` pairs, however large a hub is. Shared by both directions.

        Raises:
            ValueError: If this graph does not have all pairs of its DAG: such a choice does not factorise.
        """
        if self._forward is not None:
            return self._forward.split_nodes.reverse()
        if self._split_nodes is None:
            _refuse_in_compiled_code("the nodes split in two", "split_nodes=True")
            every = count_pairs(self.edge_index, self.num_nodes)
            if self.num_pairs != every:
                raise ValueError(
                    f"a transition that factorises at the node needs all pairs of the DAG, {every}, but this line "
                    f"graph has {self.num_pairs}"
                )
            edge_index, level = split_graph(self.edge_index, self.level)
            self._split_nodes = LineGraph(edge_index, 2 * self.num_nodes, level=level)
        return self._split_nodes

    @property
    @outside_transforms
    def native_plan(self) -> Tensor:
        """What native code walks by in this direction, see :mod:`~plstm_graph.graph.native_plan`, made at the first
        call; none, ``[0]``, where there is no native code, and in compiled code if it was not made before."""
        plans = (self._forward or self)._plans
        if self.is_reversed not in plans:
            if not has_native_structure(self._edge_index):
                return self.edge_index.new_empty(0)
            plans[self.is_reversed] = plan_lists(self.edge_index, self.pairs, self.num_nodes)
        return plans[self.is_reversed]

    @outside_transforms
    def rows(self, size: int) -> "LineGraph":
        """Every edge ``size`` times, for transitions that are matrices, see :func:`~plstm_graph.graph.edge_rows`; built
        once for each size. Shared by both directions.

        Args:
            size: Rows of a matrix, ``J``.
        """
        if size == 1:
            return self
        if self._forward is not None:
            return self._forward.rows(size).reverse()
        if size not in self._rows:
            _refuse_in_compiled_code("the rows of edges", f"rows={size}")
            edge_index, pairs = edge_rows(self.edge_index, self.pairs, size)
            self._rows[size] = LineGraph(edge_index, self.num_nodes, pairs, level=self.level)
        return self._rows[size]

    def has_rows(self, size: int) -> bool:
        """Whether :meth:`rows` were built for this size already."""
        return size == 1 or size in (self._forward or self)._rows

    @outside_transforms
    def blocks(self, heads: int, key_width: int, value_width: int, levels: int | None = None) -> Blocks:
        """The levels cut into blocks, built at the first call; shared by both directions.

        Args:
            heads: ``H``
            key_width: ``K``
            value_width: ``V``
            levels: Number of levels of each block. (default: neighbouring blocks are merged while that makes the
                chunkwise form of the operator cheaper at these widths)

        Raises:
            AncestryTooLargeError: If blocks of ``levels`` levels have too many items.
            ValueError: If ``levels`` is not positive.
        """
        if self._forward is not None:
            return self._forward.blocks(heads, key_width, value_width, levels)
        wanted = (heads, key_width, value_width) if levels is None else levels
        if wanted not in self._blocks:
            _refuse_in_compiled_code("the blocks", f"widths=({heads}, {key_width}, {value_width})")
            if levels is None:
                edge_ptr = merged_blocks(self.schedule, heads, key_width, value_width)
                # Merging has kept to the limit already, among blocks of each size.
                self._blocks[wanted] = Blocks.build(self.schedule, edge_ptr, max_entries=sys.maxsize)
            else:
                self._blocks[wanted] = Blocks.build(self.schedule, equal_blocks(self.schedule, levels))
        return self._blocks[wanted]

    def has_blocks(self, heads: int, key_width: int, value_width: int) -> bool:
        """Whether :meth:`blocks` were built for these widths already."""
        return (heads, key_width, value_width) in (self._forward or self)._blocks

    @outside_transforms
    def prepare(
        self,
        split_nodes: bool = False,
        widths: tuple[int, int, int] | None = None,
        multitree: bool = True,
        nodes: bool = False,
        rows: int = 1,
    ) -> "LineGraph":
        """Build everything that is otherwise built at first use. Returns the graph itself.

        Call it before the graph enters compiled code, or moves to another device. Ancestors are listed up to 64 per
        edge on average; beyond that the ``"auto"`` form does not use them for heads of usual widths. Pairs
        of which there are more than :data:`~plstm_graph.graph.pairs.MAX_PAIRS` are left out.

        Args:
            split_nodes: Whether to build :attr:`split_nodes` as well.
            widths: ``(H, K, V)`` of the layers, to cut :meth:`blocks` for them and lay out links. Compiled code needs
                blocks for the ``"chunkwise"`` form, and ``"auto"`` takes it there where ancestors are too many to list;
                without the layout, and without native code, it may be compiled twice.
            multitree: Whether to build :meth:`to_multitree` as well; only D-mode needs it.
            nodes: Whether to build :attr:`node_levels` of both directions; layers that update nodes level by level
                need them.
            rows: Rows of the matrices of layers that have such transitions, to build :meth:`rows` as well.
        """
        forward = self._forward or self
        for direction in (forward, forward.reverse()) if nodes else ():
            _ = direction.node_levels
        graphs = [] if forward.num_pairs > MAX_PAIRS else [forward]
        if graphs and multitree:
            graphs.append(forward.to_multitree())
        if rows > 1:
            graphs += [graph.rows(rows) for graph in graphs]
        for graph in [*graphs, forward.split_nodes] if split_nodes else graphs:
            _ = graph.schedule
            if graph.has_ancestry(64 * graph.num_edges):
                links = graph.links
                if widths is not None:
                    links.layout(widths[0])
            if widths is not None:
                blocks = graph.blocks(*widths)
                for reverse in (False, True):
                    BlockLayout.of(blocks, widths[0], reverse)
        return self

    @outside_transforms
    def reverse(self) -> "LineGraph":
        """The line graph of the DAG with all edges turned around: the same edges and pairs, in the same order."""
        if self._forward is not None:
            return self._forward
        return self._replace(
            _edge_index=self.edge_index.flip(0),
            _pairs=None,
            _level=None,
            _multitree=None,
            _split_nodes=None,
            _forward=self,
        )

    @outside_transforms
    def to_multitree(self) -> "LineGraph":
        """Cut to a multitree: at most one directed path between any two edges (D-mode).

        Nodes and edges stay; only pairs go, so that as many ancestors as possible still reach each node. The result
        is kept, and its reverse is the multitree of the reversed graph.
        """
        if self._forward is not None:
            return self._forward.to_multitree().reverse()
        if self._is_multitree:
            return self
        if self._multitree is None:
            _refuse_in_compiled_code("the multitree")
            if self._kept_pairs is None:
                self._kept_pairs = multitree_mask(self.edge_index, self.num_nodes, self.pairs, self.level)
            pairs = self.pairs[:, self._kept_pairs]
            self._multitree = self._replace(
                _pairs=pairs,
                _kept_pairs=None,
                _schedule=None,
                _ancestry=None,
                _more_entries_than=-1,
                _links={},
                _plans={},
                _blocks={},
                _rows={},
                _is_multitree=True,
                _split_nodes=None,
            )
        return self._multitree

    @outside_transforms
    def to(self, device: torch.device | str, non_blocking: bool = False) -> "LineGraph":
        """Copy to a device, with everything that was built so far."""
        if self._forward is not None:
            return self._forward.to(device, non_blocking).reverse()
        names = (
            "_edge_index",
            "_pairs",
            "_level",
            "_kept_pairs",
            "_schedule",
            "_ancestry",
            "_multitree",
            "_split_nodes",
        )
        built = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        moved = {name: value.to(device, non_blocking=non_blocking) for name, value in built.items()}
        blocks = {wanted: value.to(device, non_blocking) for wanted, value in self._blocks.items()}
        links = {name: value.to(device, non_blocking) for name, value in self._links.items()}
        levels = {reverse: value.to(device, non_blocking) for reverse, value in self._node_levels.items()}
        rows = {size: value.to(device, non_blocking) for size, value in self._rows.items()}
        return self._replace(**moved, _blocks=blocks, _links=links, _plans={}, _node_levels=levels, _rows=rows)

    def cpu(self) -> "LineGraph":
        """Copy to the CPU."""
        return self.to("cpu")

    def cuda(self, device: torch.device | str | int | None = None, non_blocking: bool = False) -> "LineGraph":
        """Copy to a GPU, the current one by default."""
        return self.to(torch.device("cuda", device) if isinstance(device, int) else device or "cuda", non_blocking)

    @outside_transforms
    def check_same_edges(self, edge_index: Tensor) -> None:
        """Check that this is the line graph of ``edge_index``, in this order and not reversed.

        On a CPU all entries are compared. On other devices, and in compiled code, shapes are compared, and entries by
        an assertion on the device, of which nothing on the host waits (``torch._assert_async``); tensors known to be
        the same need none.

        Args:
            edge_index: Start and end node of each edge, ``[2, E]``, int64.

        Raises:
            ValueError: If it is that of another graph, or lies on another device.
        """
        if torch.jit.is_tracing():
            _refuse_recording()
        own, edge_index = self.edge_index, plain(edge_index)
        if edge_index is own:
            return
        if edge_index.device != own.device:
            raise ValueError(f"edge_index is on {edge_index.device}, but the line graph on {own.device}; see its to()")
        if edge_index.shape != own.shape:
            raise ValueError(f"edge_index is {list(edge_index.shape)}, but {_OF_ANOTHER}: {list(own.shape)}")
        if torch.compiler.is_compiling():
            torch._assert_async((edge_index == own).all(), f"{_OF_ANOTHER} than edge_index")
        elif own.device.type not in ("cpu", "meta"):
            if self._same is None or self._same != _mark(edge_index):
                torch._assert_async((edge_index == own).all(), f"{_OF_ANOTHER} than edge_index")
                self._same = _mark(edge_index)
        elif own.device.type == "cpu":
            different = (edge_index.numpy() != own.numpy()).any(axis=0)
            if different.any():
                column = int(different.argmax())
                hint = "; it is reversed" if self.is_reversed else ""
                raise ValueError(
                    f"{_OF_ANOTHER} than edge_index{hint}: column {column} is {edge_index[:, column].tolist()}, but "
                    f"was {own[:, column].tolist()} when the line graph was built"
                )

    def _unchanged(self, name: str) -> Tensor:
        """One of the graph's own tensors, after a check that it was not changed in place."""
        tensor = getattr(self, name)
        # Tensors of inference mode count no versions, and compiled code cannot read them.
        if not torch.compiler.is_compiling() and not tensor.is_inference():
            if self._versions.setdefault(name, tensor._version) != tensor._version:
                raise ValueError(f"{name[1:]} of this line graph was changed in place; build a new LineGraph instead")
        return tensor

    def _replace(self, **changes: Any) -> "LineGraph":
        """A copy with some attributes changed, past the checks that its origin went through."""
        graph = object.__new__(LineGraph)
        graph.__dict__.update(self.__dict__ | changes | {"_versions": {}})
        return graph

    def __getstate__(self) -> dict[str, Any]:
        """Without what is true of tensors in this process only."""
        return self.__dict__ | {"_versions": {}, "_same": None}

    def __repr__(self) -> str:
        return f"LineGraph(num_nodes={self.num_nodes}, num_edges={self.num_edges}, num_pairs={self.num_pairs})"


def _refuse_recording() -> None:
    """What torch.jit.trace and torch.export record of one graph would be run on others, whose structure differs."""
    if torch.jit.is_tracing():
        raise RuntimeError(
            "torch.jit.trace would record the structure of this one graph and run it on every other: use "
            "torch.compile, or torch.export with a line graph that was prepared before"
        )
    if torch.compiler.is_exporting():
        raise RuntimeError(
            "torch.export cannot build a line graph, whose structure depends on the values of edge_index: prepare one "
            "before (line_graph.prepare()) and pass it as line_graph"
        )


def _refuse_in_compiled_code(what: str, how: str = "") -> None:
    """Structure depends on the values of indices, which code under ``torch.compile`` does not know."""
    if torch.compiler.is_compiling():
        raise RuntimeError(
            f"compiled code cannot build {what} of a line graph: call line_graph.prepare({how}) before it enters "
            "torch.compile"
        )
