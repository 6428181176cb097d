"""Transitive reduction and closure of a graph."""

from collections.abc import Sequence

import torch
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from plstm_graph.graph.checks import check_edge_index
from plstm_graph.graph.transitive import transitive_closure, transitive_reduction
from plstm_graph.transforms.edge_attributes import select_edges


@functional_transform("transitive_reduction")
class TransitiveReduction(BaseTransform):
    """Drops every edge of a DAG beside which a longer path leads (functional name: ``transitive_reduction``).

    Edge features and other attributes of edges follow them, as in :class:`~plstm_graph.transforms.ToDAG`; of equal
    edges the first stays.

    Args:
        edge_keys (list[str]): Attributes with one entry per edge whose names do not say so. (default: none)

    Raises:
        CycleError: If the graph has a directed cycle.
        ValueError: If it cannot be told whether an attribute follows the edges.
    """

    def __init__(self, edge_keys: Sequence[str] = ()) -> None:
        self.edge_keys = list(edge_keys)

    def forward(self, data: Data) -> Data:
        """Drop edges."""
        edge_index, num_nodes = _structure(data)
        return select_edges(data, transitive_reduction(edge_index, num_nodes), self.edge_keys)


@functional_transform("transitive_closure")
class TransitiveClosure(BaseTransform):
    """Stores an edge from every node to each of its descendants (functional name: ``transitive_closure``).

    The graph itself stays as it is; an attribute whose name ends in ``_index`` is batched as ``edge_index`` is.

    Args:
        attr_name (str): Attribute to store the edges in, ``[2, A]``. (default: ``"ancestor_edge_index"``)

    Raises:
        CycleError: If the graph has a directed cycle.
    """

    def __init__(self, attr_name: str = "ancestor_edge_index") -> None:
        if not attr_name.endswith("edge_index"):
            raise ValueError(
                f"attr_name must end in 'edge_index', so that batches number nodes anew; got {attr_name!r}"
            )
        self.attr_name = attr_name

    def forward(self, data: Data) -> Data:
        """Store the edges."""
        edge_index, num_nodes = _structure(data)
        data[self.attr_name] = transitive_closure(edge_index, num_nodes)
        return data


def _structure(data: Data) -> tuple[torch.Tensor, int]:
    if data.edge_index is None:
        raise ValueError(f"the graph has no edge_index (it has: {', '.join(data.keys()) or 'nothing'})")
    return data.edge_index, check_edge_index(data.edge_index, data.num_nodes)
