"""All gates of P- or D-mode in C, on a CPU: logits are gathered, shared out and scaled in walks over edges and pairs.

Only exponentials are left to torch, which computes several at once.
"""

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor

from plstm_graph.native.load import CHANGED, REALS, SOURCES, Source, check_tensors, has_native, load_native
from plstm_graph.native.threads import places
from plstm_graph.ops.custom_operator import CustomOperator, Options, Tensors
from plstm_graph.ops.dag.gate_terms import DecayAt, Sharing, pair_transitions

_SOURCE = Source(SOURCES / "gates.c", ("check", "logits", "shares", "backward"))

_STRUCTURE = ("edge_index", "pairs")

_SIGNED = get_args(Sharing).index("signed")


class Gates(NamedTuple):
    """Source ``[E, H]``, Transition ``[P, H]``, Mark ``[E, H]`` and Direct ``[N, H]``."""

    source: Tensor
    transition: Tensor
    mark: Tensor
    direct: Tensor


def has_native_gates(tensors: Sequence[Tensor]) -> bool:
    """Whether C is there for the gates of such logits, which are all of one dtype and on the CPU; not in compiled
    code, for what torch compiles it fuses by itself."""
    first = tensors[0]
    same = all(tensor.dtype is first.dtype and tensor.device == first.device for tensor in tensors)
    return same and not torch.compiler.is_compiling() and has_native(_SOURCE, first)


def gates_native(
    at_nodes: Tensor,
    at_edges: Tensor | None,
    bias: Tensor,
    edge_index: Tensor,
    pairs: Tensor,
    sharing: Sharing,
    decay: DecayAt,
    key_width: int,
) -> Gates:
    r"""Source, Transition, Mark and Direct of all heads; Source and Direct, with which scores enter, times
    :math:`1 / \sqrt{K}`.

    Args:
        at_nodes: Logits of Direct, Source and Mark, ``H`` each, of Transition as start of the in-edge, as the node
            between and as end of the out-edge, and of decay if there is one, ``[N, 6 H]`` or ``[N, 7 H]``.
        at_edges: Logits of Source, of Mark, and of Transition as in-edge and as out-edge, ``[E, 4 H]``.
        bias: Of Transition, ``[H]``.
        edge_index: ``[2, E]``
        pairs: ``[2, P]``
        sharing: How transitions are made.
        decay: Where what is lost is decided.
        key_width: ``K``
    """
    edges, (nodes, _), num_pairs = edge_index.size(1), at_nodes.shape, pairs.size(1)
    of_edges = at_nodes.new_empty(edges, 0) if at_edges is None else at_edges
    options = [get_args(Sharing).index(sharing), get_args(DecayAt).index(decay), key_width]
    gates = _GATES(at_nodes, of_edges, bias, structure=[edge_index, pairs], options=options)
    transition, source, mark, direct = gates.split([num_pairs, edges, edges, nodes])
    return Gates(source, transition, mark, direct)


def _forward(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    """All gates ``[P + 2 E + N, H]``; how transitions answer to their logits, and decay, ``[P + E or 0, H]``."""
    gates, kept = _fake(operands, structure, options)
    edges, pairs, heads = structure[0].size(1), structure[1].size(1), operands[2].size(0)
    scratch = gates.new_empty(2, edges, heads)
    call = _Call(operands, structure, options)
    call("logits", *operands, gates, kept, scratch)
    transition, sigmoids = gates.split([pairs, gates.size(0) - pairs])
    sigmoids.sigmoid_()
    if options[0] == _SIGNED:
        kept[pairs:].sigmoid_()
        transition.tanh_()
    else:
        kept.sigmoid_()
        torch.ops.aten.softplus.out(transition, out=transition)
    call("shares", call.constants, gates, kept, scratch)
    return gates, kept


def _backward(
    grad: Tensor, kept: Tensors, operands: Tensors, structure: Tensors, options: Options
) -> tuple[Tensor, Tensor, Tensor]:
    at_nodes, at_edges, bias = operands
    answers, gates = kept
    of_gates, of_kept = _shapes(operands, structure, options)
    check_tensors(bias.dtype, grad=(grad, of_gates), gates=(gates, of_gates), kept=(answers, of_kept))
    grad_nodes, grad_edges = torch.zeros_like(at_nodes), torch.empty_like(at_edges)
    sums = bias.new_empty(4, structure[0].size(1), bias.size(0))
    call = _Call(operands, structure, options)
    call("backward", call.constants, grad, gates, answers, grad_nodes, grad_edges, sums)
    return grad_nodes, grad_edges, sums[1].sum(dim=0)


class _Call:
    """Calls of C functions on the same operands, which are held to their sizes.

    Attributes:
        constants: What C is told of the scale of Source and Direct, and of the dtype.
    """

    def __init__(self, operands: Tensors, structure: Tensors, options: Options) -> None:
        at_nodes, at_edges, bias = operands
        (nodes, of_node), (edges, of_edge), heads = at_nodes.shape, at_edges.shape, bias.numel()
        sharing, decay, key_width = options
        if sharing not in range(3) or decay not in range(3) or key_width < 1 or of_edge not in (0, 4 * heads):
            raise ValueError(f"native code has no gates of options {list(options)}, {of_edge} logits of an edge")
        edge_index, pairs = structure
        check_tensors(
            bias.dtype,
            at_nodes=(at_nodes, (nodes, (7 if decay else 6) * heads)),
            at_edges=(at_edges, (edges, of_edge)),
            bias=(bias, (heads,)),
        )
        check_tensors(torch.int64, edge_index=(edge_index, (2, edges)), pairs=(pairs, (2, pairs.size(-1))))
        self.constants = (ctypes.c_double * 2)(key_width**-0.5, torch.finfo(bias.dtype).tiny)
        self._indices = [tensor.contiguous() for tensor in structure]
        self._indices_in_c = places(self._indices)
        self._sizes = (ctypes.c_int64 * 8)(nodes, edges, pairs.size(1), heads, of_node, of_edge, sharing, decay)
        library: Any = load_native(_SOURCE, REALS[bias.dtype])
        self._library = library
        wrong = library.check(self._sizes, self._indices_in_c)
        if wrong:
            raise ValueError(f"{_STRUCTURE[wrong - 1]} of the line graph has an index outside its range: {CHANGED}")

    def __call__(self, name: str, *arguments: Tensor | ctypes.Array[Any]) -> None:
        getattr(self._library, name)(places([self._sizes, self._indices_in_c, *arguments]))


def _shapes(operands: Tensors, structure: Tensors, options: Options) -> tuple[tuple[int, int], tuple[int, int]]:
    nodes, heads = operands[0].size(0), operands[2].size(0)
    edges, pairs = structure[0].size(1), structure[1].size(1)
    return (pairs + 2 * edges + nodes, heads), (pairs + (edges if options[1] else 0), heads)


def _fake(operands: Tensors, structure: Tensors, options: Options) -> tuple[Tensor, Tensor]:
    gates, kept = _shapes(operands, structure, options)
    return operands[2].new_empty(gates), operands[2].new_empty(kept)


def _twin(operands: Tensors, structure: Tensors, options: Options) -> Tensor:
    at_nodes, at_edges, bias = operands
    (edge_index, pairs), heads = structure, bias.size(0)
    direct, source, mark, *rest = at_nodes.split([heads] * 3 + [3 * heads] + [heads] * bool(options[1]), dim=1)
    source, mark = source.index_select(0, edge_index[0]), mark.index_select(0, edge_index[1])
    of_pairs = None
    if at_edges.size(1):
        of_source, of_mark, of_pairs = at_edges.split([heads, heads, 2 * heads], dim=1)
        source, mark = source + of_source, mark + of_mark
    sharing, decay = get_args(Sharing)[options[0]], get_args(DecayAt)[options[1]]
    transition = pair_transitions(rest, bias, edge_index, pairs, of_pairs, sharing, decay)
    scale = options[2] ** -0.5
    return torch.cat([transition, source.sigmoid() * scale, mark.sigmoid(), direct.sigmoid() * scale])


_GATES = CustomOperator(
    "gates",
    ("at_nodes", "at_edges", "bias"),
    _forward,
    _backward,
    _fake,
    _twin,
    kept=1,
    keeps_output=True,
    features=0,
)
