"""How fast the forms of the operator are on this machine, measured once and kept in the user's cache.

The constants of :mod:`~plstm_graph.ops.dag.counts` were fitted on one processor, and which of two forms is faster
changes from processor to processor. So where the choice matters, each form is timed on a few small graphs, which takes
about a second, and its estimates are multiplied by the ratio that was found. The ratios are kept for the processor,
the number of threads, the version of torch, and whether there is native code.

The forms are equal but for rounding. For results that are equal to the last digit on any machine, name the form
(``form="parallel"``), or set ``PLSTM_CALIBRATE=0`` in the environment: then the constants are taken as they are, as
after ``torch.use_deterministic_algorithms(True)``.
"""

import functools
import hashlib
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from plstm_graph.graph import LineGraph
from plstm_graph.graph.random_dag import random_dag
from plstm_graph.native.libraries import processor_features
from plstm_graph.ops.dag.chunkwise import edge_messages_chunkwise
from plstm_graph.ops.dag.counts import CONSTANTS, COUNTS, seconds_of
from plstm_graph.ops.dag.parallel import edge_messages_parallel, node_outputs_parallel
from plstm_graph.ops.dag.recurrent import edge_messages_recurrent
from plstm_graph.ops.dag.recurrent_native import node_outputs_recurrent_native
from plstm_graph.user_cache import kept_json

_WIDTHS = 4, 16, 16
_ROUNDS = 3
#: A run behind others on a busy machine may be slow, but not so much faster or slower than a form on another machine.
_LEAST, _MOST = 1e-3, 1e3

_Form = Callable[..., Tensor]
#: Forms that take query, key, value, source, transition and structure.
_IN_TORCH: dict[str, _Form] = {
    "recurrent": edge_messages_recurrent,
    "parallel": edge_messages_parallel,
    "chunkwise": edge_messages_chunkwise,
}
#: Forms that take Mark and Direct as well.
_IN_C: dict[str, _Form] = {"recurrent": node_outputs_recurrent_native, "parallel": node_outputs_parallel}


def is_calibrated() -> bool:
    """Whether forms may be timed on this machine."""
    return os.environ.get("PLSTM_CALIBRATE", "1") != "0" and not torch.are_deterministic_algorithms_enabled()


def speed_ratios(native: bool) -> dict[str, float]:
    """Measured over estimated seconds of each form, with the threads that torch has now.

    Args:
        native: Whether forms run in C where they can.
    """
    return _ratios(native, torch.get_num_threads())


@functools.lru_cache(maxsize=16)
def _ratios(native: bool, threads: int) -> dict[str, float]:
    machine = (processor_features(), torch.__version__, CONSTANTS, native, threads)
    key = hashlib.sha256(repr(machine).encode()).hexdigest()[:16]
    # In a thread of its own nothing that surrounds the caller is there: no transform, mode, hook, autocast or device.
    with ThreadPoolExecutor(1) as apart:
        return dict(kept_json(f"forms-{key}.json", _is_sound, lambda: apart.submit(_measure, native).result()))


def _is_sound(ratios: object) -> bool:
    return (
        isinstance(ratios, dict)
        and set(ratios) == set(COUNTS)
        and all(isinstance(ratio, float) and _LEAST <= ratio <= _MOST for ratio in ratios.values())
    )


def _measure(native: bool) -> dict[str, float]:
    """The geometric mean over graphs; forms take turns, so that a busy machine is busy for all of them."""
    logs: dict[str, list[float]] = {form: [] for form in COUNTS}
    generator = torch.Generator().manual_seed(0)
    for graph in _graphs(generator):
        operands = _operands(graph, generator)
        seconds: dict[str, list[float]] = {form: [] for form in COUNTS}
        for _ in range(_ROUNDS + 1):
            for form, taken in seconds.items():
                taken.append(_time(form, native, operands, graph))
        for form, taken in seconds.items():
            estimate = seconds_of(CONSTANTS[native][form], COUNTS[form](graph, *_WIDTHS))
            logs[form].append(math.log(min(taken[1:]) / estimate))  # The first one builds structure.
    return {form: min(max(math.exp(sum(each) / len(each)), _LEAST), _MOST) for form, each in logs.items()}


def _time(form: str, native: bool, operands: list[Tensor], graph: LineGraph) -> float:
    """Seconds of a forward and backward pass."""
    begin = time.perf_counter()
    out = _IN_C[form](*operands, graph) if native and form in _IN_C else _IN_TORCH[form](*operands[:5], graph)
    out.sum().backward()
    return time.perf_counter() - begin


def _graphs(generator: torch.Generator) -> list[LineGraph]:
    """Molecules, deep narrow graphs such as peptides, and one wide DAG: where forms come close to each other."""
    molecules = [random_dag(20, 21, 3, generator) + 20 * number for number in range(48)]
    deep = [random_dag(120, 122, 2, generator) + 120 * number for number in range(10)]
    wide = random_dag(700, 2000, 40, generator)
    return [LineGraph(torch.cat(molecules, 1), 960), LineGraph(torch.cat(deep, 1), 1200), LineGraph(wide, 700)]


def _operands(graph: LineGraph, generator: torch.Generator) -> list[Tensor]:
    heads, key, value = _WIDTHS
    features = [(graph.num_nodes, heads, width) for width in (key, key, value)]
    gates = [(size, heads) for size in (graph.num_edges, graph.num_pairs, graph.num_edges, graph.num_nodes)]
    numbers = (torch.rand(*shape, generator=generator, dtype=torch.float32) / 2 for shape in (*features, *gates))
    return [tensor.requires_grad_() for tensor in numbers]
