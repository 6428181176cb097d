r"""What the forms of the operator do, in counts, and how long one of each takes on the machine where that was fitted.

The time of a forward and backward pass is modelled as a sum of counts, each times the nanoseconds that one of them
takes (:data:`NANOSECONDS`, fitted by ``benchmarks/fit_costs.py`` to the runs in docs/performance.md, on two CPU
threads; :data:`NATIVE_NANOSECONDS` where forms run in C):

* ``recurrent``: levels; numbers in the states of edges, and of pairs, :math:`H K V E` and :math:`H K V P`.
* ``parallel``: levels; scalars of the entries of an :class:`~plstm_graph.graph.ancestry.Ancestry`, :math:`H A`; numbers
  in the keys and values of nodes, :math:`H (K + V) N`.
* ``chunkwise``: blocks, and levels of the deepest of them; numbers in the states of edges, and in those carried over
  crossing pairs and wide items; scalars of all items and of the steps that fill them in.

Steps and links of the ``parallel`` form, and thin items of the ``chunkwise`` form, were tried as counts of their own;
the fit gave them nothing.
"""

from plstm_graph.graph import LineGraph

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

#: The same for the forms in C, from stars, chains, grids, molecules and peptides on two threads. Where states do not
#: lie in the cache, as those of random DAGs, the recurrent form takes twice as long; nothing else is near it there.
NATIVE_NANOSECONDS: dict[str, dict[str, float]] = {
    "recurrent": {"call": 300_000, "levels": 0, "edge states": 0.5, "pair states": 0.12},
    "parallel": {"call": 300_000, "levels": 0, "entries": 12, "node vectors": 1.3},
}


def recurrent_counts(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> dict[str, float]:
    """Counts of the recurrent form. Arguments as for
    :func:`~plstm_graph.ops.estimate_seconds`."""
    numbers = heads * key_width * value_width
    return {
        "call": 1,
        "levels": line_graph.schedule.num_levels,
        "edge states": line_graph.num_edges * numbers,
        "pair states": line_graph.num_pairs * numbers,
    }


def parallel_counts(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> dict[str, float]:
    """Counts of the parallel form; lists the ancestors. Arguments as for
    :func:`~plstm_graph.ops.estimate_seconds`."""
    return {
        "call": 1,
        "levels": line_graph.schedule.num_levels,
        "entries": line_graph.ancestry.num_entries * heads,
        "node vectors": line_graph.num_nodes * heads * (key_width + value_width),
    }


def chunkwise_counts(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> dict[str, float]:
    """Counts of the chunkwise form; cuts the blocks. Arguments as for
    :func:`~plstm_graph.ops.estimate_seconds`."""
    blocks = line_graph.blocks(heads, key_width, value_width)
    numbers = heads * key_width * value_width
    crossing, wide, thin, steps = items(line_graph, heads, key_width, value_width)
    return {
        "call": 1,
        "blocks": blocks.num_blocks,
        "levels": blocks.step_ptr.numel() - 1,
        "edge states": line_graph.num_edges * numbers,
        "border states": (crossing + wide) * numbers,
        "items": (wide + thin + steps) * heads,
    }


def least_chunkwise_counts(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> dict[str, float]:
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


def items(line_graph: LineGraph, heads: int, key_width: int, value_width: int) -> tuple[int, int, int, int]:
    """Numbers of crossing pairs, wide items, thin items and steps of the blocks."""
    blocks = line_graph.blocks(heads, key_width, value_width)
    lists = (blocks.crossing_in.column, blocks.wide.column, blocks.thin.column, blocks.step_from)
    crossing, wide, thin, steps = (tensor.numel() for tensor in lists)
    return crossing, wide, thin, steps


def seconds_of(unit: dict[str, float], counts: dict[str, float]) -> float:
    """Of a pass with these counts."""
    return 1e-9 * sum(unit[name] * count for name, count in counts.items())


#: The counts of each form.
COUNTS = {"recurrent": recurrent_counts, "parallel": parallel_counts, "chunkwise": chunkwise_counts}

#: Constants by whether forms run in C where they can.
CONSTANTS = {False: NANOSECONDS, True: NANOSECONDS | NATIVE_NANOSECONDS}
