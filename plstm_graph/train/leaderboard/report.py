"""The report of a benchmark run: what OGB's leaderboard form asks, field by field, as JSON and Markdown."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from plstm_graph.datasets.benchmark import Benchmark
from plstm_graph.datasets.digits import rows_of_columns
from plstm_graph.datasets.storage.files import replace_json, replace_text
from plstm_graph.text import markdown_code, markdown_text
from plstm_graph.train.leaderboard.options import Options
from plstm_graph.train.options import repeatable_command
from plstm_graph.train.spread import mean_and_std, with_std

#: Fewer seeds are no submission by OGB's rules.
SEEDS_OF_A_SUBMISSION = 10


def make_report(
    options: Options, benchmark: Benchmark, results: Sequence[dict[str, Any]], machine: dict[str, Any]
) -> dict[str, Any]:
    """Put a report together.

    Args:
        options: The command.
        benchmark: What was run.
        results: Of each seed, by :func:`~plstm_graph.train.leaderboard.seed_run.run_seed`.
        machine: By :func:`plstm_graph.bench.machine.describe_machine`.

    Returns:
        Plain values. Standard deviations are unbiased, and null with a single seed.
    """
    revision = machine["revision"]
    complete = len(results) >= SEEDS_OF_A_SUBMISSION
    return {
        "kind": "submission" if complete and benchmark.name.startswith("ogbg-") else "preliminary",
        "dataset": benchmark.name,
        "package": benchmark.package,
        "method": options.entry.method,
        "metric": benchmark.metric,
        "test": _over_seeds(results, "test"),
        "validation": _over_seeds(results, "valid"),
        "parameters": results[0]["parameters"],
        "tuned_hyperparameters": tuned_text(options.tuned),
        "hardware": _hardware(machine, options.plain["device"]),
        "external_data": options.entry.external_data,
        "official": options.entry.official,
        "contact": options.entry.contact,
        "code": options.entry.code,
        "paper": options.entry.paper,
        "command": repeatable_command(sys.argv[1:]),
        "revision": None if revision is None else {"commit": revision.rstrip("+"), "dirty": revision.endswith("+")},
        "seeds": list(results),
        "seconds": sum(result["seconds"] for result in results),
        "peak_memory_mib": max(result["peak_memory_mib"] for result in results),
        "jobs": options.jobs,
        "threads": options.threads,
        "versions": machine["packages"],
        "config": options.plain,
    }


def tuned_text(tuned: dict[str, list[Any]]) -> str:
    """Tuned hyper-parameters in the syntax of OGB's form: values tried, the selected one with a star.

    Args:
        tuned: Such as ``{"lr": ["0.001*", 0.01]}``.
    """
    return ", ".join(f"{name}: [{', '.join(str(value) for value in tried)}]" for name, tried in tuned.items())


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write ``report.json`` and ``report.md``.

    Args:
        folder: Folder of the run.
        report: By :func:`make_report`.
    """
    replace_json(folder / "report.json", report)
    replace_text(folder / "report.md", _markdown(report))


def _markdown(report: dict[str, Any]) -> str:
    count, test, valid = len(report["seeds"]), report["test"], report["validation"]
    if report["kind"] == "submission":
        title = f"{report['method']} on {report['dataset']}: leaderboard submission"
    elif count < SEEDS_OF_A_SUBMISSION:
        title = f"{report['method']} on {report['dataset']}: preliminary, {count} of {SEEDS_OF_A_SUBMISSION} seeds"
    else:
        title = f"{report['method']} on {report['dataset']}: {count} seeds"
    fields = {
        "Dataset": markdown_text(report["dataset"]),
        "Package": markdown_text(report["package"]),
        "Method": markdown_text(report["method"]),
        f"Test {report['metric']}": f"{with_std(test)} (mean and unbiased standard deviation of {count} seeds)",
        f"Validation {report['metric']}": f"{with_std(valid)} (of the same models)",
        "External data": "yes" if report["external_data"] else "no",
        "Parameters": f"{report['parameters']:,}",
        "Tuned hyper-parameters": _code(report["tuned_hyperparameters"]) if report["tuned_hyperparameters"] else "none",
        "Hardware": report["hardware"],
        "Submitted by": "authors of the method (official)" if report["official"] else "others (unofficial)",
        "Contact": markdown_text(report["contact"] or "to be filled in"),
        "Code": markdown_text(report["code"] or "to be filled in"),
        "Paper": markdown_text(report["paper"] or "to be filled in"),
        "Command": _code(report["command"]),
        "Revision": _revision_text(report),
        "Time": f"{report['seconds'] / 60:.1f} minutes of training over all seeds, {report['jobs']} at a time, "
        f"threads of each: {report['threads']}",
        "Peak memory": f"{report['peak_memory_mib']:,} MiB",
        "Versions": ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
    }
    lines = [f"# {markdown_text(title)}", "", "| field | value |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in fields.items()]
    lines += ["", "| seed | validation | test | best epoch | epochs | seconds |", "| ---: |" + " ---: |" * 5]
    cells = rows_of_columns([[row["valid"], row["test"]] for row in report["seeds"]])
    lines += [
        f"| {row['seed']} | {' | '.join(texts)} | {row['best_epoch']} | {row['epochs']} | {row['seconds']:.0f} |"
        for row, texts in zip(report["seeds"], cells, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Code in a cell of a table, where a bar would end the cell even so."""
    return markdown_code(text).replace("|", "\\|")


def _revision_text(report: dict[str, Any]) -> str:
    """The revision, or those of the seeds where they differ."""
    revisions = sorted({seed["revision"] or "not a checkout" for seed in report["seeds"]})
    return ", ".join(text.removesuffix("+") + (" with changes" if text.endswith("+") else "") for text in revisions)


def _over_seeds(results: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    values = [result[name] for result in results]
    return {**mean_and_std(values), "values": values}


def _hardware(machine: dict[str, Any], device: str) -> str:
    text = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB of memory"
    if not torch.cuda.is_available() or device == "cpu":
        return f"{text}, no GPU"
    properties = torch.cuda.get_device_properties(torch.device(device if device != "auto" else "cuda"))
    return f"1 {properties.name} ({properties.total_memory / 2**30:.0f} GiB), {text}"
