"""Which form ``auto`` chooses on each workload, and the sizes that it decides by."""

import inspect

from rich.console import Console
from rich.table import Table

from plstm_graph.bench import workloads  # noqa: F401, it fills the registry
from plstm_graph.bench.registry import NotMeasured, Width, make_workload
from plstm_graph.bench.suites import Group
from plstm_graph.graph import LineGraph
from plstm_graph.graph.ancestry import MAX_ENTRIES
from plstm_graph.ops.dispatch import choose_form

# Listing more than this many ancestors per edge takes longer than an explanation should.
_LISTED_PER_EDGE = 256


def explain(groups: tuple[Group, ...], console: Console) -> None:
    """Print a line for each workload, and the rule.

    Args:
        groups: Of a suite.
        console: Where to print.
    """
    table = Table("workload", "edges", "pairs", "depth", "ancestors/edge", "H, K, V", "auto", box=None)
    for column in table.columns[1:5]:
        column.justify = "right"
    for name, width in dict.fromkeys((name, Width(*group.width)) for group in groups for name in group.workloads):
        try:
            graph = make_workload(name).line_graph
        except NotMeasured as reason:
            table.add_row(name, str(reason))
            continue
        form = choose_form(graph, width.key, width.value)
        sizes = (graph.num_edges, graph.num_pairs, graph.schedule.num_levels)
        widths = ", ".join(map(str, width))
        table.add_row(name, *(f"{size:,}" for size in sizes), _ancestors_per_edge(graph), widths, form)
    console.print(table, highlight=False)
    documentation = inspect.getdoc(choose_form) or ""
    console.print(f"\n{documentation.partition('Args:')[0].strip()}", highlight=False, markup=False)


def _ancestors_per_edge(graph: LineGraph) -> str:
    if graph.num_edges == 0:
        return "0"
    if not graph.has_ancestry(_LISTED_PER_EDGE * graph.num_edges):
        return f"> {min(_LISTED_PER_EDGE, MAX_ENTRIES // graph.num_edges)}"
    return f"{graph.ancestry.num_entries / graph.num_edges:.1f}"
