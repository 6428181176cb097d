"""A node that is joined to all nodes of its graph."""

from torch import Tensor, nn

from plstm_graph.nn.norm import rms_norm
from plstm_graph.ops.scatter import sum_rows


class VirtualNode(nn.Module):
    """Gathers the sum of all nodes of a graph, and gives what a small network makes of it back to each of them.

    Args:
        channels (int): Size of node features.
        dropout (float): Dropout of what is given back.

    Shapes:
        - **input:** node features ``[N, C]``, state of the virtual node of each graph ``[B, C]``, graph of each node
          ``[N]``
        - **output:** node features ``[N, C]``, states ``[B, C]``
    """

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.network = nn.Sequential(
            rms_norm(channels), nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels)
        )
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in self.network:
            if isinstance(module, nn.RMSNorm | nn.Linear):
                module.reset_parameters()

    def forward(self, x: Tensor, state: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Update the virtual nodes, then the nodes."""
        state = state + self.network(state + sum_rows(x, batch, state.size(0)))
        return x + self.dropout(state.index_select(0, batch)), state
