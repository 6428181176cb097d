"""pLSTM on two-dimensional grids as a layer."""

from typing import get_args

import torch
from torch import Tensor, nn

from plstm_graph.nn.head_norm import HeadNorm, make_head_norm, projected_channels, query_key_value
from plstm_graph.nn.max_plus_gates import form_of_maxima
from plstm_graph.nn.plstm_conv import LayerMode
from plstm_graph.nn.vision.grid_gates import Grid2dGate, Grid2dGates
from plstm_graph.nn.vision.max_plus_grid_gates import MaxPlusGrid2dGate
from plstm_graph.ops import GridForm, MaxPlusGridForm, plstm_grid2d_oriented, plstm_max_plus_grid2d_oriented
from plstm_graph.ops.grid2d.single_turn import Chirality
from plstm_graph.ops.shapes import wide_dtype


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
            chooses), ``"D"`` (distribution: it spreads straight on and around one corner) or ``"M"`` (maxima of sums
            along all paths, channel by channel, and over orientations,
            :func:`~plstm_graph.ops.plstm_max_plus_grid2d_oriented`; ``chirality`` and ``attenuation`` mean nothing to
            it, and it takes ``"log"`` in place of the head norm ``"ratio"``). (default: ``"P"``)
        orientations (int): ``4``, or ``1`` for the directed grid. (default: ``4``)
        chirality (str): The turn that D-mode takes: ``"L"`` from y to x, ``"R"`` from x to y. (default: ``"L"``)
        gate_weights (bool): Whether gates depend on the input; without, each is a learned constant.
            (default: ``True``)
        head_norm (str): As in :class:`~plstm_graph.nn.PLSTMConv`. (default: ``"rms"``)
        norm_eps (float, optional): As in :class:`~plstm_graph.nn.PLSTMConv`.
        attenuation (float): In training, weaken the transitions of each image by up to this exponent, see
            :class:`~plstm_graph.nn.vision.grid_gates.Grid2dGate`. (default: ``0``)
        form (str): How to evaluate the operator, see :func:`~plstm_graph.ops.plstm_grid2d`; M-mode takes ``"auto"`` in
            place of forms that it does not have. (default: ``"auto"``)

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
        mode: LayerMode = "P",
        orientations: int = 4,
        chirality: Chirality = "L",
        gate_weights: bool = True,
        norm_eps: float | None = None,
        attenuation: float = 0.0,
        form: GridForm = "auto",
        head_norm: HeadNorm = "rms",
    ) -> None:
        super().__init__()
        if mode not in get_args(LayerMode):
            raise ValueError(f"mode must be 'P', 'D' or 'M', got {mode!r}")
        if out_channels % heads:
            raise ValueError(f"out_channels ({out_channels}) must be divisible by heads ({heads})")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.form = form
        if mode == "M":
            self.gate: Grid2dGate | MaxPlusGrid2dGate = MaxPlusGrid2dGate(
                in_channels, out_channels, heads, orientations, gate_weights
            )
            head_norm = "log" if head_norm == "ratio" else head_norm
        else:
            self.gate = Grid2dGate(in_channels, heads, mode, orientations, chirality, gate_weights, attenuation)
            self.direct = nn.Parameter(torch.empty(heads))
            self.lin = nn.Linear(in_channels, projected_channels(head_norm, heads, out_channels // heads), bias=False)
        self.norm = make_head_norm(head_norm, heads, out_channels // heads, norm_eps)
        self.lin_out = nn.Linear(out_channels, out_channels, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        nn.init.xavier_uniform_(self.lin_out.weight)
        self.gate.reset_parameters()
        self.norm.reset_parameters()
        if isinstance(self.gate, Grid2dGate):
            nn.init.xavier_uniform_(self.lin.weight)
            nn.init.zeros_(self.direct)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer."""
        if x.dim() < 3 or x.size(-1) != self.in_channels:
            raise ValueError(f"x must be [B, X, Y, {self.in_channels}], got {list(x.shape)}")
        gates, direct = self.gates(x)
        out = self._maxima(gates, direct) if isinstance(self.gate, MaxPlusGrid2dGate) else self._sums(x, gates, direct)
        return self.lin_out(self.norm(out).flatten(-2).to(self.lin_out.weight.dtype))

    def _sums(self, x: Tensor, gates: Grid2dGates, direct: Tensor) -> Tensor:
        """What each node reads, ``[B, X, Y, H, V]``, in P- and D-mode."""
        query, key, value = query_key_value(x, self.lin.weight, self.norm)
        width = query.size(-1)
        value = value.to(wide_dtype(value))
        return plstm_grid2d_oriented(
            query,
            key * width**-0.5,
            value,
            **vars(gates),
            direct=direct,
            form=self.form,
            orientations=self.gate.orientations,
        )

    def _maxima(self, gates: Grid2dGates, direct: Tensor) -> Tensor:
        """What each node reads, ``[B, X, Y, H, V]``, in M-mode."""
        form: MaxPlusGridForm = form_of_maxima(self.form, MaxPlusGridForm, GridForm)
        out = plstm_max_plus_grid2d_oriented(
            **vars(gates), direct=direct, form=form, orientations=self.gate.orientations
        )
        return out.unflatten(-1, (self.heads, -1))

    def gates(self, x: Tensor) -> tuple[Grid2dGates, Tensor]:
        """Gates of the grid and Direct, ``[B, X, Y, H]``, in M-mode ``[B, X, Y, out_channels]``, for an input."""
        if isinstance(self.gate, MaxPlusGrid2dGate):
            return self.gate(x)
        return self.gate(x), self.direct.sigmoid().expand(*x.shape[:-1], -1)

    def __repr__(self) -> str:
        mode, orientations = self.gate.mode, len(self.gate.orientations)
        sizes = f"{self.in_channels}, {self.out_channels}, heads={self.heads}"
        return f"{type(self).__name__}({sizes}, mode={mode!r}, orientations={orientations})"
