"""Transition gates whose values are matrices, for states that are turned and not only passed on."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear

from plstm_graph.graph import LineGraph
from plstm_graph.nn.gates import GateLinear, Mode
from plstm_graph.ops.dag.gate_terms import LONG_RANGE_FACTOR, normalized_shares, pair_logits
from plstm_graph.ops.orthogonal import householder_product
from plstm_graph.ops.scatter import sum_rows
from plstm_graph.ops.shapes import wide_dtype

MatrixKind = Literal["householder", "signed"]

# Shares of a new "signed" gate lie on the diagonal for the most part: softplus(2) is 17 times softplus(-2).
_DIAGONAL = 2.0


class MatrixOptions(NamedTuple):
    """Arguments of :class:`MatrixTransitionGate` with defaults of their own."""

    size: int = 2
    kind: MatrixKind = "householder"
    reflections: int = 1


class MatrixTransitionGate(nn.Module):
    r"""A :math:`J \times J` matrix for each pair of edges, :func:`~plstm_graph.ops.plstm_matrix`'s transition.

    Logits of each pair sum contributions of the two edges, of their shared node and of the two nodes beyond, as in
    :class:`~plstm_graph.nn.TransitionGate`. Of them are made

    * ``"householder"``: a product of ``reflections`` factors :math:`I - (1 - \lambda) v v^{\top} / |v|^2` with
      :math:`\lambda = \tanh(5\, logit)`, from a reflection (-1) to the identity (1). Its spectral norm is at most 1, so
      that D-mode, on its multitree, stays bounded. In P-mode it is multiplied by the share of the pair among all
      that leave an edge. Matrices of one number and one factor are the gates of D-mode themselves.
    * ``"signed"``: shares of what is in each row of an in-edge's state, in P-mode among the rows of all out-edges, in
      D-mode among those of one, times :math:`\tanh(5\, logit)`. Sums of absolute values over what leaves a row are at
      most 1: the bound of eq. 9, row by row.

    Both have negative eigenvalues where logits are negative, which counting modulo two needs.

    Args:
        in_channels (int): Size of node features; -1 takes it from the first call.
        heads (int): Number of heads ``H``.
        edge_dim (int, optional): Size of edge features.
        mode (str): ``"P"`` or ``"D"``. (default: ``"D"``)
        size (int): Rows of a matrix, ``J``. (default: ``2``)
        kind (str): ``"householder"`` or ``"signed"``. (default: ``"householder"``)
        reflections (int): Factors of a ``"householder"`` product. (default: ``1``)

    Shapes:
        - **input:** node features ``[N, C]``, line graph, edge features ``[E, D]`` *(optional)*
        - **output:** ``[P, H, J, J]``, to the first index from the second
    """

    def __init__(
        self,
        in_channels: int,
        heads: int,
        edge_dim: int | None = None,
        mode: Mode = "D",
        size: int = 2,
        kind: MatrixKind = "householder",
        reflections: int = 1,
    ) -> None:
        super().__init__()
        if mode not in ("P", "D"):
            raise ValueError(f"matrices are transitions of mode 'P' or 'D', got {mode!r}")
        if kind not in get_args(MatrixKind):
            raise ValueError(f"kind must be 'householder' or 'signed', got {kind!r}")
        if size < 1 or reflections < 1:
            raise ValueError(f"size and reflections must be at least 1, got {size} and {reflections}")
        self.heads, self.mode, self.size, self.kind, self.reflections = heads, mode, size, kind, reflections
        # Of a head: vectors, eigenvalues and the share of the pair; or shares and signs of all entries.
        self.parts = (
            [reflections * size, reflections, *([1] if mode == "P" else [])]
            if kind == "householder"
            else [size * size, size * size]
        )
        width = heads * sum(self.parts)
        self.node_lin = GateLinear(in_channels, 3 * width, bias=False)
        self.edge_lin = None if edge_dim is None else GateLinear(edge_dim, 2 * width, bias=False)
        self.bias = nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start near the identity, with reaches spread over the heads as in D-mode, and even shares of edges."""
        self.node_lin.reset_parameters()
        if self.edge_lin is not None:
            self.edge_lin.reset_parameters()
        with torch.no_grad():
            first, reach, *share = self.bias.view(self.heads, -1).split(self.parts, dim=-1)
            if self.kind == "householder":
                # Directions of their own, so that what nodes add to them turns rather than chooses them.
                first.normal_()
            else:
                first.copy_((_DIAGONAL * (2 * torch.eye(self.size) - 1)).flatten())
            reach.copy_((torch.arange(1, self.heads + 1) / self.heads).unsqueeze(-1).expand_as(reach))
            for part in share:
                part.zero_()

    def forward(self, x: Tensor, line_graph: LineGraph, edge_attr: Tensor | None = None) -> Tensor:
        """Evaluate the gate on every pair."""
        at_edge = None if self.edge_lin is None else self.edge_lin(edge_attr)
        return self.of_logits([self.node_lin(x)], line_graph, at_edge)

    @property
    def node_maps(self) -> list[Linear]:
        """The linear maps of node features."""
        return [self.node_lin]

    def of_logits(self, at_nodes: Sequence[Tensor], line_graph: LineGraph, at_edge: Tensor | None = None) -> Tensor:
        """Evaluate the gate from what its linear maps give.

        Args:
            at_nodes: Of nodes, by :attr:`node_maps`, ``[N, 3 H L]`` with ``L`` logits for each head.
            line_graph: The structure.
            at_edge: Of edges, ``[E, 2 H L]``.
        """
        logits = pair_logits(at_nodes[0], self.bias, line_graph.edge_index, line_graph.pairs, at_edge)
        logits = logits.to(wide_dtype(logits)).unflatten(-1, (self.heads, -1))
        first, second, *share = logits.split(self.parts, dim=-1)
        in_edge = line_graph.pairs[0]
        values = torch.tanh(LONG_RANGE_FACTOR * second)
        if self.kind == "householder":
            matrix = householder_product(first.unflatten(-1, (self.reflections, self.size)), values)
            if not share:
                return matrix
            return matrix * normalized_shares(share[0], in_edge, line_graph.num_edges).unsqueeze(-1)
        square = (self.size, self.size)
        # As in normalized_shares: what underflows shares evenly.
        weight = F.softplus(first).unflatten(-1, square) + torch.finfo(first.dtype).tiny
        total = weight.sum(dim=-2, keepdim=True)
        if self.mode == "P":
            total = sum_rows(total, in_edge, line_graph.num_edges).index_select(0, in_edge)
        return weight / total * values.unflatten(-1, square)

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        return f"mode={self.mode!r}, size={self.size}, kind={self.kind!r}"
