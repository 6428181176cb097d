"""The results of a run as Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.operators.figures import FIGURES, Figure, Runs, measure_figures
from benchmarks.operators.registry import PASSES
from benchmarks.operators.results import Measurement, Results, auto_against_best

_BUSY = 0.5


def to_markdown(results: Results, plots: list[str] | None = None, level: int = 1) -> str:
    """All that was measured, with machine and command.

    Args:
        results: As :func:`~benchmarks.operators.runner.run_suite` returns them, or read from their JSON.
        plots: Paths of plots to show, relative to where the text will lie.
        level: Level of the first heading.
    """
    marks = "#" * level
    parts = [f"{marks} Benchmark: {results.get('suite', 'custom')}", _header(results)]
    parts += [f"![{Path(name).stem.replace('_', ' ')}]({name})" for name in plots or ()]
    for group in results["groups"]:
        parts += _group(group, results["workloads"], f"{marks}#")
    return "\n\n".join(parts) + "\n"


def _header(results: Results) -> str:
    machine, gate = results["machine"], results["gate"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    memory = f"{machine['memory_gib']} GiB of memory"
    agreed, tolerance = ", ".join(gate["forms"]), gate["tolerance"]
    lines = [
        f"* command: `{results.get('command', 'run_suite')}`, started {results['started']}",
        f"* machine: {machine['processor']}, {machine['cores']} cores, {memory}, {machine['system']}",
        f"* {results['threads']} threads, Python {machine['python']}, {versions}"
        + (f", revision {machine['revision']}" if machine["revision"] else ""),
        f"* medians of up to {results['repeat']} repetitions in turns, at most {results['budget_s']:g} s each; "
        "quartiles in brackets",
        f"* correctness, before anything was timed: {agreed} agree with naive to {tolerance:g} "
        "in float64, values and gradients"
        + (f"; not built: {', '.join(gate['not_built'])}" if gate["not_built"] else ""),
    ]
    choices = auto_against_best(results)
    if choices:
        workload, best, ratio = max(choices, key=lambda choice: choice[2])
        lines.append(
            f"* `auto` takes at most {ratio:.2f} times as long as the best form, forward+backward (on {workload}, "
            f"where {best} is best; {len(choices)} workloads)"
        )
    if results["load_before"] > _BUSY:
        lines.append(f"* **the machine was busy** (load {results['load_before']:g} before the run): trust ratios only")
    return "\n".join(lines)


def figures_table(columns: Mapping[str, tuple[Runs, int]]) -> str:
    """The figures as a table, what was asked beside what was measured; those of long suites if they were measured.

    Args:
        columns: Results by suite, and the number of threads that they had, by the head of each column.
    """
    measured = {head: measure_figures(runs, threads) for head, (runs, threads) in columns.items()}
    rows = [("what", "at most", "aim", *measured)]
    for number, figure in enumerate(FIGURES):
        cells = [_cell(figures[number]) for figures in measured.values()]
        if figure.long and not any(cells):
            continue
        rows.append((figure.what, _asked(figure), _number(figure.aim, figure.unit), *cells))
    return table(rows)


def _asked(figure: Figure) -> str:
    asked = dict.fromkeys(_number(limit, figure.unit) for limit in figure.limits if limit is not None)
    return " / ".join(asked)


def _cell(figure: dict[str, Any]) -> str:
    text = _number(figure["measured"], figure["unit"])
    return {"no": f"**{text}**", "aim": f"{text} ✓"}.get(figure["met"], text)


def _group(group: dict[str, Any], workloads: dict[str, Any], marks: str) -> list[str]:
    parts = []
    width = group["width"]
    for name in dict.fromkeys(entry["workload"] for entry in group["measurements"]):
        of_workload = [entry for entry in group["measurements"] if entry["workload"] == name]
        sizes = ", ".join(f"{number:,} {what}" for what, number in workloads[name].items())
        parts.append(
            f"{marks} {name}\n\n{sizes}; H = {width['heads']}, K = {width['key']}, V = {width['value']}\n\n"
            + _measurements(of_workload, group["reference"])
        )
    if group["skipped"]:
        lines = [f"* {entry['workload']}, {entry['operator']}: {entry['reason']}" for entry in group["skipped"]]
        parts.append("Not measured:\n\n" + "\n".join(lines))
    return parts


def _measurements(entries: list[Measurement], reference: str) -> str:
    found = {(entry["operator"], entry["pass"]): entry for entry in entries}
    names = list(dict.fromkeys(operator for operator, _ in found))
    passes = [name for name in PASSES if any(entry["pass"] == name for entry in entries)]
    compared = [name for name in passes if (reference, name) in found]
    memory = [name for name in passes if any("peak_bytes" in entry for entry in entries if entry["pass"] == name)]
    rows = [
        (
            "operator",
            *(f"{name}, ms" for name in passes),
            *(f"{name} / {reference}" for name in compared),
            *(f"{name}, peak MiB" for name in memory),
        )
    ]
    for operator in names:
        cells = [operator]
        cells += [_seconds(found.get((operator, name))) for name in passes]
        for name in compared:
            entry, unit = found.get((operator, name)), found[reference, name]
            cells.append(f"{entry['seconds']['median'] / unit['seconds']['median']:.2f}" if entry else "")
        for name in memory:
            peak = found.get((operator, name), {}).get("peak_bytes")
            cells.append("" if peak is None else f"{peak / 2**20:,.1f}")
        rows.append(tuple(cells))
    return table(rows)


def _seconds(entry: Measurement | None) -> str:
    if entry is None:
        return ""
    values = entry["seconds"]
    middle, low, high = (_significant(1e3 * values[key]) for key in ("median", "q1", "q3"))
    return f"{middle} ({low}, {high})"


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{_significant(value)} {unit}".rstrip()


def _significant(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table of Markdown, the first of them as its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)
