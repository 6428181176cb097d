"""Where a node lies in its DAG, as features."""

import torch
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from plstm_graph.graph.checks import check_edge_index
from plstm_graph.graph.generations import heights
from plstm_graph.graph.levels import longest_path_levels


@functional_transform("add_dag_levels")
class AddDAGLevels(BaseTransform):
    r"""Appends the level and the height of each node to the node features (functional name: ``add_dag_levels``).

    The level is the number of edges on the longest path that ends in a node, the height that on the longest path that
    begins in it; level plus height is the length of the longest path through the node, and equals the depth of the
    DAG on a critical path.

    Args:
        attr_name (str, optional): Attribute to store the columns in; None appends them to ``x``. (default: ``None``)
        normalize (bool): Divide by the depth of the DAG, so that columns are in ``[0, 1]``. (default: ``True``)

    Raises:
        CycleError: If the graph has a directed cycle.
    """

    def __init__(self, attr_name: str | None = None, normalize: bool = True) -> None:
        self.attr_name = attr_name
        self.normalize = normalize

    def forward(self, data: Data) -> Data:
        """Append two columns, ``[N, 2]``."""
        if data.edge_index is None:
            raise ValueError(f"the graph has no edge_index (it has: {', '.join(data.keys()) or 'nothing'})")
        num_nodes = check_edge_index(data.edge_index, data.num_nodes)
        level = longest_path_levels(data.edge_index, num_nodes)
        columns = torch.stack([level, heights(data.edge_index, num_nodes)], dim=1).float()
        if self.normalize and num_nodes > 0:
            columns = columns / level.max().clamp(min=1)
        if self.attr_name is not None:
            data[self.attr_name] = columns
        elif data.x is None:
            data.x = columns
        elif data.x.is_floating_point():
            data.x = torch.cat([data.x if data.x.dim() > 1 else data.x.view(-1, 1), columns.to(data.x.dtype)], dim=1)
        else:
            raise ValueError(f"x is {data.x.dtype}: columns of categories take no level; store it apart by attr_name")
        return data

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(attr_name={self.attr_name!r}, normalize={self.normalize})"
