"""The PyG transform that attaches what the graph alone decides: directions, levels, D-mode cuts."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from plstm_graph.graph.checks import check_edge_index
from plstm_graph.graph.checksum import dag_checksum
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
