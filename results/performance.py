"""Writes docs/performance.md, its pictures and details, docs/throughput.md and the README's sentence about cost.

    python -m benchmarks.everything     # measures this machine, about twelve minutes; `make benchmark` calls both
    python -m results.performance

All of it is made of results/performance/MACHINE/STEP-THREADS.json, which the first command writes. What is explained by
hand stands in docs/performance_reading.md. Numbers of sources that have changed since are shown as such.
"""

import json
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.operators.figures import FIGURES, measure_figures
from benchmarks.operators.plots import save_plots
from benchmarks.operators.report import figures_table, table, to_markdown
from benchmarks.operators.results import auto_against_best, find_together
from benchmarks.operators.suites import BOTH
from benchmarks.sources import digest_sources
from plstm_graph.datasets.storage.files import replace_file, replace_text
from plstm_graph.viz.curves import new_figure
from results import DOCS, NUMBERS

README = NUMBERS.parent / "README.md"
#: Between these two lines of the README stands what this script wrote.
BEGIN, END = "<!-- What it costs: made by python -m results.performance -->", "<!-- end -->"
AGAIN = "python -m benchmarks.everything && python -m results.performance"

_STEPS = ("figures", "threads", "sweep", "native", "grids", "molecules", "forms", "depth", "circuits")
_COMPARED = ("plstm auto", "PLSTMConv P", "PLSTMConv D")
_LABELS = {
    "plstm auto": "operator, gates given",
    "PLSTMConv P": "PLSTMConv, P-mode",
    "PLSTMConv D": "PLSTMConv, D-mode",
}
_THREADS = {1: "one thread", 2: "two threads"}
_PEERS = ("GATv2Conv", "GINEConv")


@dataclass
class Column:
    """What was measured of one machine with one number of threads.

    Attributes:
        key: Name of the machine, as of its folder.
        threads: Threads of torch.
        runs: Results by step.
        present: Whether the sources that were measured are those of today.
    """

    key: str
    threads: int
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    present: bool = True

    @property
    def name(self) -> str:
        """Machine and threads."""
        return f"{self.key}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    @property
    def head(self) -> str:
        """Head of the column; numbers of other sources say so."""
        return self.name if self.present else f"{self.name}, **older sources** ({self.machine['revision']})"

    @property
    def machine(self) -> dict[str, Any]:
        """As :func:`~plstm_graph.machine.describe_machine` gave it."""
        return next(iter(self.runs.values()))["machine"]


def read_columns(sources: str, kept: Path) -> list[Column]:
    """All that was measured, those of today's sources first.

    Args:
        sources: Digest of today's sources.
        kept: Folder of all machines.

    Raises:
        ValueError: If numbers of different sources lie in the folder of one machine.
    """
    columns: dict[tuple[str, int], Column] = {}
    for folder in sorted(path for path in kept.glob("*") if path.is_dir()):
        found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
        if len({results["sources"] for results in found}) > 1:
            raise ValueError(f"{folder} has numbers of several revisions; remove the older files")
        for results in found:
            place = folder.name, results["threads"]
            column = columns.setdefault(place, Column(*place, present=results["sources"] == sources))
            column.runs[results["step"]] = results
    return sorted(columns.values(), key=lambda column: (not column.present, column.key, column.threads))


def spread(values: Iterable[float | None], digits: int = 2) -> str:
    """Smallest and largest of some numbers, as they stand in a sentence."""
    shown = [f"{value:.{digits}f}" for value in values if value is not None]
    low, high = min(shown, key=float, default="?"), max(shown, key=float, default="?")
    return low if low == high else f"{low} to {high}"


def cost_sentence(columns: list[Column]) -> str:
    """What the README and the page say of costs: ranges over machines and numbers of threads, none left out.

    Args:
        columns: What was measured; those without the suite ``figures`` have nothing to say here.
    """
    columns = [column for column in columns if "figures" in column.runs]
    measured = [{row["what"]: row["measured"] for row in measure_figures(c.runs, c.threads)} for c in columns]

    def found(*names: str, factor: float = 1.0, digits: int = 2) -> str:
        values = [figures[what] for figures in measured for what in figures if what.startswith(names)]
        return spread([value and factor * value for value in values], digits)

    machines = _listed([f"`{key}`" for key in dict.fromkeys(column.key for column in columns)])
    threads = _listed([_THREADS.get(n, f"{n} threads") for n in sorted({column.threads for column in columns})])
    operator, layer = found(FIGURES[0].what), found("PLSTMConv, P", "PLSTMConv, D")
    model = "training step of the PLSTM model"
    named = [figure.what for figure in FIGURES if figure.what.startswith(model)]
    chain = found("chain of 100,000 edges", factor=10, digits=1)
    return (
        f"Ranges are over {machines}, each with {threads}. Forward and backward on 128 molecules, the operator takes "
        f"**{operator} of the time of GATv2Conv** of the same width, the whole layer with its gates {layer} times that "
        "of GATv2Conv. A training step of a four-layer model in both directions takes "
        f"**{found(named[0])} times** that of a GATv2 model with as many parameters, on peptides {found(named[1])} "
        f"times. Time per edge does not grow with depth: a chain of 100,000 edges takes {chain} times as long as one "
        "of 10,000."
    )


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def missed(columns: list[Column]) -> str:
    """Which figures are above what was asked, and where."""
    lines = []
    measured = [(column, measure_figures(column.runs, column.threads)) for column in columns]
    for number, figure in enumerate(FIGURES):
        above = [column.head for column, rows in measured if rows[number]["met"] == "no"]
        if above:
            values = spread(rows[number]["measured"] for _, rows in measured if rows[number]["met"] == "no")
            everywhere = len(above) == sum(rows[number]["measured"] is not None for _, rows in measured)
            lines.append(f"* {figure.what}: {values} ({'everywhere' if everywhere else '; '.join(above)})")
    return "\n".join(lines) or "None is."


def worst_cases(columns: list[Column]) -> str:
    """Where native code and the choice of ``auto`` are farthest from what they should be, a line for each column."""
    lines = []
    for column in columns:
        told = []
        rows = column.runs.get("native", {}).get("rows", ())
        if rows:
            row = max(rows, key=lambda row: row["ratio"])
            more = row["native_ms"] - row["torch_ms"]
            told.append(f"native code in {row['form']} on {row['workload']}, {row['ratio']:.2f} ({more:+.2f} ms)")
        choices = [(*choice, run) for run in column.runs.values() for choice in auto_against_best(run)]
        if choices:
            workload, best, ratio, run = max(choices, key=lambda choice: choice[2])
            auto, fastest = find_together(run, BOTH, (workload, "plstm auto"), (workload, best)) or ({}, {})
            more = 1e3 * (auto["seconds"]["median"] - fastest["seconds"]["median"])
            told.append(f"`auto` on {workload}, {ratio:.2f} of {best.removeprefix('plstm ')} ({more:+.2f} ms)")
        if told:
            lines.append(f"* {column.name}: {'; '.join(told)}")
    return "\n".join(lines)


def machines_table(columns: list[Column]) -> str:
    """A row for each machine."""
    rows = [("machine", "processor", "cores", "memory, GiB", "torch", "revision", "measured sources", "others took")]
    for key in dict.fromkeys(column.key for column in columns):
        of_machine = [column for column in columns if column.key == key]
        machine, present = of_machine[0].machine, of_machine[0].present
        cells = [key, machine["processor"], str(machine["cores"]), f"{machine['memory_gib']:g}"]
        others = max(results["others"] for column in of_machine for results in column.runs.values())
        cells += [machine["packages"]["torch"], str(machine["revision"]), "today's" if present else "**older**"]
        rows.append((*cells, f"at most {others:.2f} cores"))
    return table(rows)


def draw_costs(columns: list[Column], path: Path) -> None:
    """Bars: the operator and the layer beside each of two layers of PyG, for each machine and number of threads."""
    figure, panels = new_figure(len(_PEERS))
    figure.set_figheight(1.4 + 0.75 * len(columns))
    for axes, peer in zip(panels, _PEERS, strict=True):
        for number, operator in enumerate(_COMPARED):
            lengths = [_cost(column, operator, peer) for column in columns]
            places = [place + 0.26 * (number - 1) for place in range(len(columns))]
            bars = axes.barh(places, [length or 0.0 for length in lengths], height=0.24, label=_LABELS[operator])
            axes.bar_label(bars, [f"{length:.2f}" if length else "" for length in lengths], fontsize=8, padding=2)
        axes.axvline(1.0, color="0.5", linewidth=1, linestyle="--", zorder=0.5)
        axes.set(xlabel=f"time over that of {peer}", title=f"128 molecules, beside {peer}")
        axes.margins(x=0.12)
        axes.invert_yaxis()
        axes.grid(True, axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.set_yticks(range(len(columns)), [])
    names = [column.name.replace(", ", "\n") + ("" if column.present else ", older sources") for column in columns]
    panels[0].set_yticks(range(len(columns)), names)
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, ncols=3, loc="outside lower center")
    replace_file(path, lambda name: figure.savefig(name, format="png", dpi=150))


def _cost(column: Column, operator: str, peer: str) -> float | None:
    for group in column.runs.get("figures", {}).get("groups", ()):
        medians = {
            entry["operator"]: entry["seconds"]["median"]
            for entry in group["measurements"]
            if entry["workload"] == "nci-128"
        }
        if operator in medians and peer in medians:
            return medians[operator] / medians[peer]
    return None


def page(columns: list[Column], reading: str) -> str:
    """The page: figures, picture, machines, and what is explained by hand."""
    figures = figures_table({column.head: (column.runs, column.threads) for column in columns})
    return f"""# Performance

{_filled("What pLSTM costs beside ordinary message-passing layers. " + cost_sentence(columns))}

![Time of operator and layer over that of GATv2Conv and of GINEConv](performance/costs.png)

## Figures

Ratios of medians in one run, forward and backward unless a row says otherwise. **Bold**: more than was asked; ✓: the
aim is reached. Two limits are with one thread and with two.

{figures}

The worst cases of native code and of `auto`:

{worst_cases(columns)}

{machines_table(columns)}

Times, quartiles and every workload: [details](performance/details.md). How many graphs a second whole models train on:
[throughput](throughput.md).

{reading.strip()}

Above what was asked are, of the figures of this page:

{missed(columns)}

This page is written by `python -m results.performance`, whose first lines say how. After a change of the sources in
`plstm_graph/ops` or `plstm_graph/native`, `make benchmark` measures and writes it anew.
"""


def details(columns: list[Column], folder: Path) -> str:
    """Every table, with plots of those suites that have curves, two threads only.

    Args:
        columns: What was measured.
        folder: Where to put the plots.
    """
    parts = [
        "# Performance: details",
        "Tables behind the figures of [the page](../performance.md), machine by machine.",
    ]
    for column in columns:
        parts.append(f"## {column.head}")
        for step in _STEPS:
            results = column.runs.get(step)
            if results is None:
                continue
            if step == "native":
                parts += ["### Native code beside torch only", _native_table(results)]
            elif step == "grids":
                parts += ["### Chains and grids beside softmax attention", _grids_table(results)]
            else:
                plots = []
                if column.threads > 1:
                    place = folder / column.key / step
                    place.mkdir(parents=True, exist_ok=True)
                    plots = [str((place / name).relative_to(folder)) for name in save_plots(results, place)]
                quiet = {"load_before": 0.0}  # That is the step before; what others took stands on the page.
                parts.append(to_markdown(results | quiet, plots, level=3).strip())
    return "\n\n".join(parts) + "\n"


def _native_table(results: dict[str, Any]) -> str:
    rows = [("form", "workload", "native, ms", "torch only, ms", "ratio")]
    for row in results["rows"]:
        numbers = (f"{row['native_ms']:,.2f}", f"{row['torch_ms']:,.2f}", f"{row['ratio']:.2f}")
        rows.append((row["form"], row["workload"], *numbers))
    return table(rows)


def _grids_table(results: dict[str, Any]) -> str:
    rows = [("workload", "case", "median, ms", "over attention")]
    for workload, cases in results["rows"].items():
        rows += [(workload, case, f"{1e3 * row['median']:,.1f}", f"{row['ratio']:.3f}") for case, row in cases.items()]
    return table(rows)


def throughput_page(columns: list[Column]) -> str:
    """Graphs per second of training: a table for each set, a column for each machine and number of threads."""
    measured = [column for column in columns if "throughput" in column.runs]
    parts = ["# Graphs per second of training"]
    if not measured:
        return parts[0] + "\n\nNothing was measured.\n"
    options = measured[0].runs["throughput"]["options"]
    about = (
        f"Width {options['width']}, batches of {options['batch_size']}. Medians, timed in turns; a step goes from "
        "collating graphs to the update of the weights, structure of the batch included. Four layers each; GCN, GAT "
        "and GIN as PyG has them. Machines are described [where operators are timed](performance.md#figures)."
    )
    parts.append(_filled(about))
    for name in dict.fromkeys(name for column in measured for name in column.runs["throughput"]["sets"]):
        of_set = [column.runs["throughput"]["sets"].get(name, {}) for column in measured]
        rates = {label: row["graphs_per_second"] for rows in reversed(of_set) for label, row in rows.items()}
        sizes = {label: row["parameters"] for rows in of_set for label, row in rows.items()}
        rows = [("model", *(column.head for column in measured), "parameters")]
        for label in sorted(rates, key=rates.__getitem__, reverse=True):
            cells = [f"{found[label]['graphs_per_second']:,.0f}" if label in found else "" for found in of_set]
            rows.append((label, *cells, f"{sizes[label]:,}"))
        parts += [f"## {name}", table(rows)]
    return "\n\n".join(parts) + "\n"


def with_sentence(readme: str, sentence: str) -> str:
    """The README with the sentence in its place.

    Raises:
        ValueError: If the marks are not there.
    """
    marked = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
    if not marked.search(readme):
        raise ValueError(f"README.md lacks the lines {BEGIN!r} and {END!r}")
    told = _filled(f"What it costs ([how it was measured, and more](docs/performance.md)). {sentence}")
    text = f"{BEGIN}\n{told}\n{END}"
    return marked.sub(lambda match: text, readme)


def main() -> None:
    columns = read_columns(digest_sources(), NUMBERS / "performance")
    if not columns:
        raise SystemExit(f"nothing was measured yet; run `{AGAIN}`")
    folder = DOCS / "performance"
    folder.mkdir(exist_ok=True)
    for old in folder.rglob("*.png"):
        old.unlink()
    draw_costs([column for column in columns if "figures" in column.runs], folder / "costs.png")
    replace_text(folder / "details.md", details(columns, folder))
    reading = DOCS / "performance_reading.md"
    replace_text(
        DOCS / "performance.md", page(columns, reading.read_text(encoding="utf-8") if reading.is_file() else "")
    )
    replace_text(DOCS / "throughput.md", throughput_page(columns))
    replace_text(README, with_sentence(README.read_text(encoding="utf-8"), cost_sentence(columns)))


if __name__ == "__main__":
    main()
