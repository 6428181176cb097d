"""Edges that know the nodes which they join."""

from typing import cast

from torch import Tensor, nn

from plstm_graph.nn.norm import NormKind, make_norm


class EdgeContext(nn.Module):
    r"""Adds to the embedding of an edge what it says together with its two nodes.

    .. math::
        e \leftarrow e + W_3\, \mathrm{SiLU}(\mathrm{norm}(e + W_1 x_u + W_2 x_v)), \qquad e: u \to v

    Gates of pLSTM add up what an edge and its nodes contribute. With this they can also depend on products: how much
    of the water of a cell takes its steepest way is a matter of how steep the cell is.

    Args:
        channels (int): Size of node and edge embeddings.
        norm (str): ``"none"``, or one of :func:`~plstm_graph.nn.norm.make_norm`. Without one, what the context adds
            grows with the features, and far outside those of training it is a guess that grows with them. ``"rms"``
            bounds it: what a hub of a thousand edges adds is no larger than what one of a hundred does, and what is
            linear in its features reaches the gates beside it. (default: ``"none"``)

    Shapes:
        - **input:** node embeddings ``[N, C]``, edge embeddings ``[E, C]``, edge indices ``[2, E]``
        - **output:** ``[E, C]``
    """

    def __init__(self, channels: int, norm: NormKind = "none") -> None:
        super().__init__()
        self.norm = make_norm(norm, channels)
        self.start = nn.Linear(channels, channels, bias=False)
        self.end = nn.Linear(channels, channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (self.norm, self.start, self.end, self.out):
            if hasattr(module, "reset_parameters"):
                cast(nn.Linear, module).reset_parameters()

    def forward(self, nodes: Tensor, edges: Tensor, edge_index: Tensor) -> Tensor:
        """Embed edges with their context."""
        start, end = edge_index
        at_start, at_end = self.start(nodes).index_select(0, start), self.end(nodes).index_select(0, end)
        return edges + self.out(nn.functional.silu(self.norm(edges + at_start + at_end)))
