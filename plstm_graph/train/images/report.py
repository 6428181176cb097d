"""The report of ``plstm-graph images`` as JSON, Markdown and a table on the terminal."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from plstm_graph.console import Console
from plstm_graph.datasets.storage.files import replace_json, replace_text
from plstm_graph.text import markdown_code, markdown_row, markdown_text
from plstm_graph.train.images.options import ImageOptions
from plstm_graph.train.options import repeatable_command
from plstm_graph.train.spread import mean_and_std, with_std


def make_report(
    options: ImageOptions, tried: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]], machine: dict[str, Any]
) -> dict[str, Any]:
    """Put a report together.

    Args:
        options: The command.
        tried: What the first seed gave with each learning rate.
        results: Of each seed with the chosen one, with ``tests``.
        machine: By :func:`plstm_graph.bench.machine.describe_machine`.

    Returns:
        Plain values. Standard deviations are unbiased, and null with a single seed.
    """
    return {
        "task": options.plain["data"]["name"],
        "model": options.plain["model"],
        "parameters": results[0]["parameters"],
        "lr": results[0]["lr"],
        "tried": [{name: row[name] for name in row if name == "lr" or name.endswith("/accuracy")} for row in tried],
        "validation": {
            name.removesuffix("/accuracy"): mean_and_std([row[name] for row in results])
            for name in results[0]
            if name.endswith("/accuracy")
        },
        "test": {name: mean_and_std([row["tests"][name] for row in results]) for name in results[0]["tests"]},
        "seconds": mean_and_std([row["seconds"] for row in results]),
        "seeds": list(results),
        "threads": options.threads,
        "device": options.device,
        "command": repeatable_command(sys.argv[1:]),
        "machine": machine,
        "config": options.plain,
    }


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write ``report.json`` and ``report.md`` into a folder."""
    replace_json(folder / "report.json", report)
    replace_text(folder / "report.md", _markdown(report))


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Print accuracies of all seeds, a column each: there may be many tests, and terminals are narrow."""
    names, *columns = _rows(report)
    table = Table(names[0])
    for column in columns:
        table.add_column(column[0], justify="right")
    for row in zip(names[1:], *(column[1:] for column in columns), strict=True):
        table.add_row(*row)
    console.print(table)


def _markdown(report: dict[str, Any]) -> str:
    header, *rows = _rows(report)
    lines = [header, ["---:"] * len(header), *rows]
    tried = ", ".join(f"{row['lr']:g} ({row['valid/accuracy']:.4f})" for row in report["tried"])
    text = [
        f"# {markdown_text(report['task'])}: {markdown_text(report['model']['class_path'].rpartition('.')[2])}",
        "",
        f"{report['parameters']:,} parameters, learning rate {report['lr']:g}. Tried by the first seed, with its "
        f"validation accuracy: {tried}.",
        "",
        *map(markdown_row, lines),
        "",
        f"Command: {markdown_code(report['command'])}",
        "",
    ]
    return "\n".join(text)


def _rows(report: dict[str, Any]) -> list[list[str]]:
    """Header, a row per seed, and their means."""
    valid, tests = list(report["validation"]), list(report["test"])
    rows = [["seed", *valid, *tests, "epoch", "seconds"]]
    for row in report["seeds"]:
        values = [row[f"{name}/accuracy"] for name in valid] + [row["tests"][name] for name in tests]
        rows.append(
            [str(row["seed"]), *(f"{value:.3f}" for value in values), str(row["epoch"]), f"{row['seconds']:.0f}"]
        )
    means = [report["validation"][name] for name in valid] + [report["test"][name] for name in tests]
    rows.append(["mean", *(with_std(summary, 3) for summary in means), "", f"{report['seconds']['mean']:.0f}"])
    return rows
