"""Feed-forward networks that each node passes alone."""

from typing import cast

from torch import Tensor, nn

from plstm_graph.nn.norm import NormKind, make_norm


def feed_forward(channels: int, width: int, norm: NormKind, dropout: float = 0.0) -> nn.Sequential:
    """A norm and a network of one hidden layer, of each node alone.

    Args:
        channels: Size of node embeddings.
        width: Of the hidden layer.
        norm: See :func:`~plstm_graph.nn.norm.make_norm`.
        dropout: In the hidden layer.
    """
    return nn.Sequential(
        make_norm(norm, channels),
        nn.Linear(channels, width),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(width, channels),
    )


class NodeNetworks(nn.Module):
    r"""Residual feed-forward networks of single nodes, one after the other.

    .. math::
        x \leftarrow x + W_2\, \mathrm{GELU}(W_1\, \mathrm{norm}(x))

    Args:
        channels (int): Size of node embeddings.
        layers (int): Number of networks.
        norm (str): See :func:`~plstm_graph.nn.norm.make_norm`. (default: ``"rms"``)
        ratio (float): Width of the hidden layers over ``channels``. (default: ``2``)

    Shapes:
        - **input:** ``[N, channels]``
        - **output:** ``[N, channels]``
    """

    def __init__(self, channels: int, layers: int, norm: NormKind = "rms", ratio: float = 2.0) -> None:
        super().__init__()
        self.networks = nn.ModuleList(feed_forward(channels, int(ratio * channels), norm) for _ in range(layers))

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in self.networks.modules():
            if hasattr(module, "reset_parameters"):
                cast(nn.Linear, module).reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Run all networks."""
        for network in self.networks:
            x = x + network(x)
        return x
