"""The input of a layer with what stands next to each node."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear

from plstm_graph.nn.joined import joined_linear
from plstm_graph.ops.scatter import sum_rows


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
        self.lin = Linear(in_channels, out_channels, weight_initializer="glorot", bias_initializer="zeros")
        self.before = Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")
        self.behind = None if undirected else Linear(in_channels, out_channels, bias=False, weight_initializer="glorot")

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for lin in (self.lin, self.before, self.behind):
            if lin is not None:
                lin.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Look around once."""
        start, end = edge_index
        # Mapped before they are summed up: one matrix product does all of it.
        if self.behind is None:
            own, before = joined_linear(x, [self.lin, self.before])
            behind = before
        else:
            own, before, behind = joined_linear(x, [self.lin, self.before, self.behind])
        own = own + sum_rows(before.index_select(0, start), end, x.size(0))
        return F.silu(own + sum_rows(behind.index_select(0, end), start, x.size(0)))
