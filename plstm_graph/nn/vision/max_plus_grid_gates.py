"""What M-mode adds up along the paths of a grid: from the features of the nodes, without bounds."""

import math

import torch
from torch import Tensor, nn

from plstm_graph.nn.vision.grid_gates import Grid2dGates, check_grid_gate, per_orientation
from plstm_graph.ops.grid2d.plstm_grid2d import ORIENTATIONS
from plstm_graph.ops.shapes import wide_dtype


class MaxPlusGrid2dGate(nn.Module):
    r"""Operands of :func:`~plstm_graph.ops.plstm_max_plus_grid2d_oriented`, channel by channel.

    Source and Mark belong to the edge that they enter or read, and are shared by the two orientations that use its
    direction. A transition at a node is the sum of a term of the edge that comes and a term of the edge that goes, as
    in :class:`~plstm_graph.nn.max_plus_gates.MaxPlusGates`. Each head's terms read that head's share of the channels,
    as in :class:`~plstm_graph.nn.vision.grid_gates.Grid2dGate`.

    Args:
        in_channels (int): Size of node features, divisible by ``heads``.
        channels (int): Number of channels ``C``, divisible by ``heads``.
        heads (int): Number of heads.
        orientations (int): 1 or 4.
        weights (bool): Whether terms depend on features at all; without, only their biases are learned.

    Shapes:
        - **input:** ``[..., X, Y, in_channels]``
        - **output:** :class:`~plstm_graph.nn.vision.grid_gates.Grid2dGates` with ``[..., X, Y, O, C]`` each, and
          Direct, ``[..., X, Y, C]``, in float32 or wider
    """

    def __init__(
        self, in_channels: int, channels: int, heads: int, orientations: int = 4, weights: bool = True
    ) -> None:
        super().__init__()
        check_grid_gate(in_channels, heads, orientations)
        self.heads = heads
        self.mode = "M"
        self.orientations = ORIENTATIONS[:orientations]
        # Source, Mark, what comes and what goes, along x upwards (and downwards), then along y; and Direct.
        self._sizes = [4 if orientations == 4 else 2] * 4 + [1]
        outputs = sum(self._sizes) * (channels // heads)
        self.weight = nn.Parameter(torch.empty(heads, in_channels // heads, outputs)) if weights else None
        # A vector, which optimisers know not to decay.
        self.bias = nn.Parameter(torch.empty(heads * outputs))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start with small weights, as all gates do, and without bias."""
        if self.weight is not None:
            nn.init.normal_(self.weight, std=math.sqrt(2 / (5 * self.weight.size(1))))
        self.bias.zero_()

    def forward(self, x: Tensor) -> tuple[Grid2dGates, Tensor]:
        """Evaluate all terms."""
        bias = self.bias.view(self.heads, -1)
        if self.weight is None:
            terms = bias.expand(*x.shape[:-1], -1, -1)
        else:
            terms = torch.einsum("...hc,hcg->...hg", x.unflatten(-1, (self.heads, -1)), self.weight) + bias
        terms = terms.to(wide_dtype(terms))
        # Of each head its terms, to of each term its heads and their channels.
        terms = terms.unflatten(-1, (sum(self._sizes), -1)).transpose(-3, -2).flatten(-2)
        *of_edges, direct = terms.split(self._sizes, dim=-2)
        source, mark, comes, goes = (per_orientation(term, len(self.orientations)) for term in of_edges)
        left, up = comes
        right, down = goes
        return Grid2dGates(*source, left + right, up + down, left + down, up + right, *mark), direct.squeeze(-2)

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        return f"heads={self.heads}, weights={self.weight is not None}"
