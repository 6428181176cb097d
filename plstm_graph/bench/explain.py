"""Which form ``auto`` chooses on each workload, and the sizes that it decides by."""

import inspect
import time

from rich.console import Console
from rich.table import Table

from plstm_graph.bench import workloads  # noqa: F401, it fills the registry
from plstm_graph.bench.registry import NotMeasured, Width, make_workload
from plstm_graph.bench.suites import Group
from plstm_graph.graph import LineGraph
from plstm_graph.graph.ancestry import MAX_ENTRIES
from plstm_graph.ops.dispatch import choose_form

# As LineGraph.prepare() lists them; more would take longer than an explanation should.
_LISTED_PER_EDGE = 64


def explain(groups: tuple[Group, ...], console: Console) -> None:
    """Print a line for each workload, and the rule.

    Args:
        groups: Of a suite.
        console: Where to print.
    """
    table = Table("workload", "HxKxV", "edges", "pairs", "depth", "ancestors/edge", "auto", "chosen in", box=None)
    for column in table.columns:
        column.no_wrap = True
    for column in (*table.columns[2:6], table.columns[7]):
        column.justify = "right"
    left_out = []
    for name, width in dict.fromkeys((name, Width(*group.width)) for group in groups for name in group.workloads):
        try:
            graph = make_workload(name).line_graph
        except NotMeasured as reason:
            left_out.append(f"{name}: {reason}")
            continue
        begin = time.perf_counter()
        form = choose_form(graph, width.key, width.value)
        seconds = time.perf_counter() - begin
        sizes = (graph.num_edges, graph.num_pairs, graph.schedule.num_levels)
        row = ("x".join(map(str, width)), *(f"{size:,}" for size in sizes), _ancestors_per_edge(graph), form)
        table.add_row(name, *row, f"{1e3 * seconds:,.0f} ms")
    console.print(table, highlight=False)
    for line in left_out:
        console.print(f"left out: {line}", highlight=False, markup=False, soft_wrap=True)
    documentation = inspect.getdoc(choose_form) or ""
    console.print(f"\n{documentation.partition('Args:')[0].strip()}", highlight=False, markup=False, soft_wrap=True)


def _ancestors_per_edge(graph: LineGraph) -> str:
    if graph.num_edges == 0:
        return "0"
    if not graph.has_ancestry(_LISTED_PER_EDGE * graph.num_edges):
        return f"> {min(_LISTED_PER_EDGE, MAX_ENTRIES // graph.num_edges)}"
    return f"{graph.ancestry.num_entries / graph.num_edges:.1f}"
