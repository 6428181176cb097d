r"""What each form of the operator would cost, and the choice that ``form="auto"`` makes from it.

The cost of a forward and backward pass is modelled as a sum of counts, each times the nanoseconds that one of them
takes (:data:`NANOSECONDS`, fitted by ``benchmarks/fit_costs.py`` to the runs in docs/performance.md, on two CPU
threads; :data:`NATIVE_NANOSECONDS` where forms run in C):

* ``recurrent``: levels; numbers in the states of edges, and of pairs, :math:`H K V E` and :math:`H K V P`.
* ``parallel``: levels; scalars of the entries of an :class:`~plstm_graph.graph.ancestry.Ancestry`, :math:`H A`; numbers
  in the keys and values of nodes, :math:`H (K + V) N`.
* ``chunkwise``: blocks, and levels of the deepest of them; numbers in the states of edges, and in those carried over
  crossing pairs and wide items; scalars of all items and of the steps that fill them in.

Steps and links of the ``parallel`` form, and thin items of the ``chunkwise`` form, were tried as counts of their own;
the fit gave them nothing.

Other devices and thread counts have other constants; what matters for the choice, how the counts grow, stays.

A form whose tensors would take more than :data:`MAX_BYTES` is not chosen if another takes less: the fastest may hold a
state for every pair, which at a hub of 2,000 in-edges and 2,000 out-edges are four million.
"""

from typing import Literal

import torch

from plstm_graph.graph import LineGraph
from plstm_graph.graph.ancestry import MAX_ENTRIES
from plstm_graph.ops.dag.recurrent import PIECE_BYTES
from plstm_graph.ops.dag.recurrent_native import has_native_recurrent

Form = Literal["auto", "naive", "recurrent", "parallel", "chunkwise"]

#: Nanoseconds of one unit of each count, for each form.
NANOSECONDS: dict[str, dict[str, float]] = {
    "recurrent": {"call": 1_300_000, "levels": 84_000, "edge states": 3.6, "pair states": 4.1},
    "parallel": {"call": 1_560_000, "levels": 30_000, "entries": 53, "node vectors": 1.4},
    "chunkwise": {
        "call": 1_780_000,
        "blocks": 820_000,
        "levels": 88_000,
        "edge states": 5.1,
        "border states": 0.38,
        "items": 21,
    },
}

#: The same for the forms in C, from chains, molecules, peptides and random DAGs on one thread, halved for two.
NATIVE_NANOSECONDS: dict[str, dict[str, float]] = {
    "recurrent": {"call": 300_000, "levels": 0, "edge states": 1.0, "pair states": 1.3},
    "parallel": {"call": 300_000, "levels": 0, "entries": 13, "node vectors": 0.7},
}

#: Bytes that a form may take in a forward and backward pass; on a GPU, a quarter of its memory if that is more.
MAX_BYTES = 2**32

# Measured at hubs of up to 4 million pairs: structure of each entry or item, and what each takes per head.
_BYTES_OF_ITEM, _BYTES_OF_ITEM_AND_HEAD = 100, 110

#: Seconds of a pass below which cutting the levels into blocks, for an estimate, is not worth its while.
_WORTH_BLOCKS = 0.02


def choose_form(
    line_graph: LineGraph, heads: int, key_width: int, value_width: int, native: bool | None = None
) -> Form:
    """The form with the lowest estimated cost, see :func:`estimate_seconds`, among those that take little memory.

    Structure is built only where it can pay: ancestors are listed no further than the point where the ``"parallel"``
    form would cost more than the ``"recurrent"`` form, which needs none, and the levels are cut into blocks only if
    the others take more than a few hundredths of a second. Compiled code cannot build any: it takes the first of
    ``"parallel"``, ``"chunkwise"`` and ``"recurrent"`` whose structure is there already, see
    :meth:`~plstm_graph.graph.LineGraph.prepare`.

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
    seconds = estimate_seconds(line_graph, heads, key_width, value_width, native)
    needed = estimate_bytes(line_graph, heads, key_width, value_width, tuple(seconds), native)
    most = max(_max_bytes(line_graph), min(needed.values()))
    return min((form for form in seconds if needed[form] <= most), key=lambda form: seconds[form])


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
    unit = NANOSECONDS | (NATIVE_NANOSECONDS if _is_native(line_graph, native) else {})
    seconds: dict[Form, float] = {"recurrent": _seconds(unit["recurrent"], recurrent_counts(line_graph, *widths))}
    per_entry = 1e-9 * heads * unit["parallel"]["entries"]
    worth = int(seconds["recurrent"] / per_entry) if heads else MAX_ENTRIES
    fits = _max_bytes(line_graph) // (_BYTES_OF_ITEM + heads * _BYTES_OF_ITEM_AND_HEAD)
    if line_graph.has_ancestry(min(worth, fits)):
        seconds["parallel"] = _seconds(unit["parallel"], parallel_counts(line_graph, *widths))
    fastest = min(seconds.values())
    least = _seconds(unit["chunkwise"], _least_chunkwise_counts(line_graph, *widths))
    if (fastest > _WORTH_BLOCKS and fastest > least) or line_graph.has_blocks(*widths):
        seconds["chunkwise"] = _seconds(unit["chunkwise"], chunkwise_counts(line_graph, *widths))
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
            counts = _items(line_graph, heads, key_width, value_width)
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


def recurrent_counts(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> dict[str, float]:
    """Counts of the recurrent form. Arguments as for :func:`estimate_seconds`."""
    numbers = heads * key_width * value_width
    return {
        "call": 1,
        "levels": line_graph.schedule.num_levels,
        "edge states": line_graph.num_edges * numbers,
        "pair states": line_graph.num_pairs * numbers,
    }


def parallel_counts(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> dict[str, float]:
    """Counts of the parallel form; lists the ancestors. Arguments as for :func:`estimate_seconds`."""
    return {
        "call": 1,
        "levels": line_graph.schedule.num_levels,
        "entries": line_graph.ancestry.num_entries * heads,
        "node vectors": line_graph.num_nodes * heads * (key_width + value_width),
    }


def chunkwise_counts(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> dict[str, float]:
    """Counts of the chunkwise form; cuts the blocks. Arguments as for :func:`estimate_seconds`."""
    blocks = line_graph.blocks(heads, key_width, value_width)
    numbers = heads * key_width * value_width
    crossing, wide, thin, steps = _items(line_graph, heads, key_width, value_width)
    return {
        "call": 1,
        "blocks": blocks.num_blocks,
        "levels": blocks.step_ptr.numel() - 1,
        "edge states": line_graph.num_edges * numbers,
        "border states": (crossing + wide) * numbers,
        "items": (wide + thin + steps) * heads,
    }


def _least_chunkwise_counts(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> dict[str, float]:
    """Counts that the chunkwise form has at least, however blocks are cut: a pair crosses between two, or is a step."""
    numbers = heads * key_width * value_width
    unit = NANOSECONDS["chunkwise"]
    steps_are_cheaper = unit["items"] * heads < unit["border states"] * numbers
    return {
        "call": 1,
        "edge states": line_graph.num_edges * numbers,
        "items" if steps_are_cheaper else "border states": line_graph.num_pairs
        * (heads if steps_are_cheaper else numbers),
    }


def _items(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> tuple[int, int, int, int]:
    """Numbers of crossing pairs, wide items, thin items and steps of the blocks."""
    blocks = line_graph.blocks(heads, key_width, value_width)
    lists = (blocks.crossing_in.column, blocks.wide.column, blocks.thin.column, blocks.step_from)
    crossing, wide, thin, steps = (tensor.numel() for tensor in lists)
    return crossing, wide, thin, steps


def _seconds(unit: dict[str, float], counts: dict[str, float]) -> float:
    return 1e-9 * sum(unit[name] * count for name, count in counts.items())
