r"""What each form of the operator would cost, and the choice that ``form="auto"`` makes from it.

Seconds are estimated by the counts and constants of :mod:`~plstm_graph.ops.dag.counts`. Where the cheapest forms come
close to each other, the estimates are corrected by what :mod:`~plstm_graph.ops.dag.calibration` measures on this
machine.

A form whose tensors would take more than :data:`MAX_BYTES` is not chosen if another takes less: the fastest may hold a
state for every pair, which at a hub of 2,000 in-edges and 2,000 out-edges are four million.
"""

from typing import Literal
from weakref import WeakKeyDictionary

import torch

from plstm_graph.graph import LineGraph
from plstm_graph.graph.ancestry import MAX_ENTRIES
from plstm_graph.ops.dag.calibration import is_calibrated, speed_ratios
from plstm_graph.ops.dag.counts import (
    CONSTANTS,
    chunkwise_counts,
    items,
    least_chunkwise_counts,
    parallel_counts,
    recurrent_counts,
    seconds_of,
)
from plstm_graph.ops.dag.recurrent import PIECE_BYTES
from plstm_graph.ops.dag.recurrent_native import has_native_recurrent

Form = Literal["auto", "naive", "recurrent", "parallel", "chunkwise"]

#: Bytes that a form may take in a forward and backward pass; on a GPU, a quarter of its memory if that is more.
MAX_BYTES = 2**32

# Measured at hubs of up to 4 million pairs: structure of each entry or item, and what each takes per head.
_BYTES_OF_ITEM, _BYTES_OF_ITEM_AND_HEAD = 100, 110

#: Seconds of a pass below which cutting the levels into blocks, for an estimate, is not worth its while.
_WORTH_BLOCKS = 0.02

#: What was chosen for a graph, by all that the choice depends on: estimates take as long as a pass over a small graph.
_CHOSEN: WeakKeyDictionary[LineGraph, dict[tuple[object, ...], Form]] = WeakKeyDictionary()

#: Seconds of a pass, and ratio of two estimates, between which the constants of another machine decide well enough.
_WORTH_TIMING, _FAR_APART = 5e-3, 6.0


def choose_form(
    line_graph: LineGraph, heads: int, key_width: int, value_width: int, native: bool | None = None
) -> Form:
    """The form with the lowest estimated cost, see :func:`estimate_seconds`, among those that take little memory.

    Structure is built only where it can pay: ancestors are listed no further than the point where the ``"parallel"``
    form would cost more than the ``"recurrent"`` form, which needs none, and the levels are cut into blocks only if
    the others take more than a few hundredths of a second. Compiled code cannot build any: it takes the first of
    ``"parallel"``, ``"chunkwise"`` and ``"recurrent"`` whose structure is there already, see
    :meth:`~plstm_graph.graph.LineGraph.prepare`.

    Where estimates come close to each other, the forms have been timed on this machine, see
    :mod:`plstm_graph.ops.dag.calibration`, which also says how to do without.

    Args:
        line_graph: The structure.
        heads: ``H``
        key_width: ``K``
        value_width: ``V``
        native: Whether forms run in C where they can. (default: if they can on the graph's device)
    """
    if torch.compiler.is_compiling():
        if line_graph.has_links:
            return "parallel"
        return "chunkwise" if line_graph.has_blocks(heads, key_width, value_width) else "recurrent"
    # Both directions have one structure and cost the same.
    graph = line_graph.reverse() if line_graph.is_reversed else line_graph
    native = _is_native(graph, native)
    calibrated = graph.edge_index.device.type == "cpu" and is_calibrated()
    chosen = _CHOSEN.setdefault(graph, {})
    call = heads, key_width, value_width, native, calibrated, torch.get_num_threads()
    if call not in chosen:
        chosen[call] = _choose(graph, heads, key_width, value_width, native, calibrated)
    return chosen[call]


def _choose(
    line_graph: LineGraph, heads: int, key_width: int, value_width: int, native: bool, calibrated: bool
) -> Form:
    seconds = estimate_seconds(line_graph, heads, key_width, value_width, native)
    needed = estimate_bytes(line_graph, heads, key_width, value_width, tuple(seconds), native)
    most = max(_max_bytes(line_graph), min(needed.values()))
    fitting = sorted((form for form in seconds if needed[form] <= most), key=lambda form: seconds[form])
    if len(fitting) > 1 and calibrated:
        best, second = seconds[fitting[0]], seconds[fitting[1]]
        if best > _WORTH_TIMING and second < _FAR_APART * best:
            ratios = speed_ratios(native)
            return min(fitting, key=lambda form: seconds[form] * ratios[form])
    return fitting[0]


def estimate_seconds(
    line_graph: LineGraph, heads: int, key_width: int, value_width: int, native: bool | None = None
) -> dict[Form, float]:
    """Estimated seconds of a forward and backward pass on two CPU threads, for each form that comes into question.

    Args:
        line_graph: The structure.
        heads: ``H``
        key_width: ``K``
        value_width: ``V``
        native: As in :func:`choose_form`.

    Returns:
        Seconds by form; without ``"parallel"`` or ``"chunkwise"`` where they are ruled out, see :func:`choose_form`.
    """
    widths = heads, key_width, value_width
    unit = CONSTANTS[_is_native(line_graph, native)]
    seconds: dict[Form, float] = {"recurrent": seconds_of(unit["recurrent"], recurrent_counts(line_graph, *widths))}
    per_entry = 1e-9 * heads * unit["parallel"]["entries"]
    worth = int(seconds["recurrent"] / per_entry) if heads else MAX_ENTRIES
    fits = _max_bytes(line_graph) // (_BYTES_OF_ITEM + heads * _BYTES_OF_ITEM_AND_HEAD)
    if line_graph.has_ancestry(min(worth, fits)):
        seconds["parallel"] = seconds_of(unit["parallel"], parallel_counts(line_graph, *widths))
    fastest = min(seconds.values())
    least = seconds_of(unit["chunkwise"], least_chunkwise_counts(line_graph, *widths))
    if (fastest > _WORTH_BLOCKS and fastest > least) or line_graph.has_blocks(*widths):
        seconds["chunkwise"] = seconds_of(unit["chunkwise"], chunkwise_counts(line_graph, *widths))
    return seconds


def estimate_bytes(
    line_graph: LineGraph,
    heads: int,
    key_width: int,
    value_width: int,
    forms: tuple[Form, ...],
    native: bool | None = None,
) -> dict[Form, float]:
    """Estimated bytes of the largest tensors of a forward and backward pass in float32, for each of some forms.

    Args:
        line_graph: The structure.
        heads: ``H``
        key_width: ``K``
        value_width: ``V``
        forms: ``"recurrent"``, ``"parallel"`` or ``"chunkwise"``; what they need of the structure is built.
        native: As in :func:`choose_form`.
    """
    of_states = 4 * heads * key_width * value_width
    of_items = _BYTES_OF_ITEM + heads * _BYTES_OF_ITEM_AND_HEAD
    needed: dict[Form, float] = {}
    for form in forms:
        if form == "parallel":
            needed[form] = line_graph.ancestry.num_entries * of_items
        elif form == "chunkwise":
            counts = items(line_graph, heads, key_width, value_width)
            needed[form] = sum(counts) * of_items + 2 * line_graph.num_edges * of_states
        elif _is_native(line_graph, native):
            needed[form] = 2 * line_graph.num_edges * 4 * key_width * value_width
        else:
            # States before and after a pair and their gradients, of pairs that are advanced at once.
            widest = max(line_graph.schedule.pair_ptr.diff().tolist(), default=0)  # on the CPU, see Schedule
            needed[form] = 4 * line_graph.num_edges * of_states + 3 * min(widest * of_states, PIECE_BYTES)
    return needed


def _max_bytes(line_graph: LineGraph) -> int:
    device = line_graph.edge_index.device
    if device.type != "cuda":
        return MAX_BYTES
    return max(MAX_BYTES, torch.cuda.get_device_properties(device).total_memory // 4)


def _is_native(line_graph: LineGraph, native: bool | None) -> bool:
    if native is None:
        return has_native_recurrent(line_graph.edge_index.new_empty(0, dtype=torch.float32))
    return native
