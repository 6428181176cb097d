"""pLSTM on sequences as a layer."""

from collections.abc import Sequence
from typing import Literal, get_args, overload

import torch
from torch import Tensor, nn

from plstm_graph.nn.gates import GateLinear
from plstm_graph.nn.head_norm import HeadNorm, make_head_norm, projected_channels, query_key_value
from plstm_graph.nn.max_plus_gates import form_of_maxima
from plstm_graph.ops import ChainForm, MaxPlusChainForm, plstm_chain, plstm_max_plus_chain
from plstm_graph.ops.dag.gate_terms import LONG_RANGE_FACTOR
from plstm_graph.ops.shapes import wide_dtype

ChainMode = Literal["P", "M"]


class PLSTM1d(nn.Module):
    r"""The pLSTM layer on a sequence: a gated linear recurrence, in one direction or in both.

    .. math::
        C_l = T_l\, C_{l-1} + S_l\, k_l v_l^{\top}, \qquad
        y_l = M_l\, (q_l^{\top} C_{l-1}) + D_l\, (q_l \cdot k_l)\, v_l

    with :math:`S, M, D` sigmoids and :math:`T = \tanh(5\,logit)`, then a norm of each head and a linear map.
    Heads start with reaches spread up to tanh(5) = 0.9999.

    In M-mode maxima stand in place of sums, and sums in place of products, channel by channel; all terms are linear
    maps of the input:

    .. math::
        m_l = \max(s_l,\; m_{l-1} + t_l), \qquad y_l = \max(d_l,\; m_{l-1} + r_l)

    Args:
        in_channels (int): Size of each input sample.
        out_channels (int): Size of each output sample, divisible by ``heads``.
        heads (int): Number of heads ``H``. (default: ``4``)
        bidirectional (bool): Whether to read from the end as well, with gates of its own; queries, keys and values
            are shared, and outputs summed. (default: ``False``)
        form (str): How to evaluate the operator, see :func:`~plstm_graph.ops.plstm_chain`. (default: ``"auto"``)
        head_norm (str): As in :class:`~plstm_graph.nn.PLSTMConv`. (default: ``"rms"``)
        norm_eps (float, optional): As in :class:`~plstm_graph.nn.PLSTMConv`.
        mode (str): ``"P"`` for sums of products, or ``"M"`` for maxima of sums,
            :func:`~plstm_graph.ops.plstm_max_plus_chain`. As in :class:`~plstm_graph.nn.PLSTMConv`, the latter takes
            ``"log"`` in place of ``"ratio"``, and ``"auto"`` in place of forms that it does not have; in both
            directions, it takes the larger of what they read. (default: ``"P"``)

    Shapes:
        - **input:** ``[B, L, in_channels]``, state ``[B, H, K, V]``, in M-mode ``[B, out_channels]`` *(optional)*
        - **output:** ``[B, L, out_channels]``, and with ``return_state`` the state behind the last step

    Raises:
        ValueError: If an argument or the shape of the input does not fit, or a state is used in both directions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int = 4,
        bidirectional: bool = False,
        form: ChainForm = "auto",
        head_norm: HeadNorm = "rms",
        norm_eps: float | None = None,
        mode: ChainMode = "P",
    ) -> None:
        super().__init__()
        if mode not in get_args(ChainMode):
            raise ValueError(f"mode must be 'P' or 'M', got {mode!r}")
        if out_channels % heads:
            raise ValueError(f"out_channels ({out_channels}) must be divisible by heads ({heads})")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.heads = heads
        self.bidirectional = bidirectional
        self.form = form
        self.mode = mode
        # Direct, then Source, Mark and Transition of each direction.
        self._num_gates = 7 if bidirectional else 4
        self.gate = GateLinear(in_channels, self._num_gates * (out_channels if mode == "M" else heads))
        if mode == "M":
            head_norm = "log" if head_norm == "ratio" else head_norm
        else:
            self.lin = nn.Linear(in_channels, projected_channels(head_norm, heads, out_channels // heads), bias=False)
        self.norm = make_head_norm(head_norm, heads, out_channels // heads, norm_eps)
        self.lin_out = nn.Linear(out_channels, out_channels, bias=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        nn.init.xavier_uniform_(self.lin_out.weight)
        self.gate.reset_parameters()
        self.norm.reset_parameters()
        if self.mode == "M":
            return
        nn.init.xavier_uniform_(self.lin.weight)
        reach = torch.arange(1, self.heads + 1) / self.heads
        for transition in self.gate.bias.chunk(self._num_gates)[3::3]:
            transition.copy_(reach)

    @overload
    def forward(self, x: Tensor, state: Tensor | None = None, return_state: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(
        self, x: Tensor, state: Tensor | None = None, *, return_state: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...

    def forward(
        self, x: Tensor, state: Tensor | None = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Run the layer.

        Args:
            x: ``[B, L, in_channels]``
            state: What an earlier call on the steps before these returned, ``[B, H, K, V]``, in M-mode
                ``[B, out_channels]``.
            return_state: Whether to return the state behind the last step too.
        """
        if x.dim() < 2 or x.size(-1) != self.in_channels:
            raise ValueError(f"x must be [B, L, {self.in_channels}], got {list(x.shape)}")
        if self.bidirectional and (state is not None or return_state):
            raise ValueError(
                "a bidirectional layer needs the whole sequence at once: it cannot be streamed by its state"
            )
        gates = self.gate(x).chunk(self._num_gates, dim=-1)
        out, final = self._maxima(gates, state) if self.mode == "M" else self._sums(x, gates, state)
        out = self.lin_out(self.norm(out).flatten(-2).to(self.lin_out.weight.dtype))
        return (out, final) if return_state else out

    def _sums(self, x: Tensor, gates: Sequence[Tensor], state: Tensor | None) -> tuple[Tensor, Tensor]:
        """What each step reads, ``[B, L, H, V]``, and the final state."""
        query, key, value = query_key_value(x, self.lin.weight, self.norm)
        key = key * query.size(-1) ** -0.5
        direct, source, mark, transition, *backward = gates
        last = direct.sigmoid()
        forward = source.sigmoid(), torch.tanh(LONG_RANGE_FACTOR * transition), mark.sigmoid()
        out, final = plstm_chain(
            query, key, value, *forward, last, self.form, initial_state=state, return_final_state=True
        )
        if self.bidirectional:
            source, mark, transition = backward
            of_backward = source.sigmoid(), torch.tanh(LONG_RANGE_FACTOR * transition), mark.sigmoid()
            q, k, v = (each.flip(-3) for each in (query, key, value))
            s, t, m = (each.flip(-2) for each in of_backward)
            out = out + plstm_chain(q, k, v, s, t, m, torch.zeros_like(last), self.form).flip(-3)
        return out, final

    def _maxima(self, gates: Sequence[Tensor], state: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same in M-mode, ``[B, L, H, V]``, in float32 or wider, and the final state."""
        wide = wide_dtype(gates[0])
        direct, source, mark, transition, *backward = (gate.to(wide) for gate in gates)
        form: MaxPlusChainForm = form_of_maxima(self.form, MaxPlusChainForm, ChainForm)
        out, final = plstm_max_plus_chain(
            source, transition, mark, direct, form=form, initial_state=state, return_final_state=True
        )
        if self.bidirectional:
            source, mark, transition, least = (each.flip(-2) for each in (*backward, out))
            out = plstm_max_plus_chain(source, transition, mark, least, form=form).flip(-2)
        return out.unflatten(-1, (self.heads, -1)), final

    def __repr__(self) -> str:
        sizes = f"{self.in_channels}, {self.out_channels}, heads={self.heads}"
        return f"{type(self).__name__}({sizes}, mode={self.mode!r}, bidirectional={self.bidirectional})"
