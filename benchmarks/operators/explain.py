"""Which form ``auto`` chooses on each workload, and the costs that it compares."""

import time

from rich.table import Table

from benchmarks.operators import workloads  # noqa: F401, it fills the registry
from benchmarks.operators.registry import NotMeasured, Width, make_workload
from benchmarks.operators.suites import Group
from plstm_graph.console import Console
from plstm_graph.graph import LineGraph
from plstm_graph.graph.ancestry import MAX_ENTRIES
from plstm_graph.ops import choose_form, estimate_seconds

# As LineGraph.prepare() lists them; more would take longer than an explanation should.
_LISTED_PER_EDGE = 64
# Columns of the table; in a narrower terminal its lines wrap.
_WIDTH = 130

_RULE = """
`auto` takes the form with the least estimated time of a forward and backward pass on two CPU threads, in milliseconds
above. A form without an estimate was ruled out before its structure was built: listing the ancestors could not have
paid, or the others are so fast that cutting blocks could not. The estimate adds up levels, states of edges and pairs,
ancestors or items of blocks, each times a fitted constant: see plstm_graph/ops/dag/cost.py and
benchmarks/fit_costs.py."""


def explain(groups: tuple[Group, ...], console: Console) -> None:
    """Print a line for each workload, and the rule.

    Args:
        groups: Of a suite.
        console: Where to print.
    """
    estimated = ("recurrent", "parallel", "chunkwise")
    sizes = ("edges", "pairs", "depth", "ancestors/edge")
    table = Table("workload", "HxKxV", *sizes, *(f"{form} [ms]" for form in estimated), "auto", "chosen in", box=None)
    for column in table.columns:
        column.no_wrap = True
    for column in (*table.columns[2:9], table.columns[10]):
        column.justify = "right"
    left_out = []
    for name, width in dict.fromkeys((name, Width(*group.width)) for group in groups for name in group.workloads):
        try:
            graph = make_workload(name).line_graph
        except NotMeasured as reason:
            left_out.append(f"{name}: {reason}")
            continue
        begin = time.perf_counter()
        form = choose_form(graph, *width)
        seconds = time.perf_counter() - begin
        costs = estimate_seconds(graph, *width)
        counts = (f"{size:,}" for size in (graph.num_edges, graph.num_pairs, graph.schedule.num_levels))
        row = ("x".join(map(str, width)), *counts, _ancestors_per_edge(graph))
        shown = (f"{1e3 * costs[each]:,.1f}" if each in costs else "" for each in estimated)
        table.add_row(name, *row, *shown, form, f"{1e3 * seconds:,.0f} ms")
    console.width = max(console.width, _WIDTH)
    console.print(table)
    for line in left_out:
        console.say(f"left out: {line}")
    console.say(_RULE)


def _ancestors_per_edge(graph: LineGraph) -> str:
    if graph.num_edges == 0:
        return "0"
    if not graph.has_ancestry(_LISTED_PER_EDGE * graph.num_edges):
        return f"> {min(_LISTED_PER_EDGE, MAX_ENTRIES // graph.num_edges)}"
    return f"{graph.ancestry.num_entries / graph.num_edges:.1f}"
