"""pLSTM on two-dimensional grids as a layer."""

import torch
from torch import Tensor, nn

from plstm_graph.nn.gates import Mode
from plstm_graph.nn.grid_gates import Chirality, Grid2dGate, Grid2dGates
from plstm_graph.nn.head_norm import HeadNorm, make_head_norm, with_ones
from plstm_graph.ops.grid2d import GridForm, plstm_grid2d_oriented


class PLSTM2d(nn.Module):
    r"""The pLSTM layer on a grid, such as the patches of an image (section 4.2 of the `paper
    <https://arxiv.org/abs/2506.11997>`_).

    Every node reads all others that come before it in each of the four orientations of the grid, whose gates differ
    while queries, keys and values are shared; the sum passes a norm of each head and a linear map.
    It takes grids of any size.

    Args:
        in_channels (int): Size of each input sample, divisible by ``heads``.
        out_channels (int): Size of each output sample, divisible by ``heads``.
        heads (int): Number of heads ``H``. (default: ``4``)
        mode (str): ``"P"`` (propagation: what arrives is shared out between two edges, in a direction that each node
            chooses) or ``"D"`` (distribution: it spreads straight on and around one corner). (default: ``"P"``)
        orientations (int): ``4``, or ``1`` for the directed grid. (default: ``4``)
        chirality (str): The turn that D-mode takes: ``"L"`` from y to x, ``"R"`` from x to y. (default: ``"L"``)
        gate_weights (bool): Whether gates depend on the input; without, each is a learned constant.
            (default: ``True``)
        head_norm (str): As in :class:`~plstm_graph.nn.PLSTMConv`. (default: ``"rms"``)
        norm_eps (float, optional): As in :class:`~plstm_graph.nn.PLSTMConv`.
        attenuation (float): In training, weaken the transitions of each image by up to this exponent, see
            :class:`~plstm_graph.nn.grid_gates.Grid2dGate`. (default: ``0``)
        form (str): How to evaluate the operator, see :func:`~plstm_graph.ops.plstm_grid2d`. (default: ``"auto"``)

    Shapes:
        - **input:** ``[B, X, Y, in_channels]``
        - **output:** ``[B, X, Y, out_channels]``

    Raises:
        ValueError: If an argument or the shape of the input does not fit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 4,
        mode: Mode = "P",
        orientations: int = 4,
        chirality: Chirality = "L",
        gate_weights: bool = True,
        norm_eps: float | None = None,
        attenuation: float = 0.0,
        form: GridForm = "auto",
        head_norm: HeadNorm = "rms",
    ) -> None:
        super().__init__()
        if out_channels % heads:
            raise ValueError(f"out_channels ({out_channels}) must be divisible by heads ({heads})")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.form = form
        self.gate = Grid2dGate(in_channels, heads, mode, orientations, chirality, gate_weights, attenuation)
        self.direct = nn.Parameter(torch.empty(heads))
        # A normaliser takes the place of the last value channel.
        self._sizes = [out_channels, out_channels, out_channels - heads * (head_norm == "ratio")]
        self.lin = nn.Linear(in_channels, sum(self._sizes), bias=False)
        self.norm = make_head_norm(head_norm, heads, out_channels // heads, norm_eps)
        self.lin_out = nn.Linear(out_channels, out_channels, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for lin in (self.lin, self.lin_out):
            nn.init.xavier_uniform_(lin.weight)
        self.gate.reset_parameters()
        self.norm.reset_parameters()
        nn.init.zeros_(self.direct)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer."""
        if x.dim() < 3 or x.size(-1) != self.in_channels:
            raise ValueError(f"x must be [B, X, Y, {self.in_channels}], got {list(x.shape)}")
        gates, direct = self.gates(x)
        # Products of their own leave every operand contiguous.
        query, key, value = (
            nn.functional.linear(x, weight).unflatten(-1, (self.heads, -1))
            for weight in self.lin.weight.split(self._sizes)
        )
        width = query.size(-1)
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        if value.size(-1) < width:
            value = with_ones(value)
        out = plstm_grid2d_oriented(
            query,
            key * width**-0.5,
            value,
            gates.source_right,
            gates.source_down,
            gates.right_from_left,
            gates.down_from_up,
            gates.down_from_left,
            gates.right_from_up,
            gates.mark_left,
            gates.mark_up,
            direct,
            form=self.form,
            orientations=self.gate.orientations,
        )
        return self.lin_out(self.norm(out).flatten(-2).to(self.lin_out.weight.dtype))

    def gates(self, x: Tensor) -> tuple[Grid2dGates, Tensor]:
        """Gates of the grid and Direct, ``[B, X, Y, H]``, for an input."""
        return self.gate(x), self.direct.sigmoid().expand(*x.shape[:-1], -1)

    def __repr__(self) -> str:
        mode, orientations = self.gate.mode, len(self.gate.orientations)
        sizes = f"{self.in_channels}, {self.out_channels}, heads={self.heads}"
        return f"{type(self).__name__}({sizes}, mode={mode!r}, orientations={orientations})"
