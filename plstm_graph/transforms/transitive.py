"""Transitive reduction and closure of a graph."""

import torch
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from plstm_graph.graph.checks import check_edge_index
from plstm_graph.graph.transitive import transitive_closure, transitive_reduction


@functional_transform("transitive_reduction")
class TransitiveReduction(BaseTransform):
    """Drops every edge of a DAG beside which a longer path leads (functional name: ``transitive_reduction``).

    Edge features and other edge-level attributes follow their edges; of equal edges the first stays.

    Raises:
        CycleError: If the graph has a directed cycle.
    """

    def forward(self, data: Data) -> Data:
        """Drop edges."""
        edge_index, num_nodes = _structure(data)
        return data.edge_subgraph(transitive_reduction(edge_index, num_nodes))


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
