"""The input of a layer with what stands next to each node."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear

from plstm_graph.nn.fused_linear import fused_linear
from plstm_graph.ops.scatter import sum_rows

NeighbourKind = bool | Literal["channel"]


class NeighbourInput(nn.Module):
    r"""What a node is, together with the nodes right before it and right behind it.

    .. math::
        \mathrm{SiLU}\Bigl(W_0 x_n + b + W_1 \sum_{m \to n} x_m + W_2 \sum_{n \to m} x_m\Bigr)

    Queries, keys, values and gates of pLSTM depend on single nodes; made from this, they depend on the neighbourhood,
    as the short convolution before a linear recurrent layer does it on sequences.

    Args:
        in_channels (int): Size of node features; -1 takes it from the first call.
        out_channels (int): Size of the output.
        undirected (bool): Whether the nodes before and behind are treated alike, :math:`W_1 = W_2`.
            (default: ``False``)

    Shapes:
        - **input:** node features ``[N, in_channels]``, edges ``[2, E]``
        - **output:** ``[N, out_channels]``
    """

    def __init__(self, in_channels: int, out_channels: int, undirected: bool = False) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.lin = Linear(in_channels, out_channels, weight_initializer="glorot", bias_initializer="zeros")
        self.before = Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")
        self.behind = None if undirected else Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for lin in (self.lin, self.before, self.behind):
            if lin is not None:
                lin.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_mask: Tensor | None = None) -> Tensor:
        """Look around once; ``edge_mask``, ``[E]`` in [0, 1], says how much of each edge counts."""
        start, end = edge_index
        # Mapped before they are summed up: one matrix product does all of it.
        if self.behind is None:
            own, before = fused_linear(x, [self.lin, self.before])
            behind = before
        else:
            own, before, behind = fused_linear(x, [self.lin, self.before, self.behind])
        own = own + sum_of_edges(before.index_select(0, start), end, x.size(0), edge_mask)
        return F.silu(own + sum_of_edges(behind.index_select(0, end), start, x.size(0), edge_mask))


class ChannelNeighbourInput(nn.Module):
    r"""As :class:`NeighbourInput`, channel by channel: no map mixes them, as in a depthwise convolution.

    .. math::
        \mathrm{SiLU}\Bigl(w_0 \odot x_n + b + w_1 \odot \sum_{m \to n} x_m + w_2 \odot \sum_{n \to m} x_m\Bigr)

    Args:
        channels (int): Size of node features.
        undirected (bool): Whether the nodes before and behind are treated alike, :math:`w_1 = w_2`.
            (default: ``False``)

    Shapes:
        - **input:** node features ``[N, channels]``, edges ``[2, E]``
        - **output:** ``[N, channels]``
    """

    def __init__(self, channels: int, undirected: bool = False) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"neighbours='channel' needs to know the number of channels, got {channels}")
        self.out_channels = channels
        # Of the node itself, of those before, and of those behind; biases.
        self.weight = nn.Parameter(torch.empty(2 if undirected else 3, channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with the node as it is, and neighbours with weights of either sign."""
        nn.init.ones_(self.weight[0])
        nn.init.normal_(self.weight[1:], std=0.5)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, edge_index: Tensor, edge_mask: Tensor | None = None) -> Tensor:
        """Look around once; ``edge_mask``, ``[E]`` in [0, 1], says how much of each edge counts."""
        start, end = edge_index
        before = sum_of_edges(x.index_select(0, start), end, x.size(0), edge_mask)
        behind = sum_of_edges(x.index_select(0, end), start, x.size(0), edge_mask)
        weights = self.weight.unbind()
        own = torch.addcmul(self.bias, weights[0], x)
        if len(weights) == 2:
            return F.silu(torch.addcmul(own, weights[1], before + behind))
        return F.silu(torch.addcmul(torch.addcmul(own, weights[1], before), weights[2], behind))


def sum_of_edges(sent: Tensor, at: Tensor, size: int, edge_mask: Tensor | None) -> Tensor:
    """What edges send to nodes, ``[E, C]`` to ``[N, C]``, of each edge as much as a mask ``[E]`` says."""
    if edge_mask is not None:
        sent = sent * edge_mask.unsqueeze(-1).to(sent.dtype)
    return sum_rows(sent, at, size)


def make_neighbour_input(
    kind: NeighbourKind, in_channels: int, out_channels: int, undirected: bool
) -> NeighbourInput | ChannelNeighbourInput | None:
    """The module for an option ``neighbours``.

    Args:
        kind: False for none, True for :class:`NeighbourInput`, ``"channel"`` for :class:`ChannelNeighbourInput`.
        in_channels: Size of node features.
        out_channels: Size of the output, of the former.
        undirected: As in both.

    Raises:
        ValueError: If there is no such kind.
    """
    if kind not in (True, False, "channel"):
        raise ValueError(f"neighbours must be True, False or 'channel', got {kind!r}")
    if kind == "channel":
        return ChannelNeighbourInput(in_channels, undirected)
    return NeighbourInput(in_channels, out_channels, undirected) if kind else None
