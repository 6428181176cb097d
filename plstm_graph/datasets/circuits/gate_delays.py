"""Delays of the gates of an and-inverter graph, by a formula that networks are not told.

The linear model of static timing analysis, as logical effort has it: a gate takes a time of its own, by its kind, and
one in proportion to the load that it drives. All gates drive equally well, and differ in what they cost those who drive
them. An input that is inverted takes a little longer. Times are in units of the delay of an AND gate without load.
"""

from typing import Literal

import torch
from torch import Tensor

Delays = Literal["fan_out", "driven"]

#: Kinds of nodes. A gate reads two signals as they are, one or both of them inverted, or one signal and a constant.
KINDS = ("input", "and", "and_not", "nor", "single")

# By kind, in that order.
_INTRINSIC = torch.tensor([0.0, 1.0, 1.2, 0.8, 0.5], dtype=torch.double)
_CAPACITANCE = torch.tensor([0.0, 1.0, 1.3, 1.6, 0.7], dtype=torch.double)
# Of the delay, for each unit of load.
_RESISTANCE = 0.2
# Of an inverted input: further delay, and further load to whoever drives it.
_INVERTED_DELAY, _INVERTED_LOAD = 0.3, 0.25


def gate_kinds(is_input: Tensor, edge_index: Tensor, inverted: Tensor) -> Tensor:
    """Kind of each node as an index into :data:`KINDS`, ``[N]`` int64.

    Args:
        is_input: Which nodes are inputs, ``[N]``, bool.
        edge_index: Edges from fan-ins to gates, ``[2, E]``, without constant ones.
        inverted: Which of them invert, ``[E]``, bool.
    """
    nodes = len(is_input)
    inversions = torch.bincount(edge_index[1], weights=inverted.double(), minlength=nodes).long()
    fan_ins = torch.bincount(edge_index[1], minlength=nodes)
    kinds = torch.where(fan_ins < 2, KINDS.index("single"), KINDS.index("and") + inversions)
    return torch.where(is_input, KINDS.index("input"), kinds)


def gate_delays(kinds: Tensor, edge_index: Tensor, inverted: Tensor, delays: Delays = "fan_out") -> Tensor:
    r"""Delay of each edge: from the time when a signal arrives at a gate's input until its output has switched.

    .. math::
        d_{uv} = a_{kind(v)} + 0.3\,[uv\ \mathrm{inverts}] + 0.2\, \ell_v, \qquad
        \ell_v = \sum_{v \to w} 1 \quad\mathrm{or}\quad \sum_{v \to w} c_{kind(w)} + 0.25\,[vw\ \mathrm{inverts}]

    Args:
        kinds: Of each node, ``[N]``, by :func:`gate_kinds`.
        edge_index: Edges from fan-ins to gates, ``[2, E]``.
        inverted: Which of them invert, ``[E]``, bool.
        delays: What a gate has as its load: ``"fan_out"``, how many gates it drives, or ``"driven"``, the sum of the
            capacitances of the inputs that it drives, which depend on the kinds of those gates.

    Returns:
        ``[E]`` float64.

    Raises:
        ValueError: If there is no such load.
    """
    if delays not in ("fan_out", "driven"):
        raise ValueError(f"delays must be 'fan_out' or 'driven', got {delays!r}")
    start, end = edge_index
    of_edge = torch.ones(len(inverted), dtype=torch.double)
    if delays == "driven":
        of_edge = _CAPACITANCE[kinds[end]] + _INVERTED_LOAD * inverted.double()
    load = torch.zeros(len(kinds), dtype=torch.double).index_add_(0, start, of_edge)
    of_gate = _INTRINSIC[kinds] + _RESISTANCE * load
    return of_gate[end] + _INVERTED_DELAY * inverted.double()
