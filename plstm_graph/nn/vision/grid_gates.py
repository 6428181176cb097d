r"""Gates of two-dimensional grids, from the features of the nodes (section 4.2 of the paper).

A grid is walked in four orientations: along x upwards or downwards, along y likewise. A gate that belongs to an edge
(Mark, and in D-mode Source and the transition straight on) is shared by the two orientations that use the edge's
direction; a gate that belongs to a turn or to a split (the rest) has weights of its own in each orientation.

Each head's gates read that head's share of the channels, not all of them. It makes gates cheaper by the number of
heads, in weights and in time, and keeps the vision models at the paper's sizes.
"""

import math
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from plstm_graph.nn.gates import Mode
from plstm_graph.ops.dag.gate_terms import LONG_RANGE_FACTOR
from plstm_graph.ops.grid2d.plstm_grid2d import ORIENTATIONS
from plstm_graph.ops.grid2d.single_turn import Chirality
from plstm_graph.ops.shapes import wide_dtype


@dataclass
class Grid2dGates:
    """Gates of the orientations of a grid, ``[..., X, Y, O, H]`` each, as
    :func:`~plstm_graph.ops.plstm_grid2d_oriented` takes them.

    Attributes:
        source_right (Tensor): How much of the node's input enters its edge to the next x.
        source_down (Tensor): To the next y.
        right_from_left (Tensor): How much of what arrives along x goes on along x.
        down_from_up (Tensor): Of what arrives along y, along y.
        down_from_left (Tensor): Of what arrives along x, along y.
        right_from_up (Tensor): Of what arrives along y, along x.
        mark_left (Tensor): How much of what arrives along x the node reads.
        mark_up (Tensor): Along y.
    """

    source_right: Tensor
    source_down: Tensor
    right_from_left: Tensor
    down_from_up: Tensor
    down_from_left: Tensor
    right_from_up: Tensor
    mark_left: Tensor
    mark_up: Tensor


class Grid2dGate(nn.Module):
    r"""All gates of a grid but Direct.

    * P-mode, eq. 10: :math:`T = \gamma \begin{pmatrix} \alpha & \alpha \\ 1-\alpha & 1-\alpha \end{pmatrix}` and Source
      :math:`(\alpha S, (1 - \alpha) S)`, with :math:`\alpha, \gamma, S` in (0, 1): what arrives is shared out between
      the two edges, never more than there was. Heads start at angles :math:`\alpha` from 0.12 to 0.88 and lose
      :math:`1 - \gamma = 0.007` per step.
    * D-mode: straight on :math:`\tanh(5\,logit)`, one of the two turns likewise, the other is zero, so that any two
      edges have one path. Heads start with reaches spread up to tanh(5), as in
      :class:`~plstm_graph.nn.TransitionGate`.

    Args:
        channels (int): Size of node features, divisible by ``heads``.
        heads (int): Number of heads ``H``.
        mode (str): ``"P"`` or ``"D"``.
        orientations (int): 1 or 4.
        chirality (str): Which turn D-mode has: ``"L"`` from y to x, ``"R"`` from x to y.
        weights (bool): Whether gates depend on features at all; without, only their biases are learned.
        attenuation (float): In training, the transitions of each grid are multiplied by :math:`e^{-u}`, u drawn from
            [0, ``attenuation``]: signals arrive as weak as from further away, so that what is learned holds on larger
            grids. (default: ``0``)

    Shapes:
        - **input:** ``[..., X, Y, channels]``
        - **output:** :class:`Grid2dGates` with ``[..., X, Y, O, H]`` each
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        mode: Mode = "P",
        orientations: int = 4,
        chirality: Chirality = "L",
        weights: bool = True,
        attenuation: float = 0.0,
    ) -> None:
        super().__init__()
        if mode not in ("P", "D"):
            raise ValueError(f"mode must be 'P' or 'D', got {mode!r}")
        if chirality not in get_args(Chirality):
            raise ValueError(f"chirality must be 'L' or 'R', got {chirality!r}")
        check_grid_gate(channels, heads, orientations)
        if attenuation < 0:
            raise ValueError(f"attenuation must not be negative, got {attenuation}")
        self.attenuation = attenuation
        self.mode = mode
        self.chirality = chirality
        self.heads = heads
        # Along x upwards (and downwards), then along y.
        directions = 4 if orientations == 4 else 2
        per_edge, per_turn = (1, 3) if mode == "P" else (3, 1)
        self._sizes = [directions] * per_edge + [orientations] * per_turn
        outputs = sum(self._sizes)
        self.weight = nn.Parameter(torch.empty(heads, channels // heads, outputs)) if weights else None
        # A vector, which optimisers know not to decay.
        self.bias = nn.Parameter(torch.empty(outputs * heads))
        self.orientations = ORIENTATIONS[:orientations]
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start Source and Mark half open and transitions as the class says, with small weights."""
        if self.weight is not None:
            nn.init.normal_(self.weight, std=math.sqrt(2 / (5 * self.weight.size(1))))
        self.bias.zero_()
        third, fourth = self.bias.view(-1, self.heads).split(self._sizes)[2:]
        if self.mode == "P":
            third.copy_(torch.linspace(-2, 2, self.heads))
            fourth.fill_(LONG_RANGE_FACTOR)
        else:
            reach = torch.arange(1, self.heads + 1) / self.heads
            third.copy_(reach)
            fourth.copy_(reach)

    def forward(self, x: Tensor) -> Grid2dGates:
        """Evaluate all gates."""
        bias = self.bias.view(-1, self.heads)
        if self.weight is None:
            logits = bias.expand(*x.shape[:-1], -1, -1)
        else:
            own = x.unflatten(-1, (self.heads, -1))
            logits = torch.einsum("...hc,hcg->...gh", own, self.weight) + bias
        logits = logits.to(wide_dtype(logits))
        first, second, third, fourth = logits.split(self._sizes, dim=-2)
        mark, source = first.sigmoid(), second.sigmoid()
        mark_left, mark_up = per_orientation(mark, len(self.orientations))
        if self.mode == "P":
            share = third.sigmoid()
            (keep,) = self._attenuate(fourth.sigmoid())
            right = share * keep
            down = keep - right
            source_right = share * source
            return Grid2dGates(source_right, source - source_right, right, down, down, right, mark_left, mark_up)
        straight, turn = self._attenuate(torch.tanh(LONG_RANGE_FACTOR * third), torch.tanh(LONG_RANGE_FACTOR * fourth))
        none = torch.zeros_like(turn)
        down_from_left, right_from_up = (none, turn) if self.chirality == "L" else (turn, none)
        return Grid2dGates(
            *per_orientation(source, len(self.orientations)),
            *per_orientation(straight, len(self.orientations)),
            down_from_left,
            right_from_up,
            mark_left,
            mark_up,
        )

    def _attenuate(self, *transitions: Tensor) -> tuple[Tensor, ...]:
        """Weaken all transitions of a grid alike."""
        if not self.training or self.attenuation == 0:
            return transitions
        drawn = transitions[0].new_empty(*transitions[0].shape[:-4], 1, 1, 1, 1).uniform_(0, self.attenuation)
        kept = (-drawn).exp()
        return tuple(transition * kept for transition in transitions)

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        chirality = f", chirality={self.chirality!r}" if self.mode == "D" else ""
        return f"mode={self.mode!r}, heads={self.heads}{chirality}, weights={self.weight is not None}"


def per_orientation(gate: Tensor, orientations: int) -> tuple[Tensor, Tensor]:
    """Gates of directions as those along x and along y of each orientation.

    Args:
        gate: Along x upwards (and downwards), then along y, ``[..., 2, C]``, or ``[..., 4, C]`` for four orientations.
        orientations: 1 or 4.

    Returns:
        ``[..., O, C]`` each.
    """
    along_x, along_y = gate.chunk(2, dim=-2)
    if orientations == 1:
        return along_x, along_y
    # Orientations alternate along x faster than along y.
    shape = (*gate.shape[:-2], 2, 2, gate.size(-1))
    return along_x.unsqueeze(-3).expand(shape).flatten(-3, -2), along_y.unsqueeze(-2).expand(shape).flatten(-3, -2)


def check_grid_gate(channels: int, heads: int, orientations: int) -> None:
    """Raise a ``ValueError`` unless there are 1 or 4 orientations and each head has an equal share of the channels."""
    if orientations not in (1, 4):
        raise ValueError(f"orientations must be 1 or 4, got {orientations}")
    if channels % heads:
        raise ValueError(f"channels ({channels}) must be divisible by heads ({heads})")
