"""What surrounds a node, as a category: colours of the Weisfeiler-Leman refinement."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from plstm_graph.graph.checks import check_edge_index
from plstm_graph.graph.checksum import mix

_MASK = (1 << 62) - 1


@functional_transform("add_wl_colors")
class AddWLColors(BaseTransform):
    r"""Appends Weisfeiler-Leman colours to the node features (functional name: ``add_wl_colors``).

    After :math:`r` rounds the colour of a node tells everything that lies within :math:`r` hops of it: its features,
    and how often each colour of the round before occurs around it, behind which edge features. Colours are hashed into
    categories, so that nothing has to be learned from a training set and any graph has them; in molecules they are
    the circular substructures of Morgan fingerprints, atom by atom. A model can count them, by
    ``histogram=[num_colors] * rounds``, or embed them as node features: of integer ``x`` by
    ``in_channels=[*sizes, *[num_colors] * rounds]``, of floating-point ``x`` with ``F`` columns by
    ``in_channels=[*[0] * F, *[num_colors] * rounds]``.

    Args:
        rounds (int): Rounds of refinement; each gives one column. (default: ``2``)
        num_colors (int): Number of categories of each column. (default: ``1024``)
        columns (list[int], optional): Columns of ``x`` that the first colours are made of. Measured values seldom
            repeat, so they tell nothing here. (default: all)
        directed (bool): Keep what lies before a node and what lies behind it apart; otherwise directions of edges are
            ignored. Colours differ with how an undirected graph is stored, with each edge once or in both directions,
            so compare such as are stored alike. (default: ``False``)
    """

    def __init__(
        self, rounds: int = 2, num_colors: int = 1024, columns: Sequence[int] | None = None, directed: bool = False
    ) -> None:
        if rounds < 1 or num_colors < 2:
            raise ValueError(f"rounds must be at least 1 and num_colors at least 2, got {rounds} and {num_colors}")
        self.rounds = rounds
        self.num_colors = num_colors
        self.columns = None if columns is None else list(columns)
        self.directed = directed

    def forward(self, data: Data) -> Data:
        """Append ``rounds`` columns, ``[N, rounds]``, of values in ``[0, num_colors)``."""
        if data.edge_index is None or data.x is None:
            missing = "edge_index" if data.edge_index is None else "x"
            raise ValueError(f"the graph has no {missing} (it has: {', '.join(data.keys()) or 'nothing'})")
        check_edge_index(data.edge_index, data.num_nodes)
        x = data.x if data.x.dim() > 1 else data.x.view(-1, 1)
        largest = 2 / torch.finfo(x.dtype).eps if x.is_floating_point() else torch.iinfo(x.dtype).max + 1
        if self.num_colors > largest:
            raise ValueError(f"x is {x.dtype}, which cannot hold {self.num_colors} categories")
        if self.columns is not None and max(self.columns, default=0) >= x.size(1):
            raise ValueError(f"columns are {self.columns}, but x has {x.size(1)}")
        color = _hash_rows(x if self.columns is None else x[:, self.columns])
        start, end = data.edge_index
        bond = _hash_rows(data.edge_attr) if data.edge_attr is not None else torch.zeros_like(start)
        found = []
        for _ in range(self.rounds):
            nothing = torch.zeros_like(color)
            before = nothing.index_add(0, end, mix(color[start] ^ bond))
            behind = nothing.index_add(0, start, mix(color[end] ^ bond))
            around = mix(before) * 3 + behind if self.directed else before + behind
            color = mix(mix(color) + around)
            found.append((color & _MASK) % self.num_colors)
        data.x = torch.cat([x, torch.stack(found, dim=1).to(x.dtype)], dim=1)
        return data

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(rounds={self.rounds}, num_colors={self.num_colors}, columns={self.columns}, "
            f"directed={self.directed})"
        )


def _hash_rows(values: Tensor) -> Tensor:
    """A number for each row."""
    values = values if values.dim() > 1 else values.view(-1, 1)
    # Adding zero makes -0 the same as 0.
    whole = (values.double() + 0.0).view(torch.long) if values.is_floating_point() else values.long()
    color = torch.zeros(values.size(0), dtype=torch.long, device=values.device)
    for column in whole.unbind(dim=1):
        color = mix(color ^ column)
    return color
