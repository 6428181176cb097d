"""The PyG transform that attaches what the graph alone decides: directions, levels, D-mode cuts."""

import copy
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from plstm_graph.graph.checks import check_edge_index
from plstm_graph.graph.checksum import dag_checksum, dag_checksums
from plstm_graph.graph.levels import longest_path_levels
from plstm_graph.graph.multitree.mask import multitree_mask
from plstm_graph.graph.orientation.centre import centre_rank
from plstm_graph.graph.orientation.depth_first import depth_first_rank
from plstm_graph.graph.orientation.orient import is_symmetric, numbering_rank, orient
from plstm_graph.graph.pairs import line_graph_pairs
from plstm_graph.transforms.edge_attributes import select_edges

Orientation = Literal["auto", "keep", "numbering", "centre", "depth_first", "canonical"]


@functional_transform("to_dag")
class ToDAG(BaseTransform):
    r"""Turns a graph into a DAG and attaches its structure, once, so that no layer has to (functional: ``to_dag``).

    Works as ``transform`` or ``pre_transform`` of any data set, as the last one that changes edges or numbers nodes.
    Edges that are dropped or flipped take their features with them: attributes with one entry per edge follow
    ``edge_index`` if their names have the word ``edge`` or ``bond``, or are listed in ``edge_keys``. Attached are

    * ``level``: edges on the longest path that ends in each node, ``[N]``, int64;
    * ``kept_pairs``: which pairs of the line graph D-mode keeps, ``[P]``, bool, in the order of
      :func:`~plstm_graph.graph.line_graph_pairs`;
    * ``dag_checksum``: what tells whether the edges are still the same, ``[1, 3]``, int64.

    All are concatenated correctly by :class:`torch_geometric.loader.DataLoader`, and
    :meth:`plstm_graph.LineGraph.from_data` reads them from a graph or a batch. It raises an error if edges were
    reordered, dropped, added or changed meanwhile.

    Args:
        orientation (str): Where edges lead.
            ``"keep"``: as given, the graph is a DAG already.
            ``"numbering"``: from lower to higher node number; the result depends on how the graph was written down.
            ``"centre"``: away from the centre of each connected component; nodes at the same distance are ordered by
            ``data.canonical_rank`` if the graph has it, else by number.
            ``"depth_first"``: in the order of a depth-first search that starts on the rim, with ties as before; long
            paths, one source per component.
            ``"canonical"``: from lower to higher ``data.canonical_rank``.
            ``"auto"``: an undirected graph (every edge has its inverse) as ``"centre"``, which gives the atoms of a
            molecule three times as many ancestors as ``"canonical"``; a directed one as ``"keep"``.
            (default: ``"auto"``)
        multitree (bool): Whether to attach ``kept_pairs``, which only D-mode needs. (default: ``True``)
        edge_keys (list[str]): Attributes with one entry per edge whose names do not say so. (default: none)

    Raises:
        CycleError: If the directions of the graph are kept and form a cycle; it names the nodes.
        ValueError: If a self-loop stands in an undirected graph, ``canonical_rank`` is missing or not unique along an
            edge, edge features have another length than ``edge_index``, an index is out of range, the graph has an
            attribute ``level`` or ``kept_pairs`` of its own, or edges are dropped and it cannot be told whether an
            attribute follows them.

    .. code-block:: python

        dataset = TUDataset(root, "MUTAG", pre_transform=ToDAG())
    """

    def __init__(
        self, orientation: Orientation = "auto", multitree: bool = True, edge_keys: Sequence[str] = ()
    ) -> None:
        if orientation not in get_args(Orientation):
            names = ", ".join(repr(name) for name in get_args(Orientation))
            raise ValueError(f"orientation must be one of {names}, got {orientation!r}")
        self.orientation = orientation
        self.multitree = multitree
        self.edge_keys = list(edge_keys)

    def forward(self, data: Data) -> Data:
        """Attach the structure to ``data``, a copy of what the transform was called with."""
        edge_index, num_nodes = _check(data)
        rank = self._rank(data, edge_index, num_nodes)
        if rank is not None:
            oriented, columns = orient(edge_index, rank)
            data = select_edges(data, columns, self.edge_keys)
            data.edge_index = edge_index = oriented
        level = longest_path_levels(edge_index, num_nodes)
        _check_own(data, level)
        data.level = level
        data.kept_pairs = None
        data.dag_checksum = dag_checksum(edge_index, num_nodes)
        if self.multitree:
            pairs = line_graph_pairs(edge_index, num_nodes)
            # The rank that gave the directions breaks ties among cuts too, so that neither depends on the numbering.
            data.kept_pairs = multitree_mask(edge_index, num_nodes, pairs, data.level, rank)
        return data

    def many(self, graphs: Sequence[Data]) -> list[Data]:
        """The same as calling the transform with each graph, several times faster for small ones.

        Their structure is worked out as that of one disjoint graph: directions, levels and cuts of a connected
        component do not depend on what else there is.

        Args:
            graphs: Of one kind: all undirected or all directed, all with ``canonical_rank`` or none. Others, and those
                with which something is wrong, are taken one by one.

        Raises:
            ValueError: As of the transform.
        """
        try:
            return self._together(graphs)
        except Exception:  # whatever it is, the error of the graph alone names its own nodes and edges
            return [self(graph) for graph in graphs]

    def _together(self, graphs: Sequence[Data]) -> list[Data]:
        """Attach the structure to copies of graphs of one kind, or raise whatever error comes of another one."""
        checked = [_check(graph) for graph in graphs]
        sizes = torch.tensor([[num_nodes, index.size(1)] for index, num_nodes in checked])
        nodes, edges = sizes.unbind(dim=1)
        shift = (nodes.cumsum(0) - nodes).repeat_interleave(edges)
        edge_index = torch.cat([index for index, _ in checked], dim=1) + shift
        rank = self._rank_together(graphs, checked, edge_index)
        if rank is None:
            done = [copy.copy(graph) for graph in graphs]
        else:
            edge_index, columns = orient(edge_index, rank)
            owner = torch.repeat_interleave(edges)[columns]
            columns = columns - (edges.cumsum(0) - edges)[owner]
            shift, edges = (nodes.cumsum(0) - nodes)[owner], torch.bincount(owner, minlength=len(graphs))
            kept = zip(graphs, columns.split(edges.tolist()), strict=True)
            done = [select_edges(graph, own, self.edge_keys) for graph, own in kept]
            for graph, own in zip(done, (edge_index - shift).split(edges.tolist(), dim=1), strict=True):
                graph.edge_index = own
        level = longest_path_levels(edge_index, int(nodes.sum()))
        checksums = dag_checksums(edge_index, torch.stack([nodes, edges], dim=1))
        masks: Sequence[Tensor | None] = [None] * len(graphs)
        if self.multitree:
            pairs = line_graph_pairs(edge_index, len(level))
            counts = torch.bincount(torch.repeat_interleave(edges)[pairs[0]], minlength=len(graphs))
            masks = multitree_mask(edge_index, len(level), pairs, level, rank).split(counts.tolist())
        attached = level.split(nodes.tolist()), checksums.split(1), masks
        for graph, own, checksum, mask in zip(done, *attached, strict=True):
            _check_own(graph, own)
            graph.level, graph.kept_pairs, graph.dag_checksum = own, None, checksum
            graph.kept_pairs = mask
        return done

    def _rank_together(
        self, graphs: Sequence[Data], checked: Sequence[tuple[Tensor, int]], edge_index: Tensor
    ) -> Tensor | None:
        """Ranks of the nodes of all graphs, of which ``edge_index`` has all edges."""
        ranks = [graph.get("canonical_rank") for graph in graphs]
        whole = Data(edge_index=edge_index)
        if any(rank is not None for rank in ranks):
            if any(rank.shape != (num_nodes,) for rank, (_, num_nodes) in zip(ranks, checked, strict=True)):
                raise ValueError("a canonical_rank has another size")
            whole.canonical_rank = torch.cat(ranks)
        found = self._rank(whole, edge_index, sum(num_nodes for _, num_nodes in checked))
        if (
            self.orientation == "auto"
            and found is None
            and any(is_symmetric(*each) for each in checked if each[0].numel())
        ):
            raise ValueError("some graphs are undirected and some are not")
        return found

    def _rank(self, data: Data, edge_index: Tensor, num_nodes: int) -> Tensor | None:
        """Rank of each node, ``[N]``; None if the graph keeps its directions."""
        orientation = self.orientation
        canonical = data.get("canonical_rank")
        if orientation == "auto":
            if edge_index.size(1) == 0 or not is_symmetric(edge_index, num_nodes):
                return None
            orientation = "centre"
        if canonical is not None and canonical.shape != (num_nodes,):
            raise ValueError(f"canonical_rank must be [N] = [{num_nodes}], got {list(canonical.shape)}")
        if orientation == "numbering":
            return numbering_rank(num_nodes, edge_index.device)
        if orientation == "centre":
            return centre_rank(edge_index, num_nodes, tie=canonical)
        if orientation == "depth_first":
            return depth_first_rank(edge_index, num_nodes, tie=canonical)
        if orientation == "canonical":
            if canonical is None:
                raise ValueError(
                    "orientation='canonical' needs data.canonical_rank ([N], int64), which the molecule data sets of "
                    "plstm_graph.datasets attach; use 'centre' or 'numbering' for other graphs"
                )
            return canonical
        return None

    def __repr__(self) -> str:
        keys = f", edge_keys={self.edge_keys}" if self.edge_keys else ""
        return f"{self.__class__.__name__}(orientation={self.orientation!r}, multitree={self.multitree}{keys})"


def _check(data: Data) -> tuple[Tensor, int]:
    """The graph's ``edge_index`` and number of nodes, after a check of everything that must fit together."""
    if isinstance(data, Batch):
        raise TypeError("ToDAG takes single graphs, not batches: use it as transform or pre_transform of the data set")
    if not isinstance(data, Data):
        raise TypeError(f"ToDAG takes a torch_geometric.data.Data, got {type(data).__name__}")
    if data.edge_index is None:
        raise ValueError(f"the graph has no edge_index (it has: {', '.join(data.keys()) or 'nothing'})")
    num_nodes = check_edge_index(data.edge_index, data.num_nodes)
    for key in ("edge_attr", "edge_weight", "edge_type"):
        value = data.get(key)
        if value is not None and value.shape[:1] != data.edge_index.shape[1:]:
            raise ValueError(f"{key} has {value.size(0)} rows, but edge_index has {data.edge_index.size(1)} columns")
    return data.edge_index, num_nodes


def _check_own(data: Data, level: Tensor) -> None:
    """Check that nothing of the graph's own is overwritten: what an earlier call attached has a checksum with it."""
    if "dag_checksum" in data:
        return
    for key in ("level", "kept_pairs"):
        value = data.get(key)
        if value is not None and not (key == "level" and isinstance(value, Tensor) and torch.equal(value, level)):
            raise ValueError(f"the graph has an attribute {key!r} of its own, which ToDAG would overwrite; rename it")
