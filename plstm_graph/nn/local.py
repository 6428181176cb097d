"""Local aggregation in the same layer as pLSTM."""

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch_geometric.nn.conv import GINConv, GINEConv, MessagePassing

from plstm_graph.nn.neighbours import sum_of_edges
from plstm_graph.nn.norm import NormKind, make_norm

Neighbours = Literal["forward", "backward", "both", "undirected"]


class _BothWays:
    """What an explainer hides of an edge, it hides of both of its directions."""

    # PyG puts generated code in place of this method at the first instance of a class, and takes what the class had
    # before for the one that explains: from GINConv it would get generated code, which knows of no explainer.
    propagate = getattr(MessagePassing, "_orig_propagate", MessagePassing.propagate)

    def explain_message(self, inputs: Tensor, dim_size: Any) -> Tensor:
        mask = cast(MessagePassing, self)._edge_mask
        mask = mask.sigmoid() if cast(MessagePassing, self)._apply_sigmoid else mask
        return inputs * torch.cat([mask, mask]).unsqueeze(-1)


class _GIN(_BothWays, GINConv): ...


class _GINE(_BothWays, GINEConv): ...


class LocalConv(nn.Module):
    """What GIN does in a round: each node adds up its neighbours along and against the edges, then a small network.

    With edge features each neighbour is summed with its edge and rectified first, as in GINE. It knows no directions,
    so it adds the undirected neighbourhood to what pLSTM carries along the DAG.

    Args:
        channels (int): Size of node and edge features.
        edge_features (bool): Whether edges have features.
        norm (str): Norm inside the network, see :func:`~plstm_graph.nn.norm.make_norm`.

    Shapes:
        - **input:** node features ``[N, C]``, edges of a DAG ``[2, E]``, edge features ``[E, C]`` *(optional)*
        - **output:** ``[N, C]``
    """

    def __init__(self, channels: int, edge_features: bool, norm: NormKind = "batch") -> None:
        super().__init__()
        network = nn.Sequential(
            nn.Linear(channels, channels), make_norm(norm, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        conv = _GINE if edge_features else _GIN
        self.conv = conv(network, train_eps=True)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.conv.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """Aggregate the neighbours of each node."""
        edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
        if edge_attr is None:
            return self.conv(x, edge_index)
        return self.conv(x, edge_index, torch.cat([edge_attr, edge_attr]))


class LocalFFN(nn.Module):
    r"""A feed-forward network of each node and its neighbours, with weights of their own for those before and behind.

    .. math::
        \mathrm{FFN}\Big(x_n, \sum_{m \to n} x_m, \sum_{n \to m} x_m\Big), \qquad x = \mathrm{norm}(\cdot)

    With edge features each neighbour is summed with its edge and rectified first, as in GINE. Unlike
    :class:`LocalConv` it knows given directions, and the node and its neighbours enter one by one, not summed up.

    Args:
        channels (int): Size of node and edge features.
        width (int): Width of the hidden layer.
        neighbours (str): ``"forward"`` reads the nodes before, ``"backward"`` those behind, ``"both"`` the two next to
            each other, ``"undirected"`` their sum.
        norm (str): Norm before the network, see :func:`~plstm_graph.nn.norm.make_norm`. (default: ``"rms"``)
        dropout (float): Dropout in the hidden layer. (default: ``0``)

    Shapes:
        - **input:** node features ``[N, C]``, edges of a DAG ``[2, E]``, edge features ``[E, C]`` *(optional)*
        - **output:** ``[N, C]``
    """

    def __init__(
        self, channels: int, width: int, neighbours: Neighbours, norm: NormKind = "rms", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.norm = make_norm(norm, channels)
        self.network = nn.Sequential(
            nn.Linear((3 if neighbours == "both" else 2) * channels, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, channels),
        )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (self.norm, *self.network):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None, edge_mask: Tensor | None = None
    ) -> Tensor:
        """Run the network on each node; ``edge_mask``, ``[E]`` in [0, 1], says how much of each edge counts."""
        x = self.norm(x)
        start, end = edge_index
        parts = [x]
        if self.neighbours != "backward":
            parts.append(self._sum(x, start, end, edge_attr, edge_mask))
        if self.neighbours != "forward":
            parts.append(self._sum(x, end, start, edge_attr, edge_mask))
        if self.neighbours == "undirected":
            parts = [x, parts[1] + parts[2]]
        return self.network(torch.cat(parts, dim=1))

    def _sum(self, x: Tensor, of: Tensor, at: Tensor, edge_attr: Tensor | None, edge_mask: Tensor | None) -> Tensor:
        sent = x.index_select(0, of)
        return sum_of_edges(sent if edge_attr is None else (sent + edge_attr).relu(), at, x.size(0), edge_mask)
