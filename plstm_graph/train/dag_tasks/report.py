"""The report of ``plstm-graph dags``: a table of all models, from whatever trainings are finished."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.text import markdown_code, markdown_row, markdown_text
from plstm_graph.train.claimed_folder import read_configuration
from plstm_graph.train.dag_tasks.task import DAGTask
from plstm_graph.train.run_folder import check_name
from plstm_graph.train.selection import rank
from plstm_graph.train.spread import mean_and_std, with_std


def summarise(folder: Path, task: DAGTask, command: str, machine: dict[str, Any]) -> dict[str, Any]:
    """Put the finished and tested trainings of a folder together.

    Args:
        folder: Folder of the run.
        task: The task.
        command: That was given.
        machine: By :func:`plstm_graph.bench.machine.describe_machine`.

    Returns:
        Plain values: for each model its parameters, the learning rate and scale that were picked, and mean, unbiased
        standard deviation (null for a single seed) and values of each metric of each test and of validation. Of a
        model that was tested, trainings without tests are left out.
    """
    config = read_configuration(folder) or {"models": {}}
    models = {}
    for name in config["models"]:
        check_name(name)
        found = [_read(path) for path in sorted(folder.glob(f"{name}/**/lr_*/seed_*/result.json"))]
        if found:
            models[name] = _model(found, task)
    return {
        "task": task.name,
        "graphs": {part: len(graphs) for part, graphs in task.parts.items()},
        "monitor": task.monitor,
        "models": models,
        "command": command,
        "machine": machine,
        "config": config,
    }


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write ``report.json``, ``report.md`` and ``results.jsonl``, a line for each tested training."""
    lines = [{"model": name, **row} for name, model in report["models"].items() for row in model["seeds"]]
    for name, text in {
        "report.json": json.dumps(report, indent=1) + "\n",
        "report.md": markdown(report),
        "results.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
    }.items():
        replace_text(folder / name, text)


def markdown(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [
        f"# {markdown_text(report['task'])}",
        "",
        *table(report),
        "",
        f"Command: {markdown_code(report['command'])}",
    ]
    packages = ", ".join(f"{name} {version}" for name, version in report["machine"]["packages"].items())
    return "\n".join([*lines, "", f"{report['machine']['processor']}; {packages}", ""])


def table(report: dict[str, Any], metrics: Sequence[str] | None = None) -> list[str]:
    """Lines of a Markdown table, a row for each model.

    Args:
        report: By :func:`summarise`.
        metrics: Which metrics, such as ``"test/rmse"`` or ``"valid/rmse"``. (default: all of tests but times; of
            validation, where nothing was tested)
    """
    models = {
        name: model | {"tests": model.get("valid", {}) | model["tests"]} for name, model in report["models"].items()
    }
    if metrics is None:
        metrics = list(dict.fromkeys(name for model in models.values() for name in model["tests"]))
        metrics = [name for name in metrics if not name.endswith("/seconds")]
        tests = [name for name in metrics if not name.startswith("valid/")]
        metrics = tests or metrics
    # Where there was a choice.
    scales = any(len({_scale(row) for row in model.get("tried", ())}) > 1 for model in models.values())
    header = ["model", *metrics, "seeds", "parameters", *["target"] * scales, "learning rate", "s / epoch"]
    rows = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, model in models.items():
        values = [_text(model["tests"].get(metric)) for metric in metrics]
        sizes = [str(len(model["seeds"])), f"{model['parameters']:,}", *[_scale(model)] * scales, f"{model['lr']:g}"]
        rows.append([name, *values, *sizes, f"{model['seconds_per_epoch']:.2f}"])
    return [markdown_row(row) for row in rows]


def _model(found: list[dict[str, Any]], task: DAGTask) -> dict[str, Any]:
    # Learning rates that were added later may have taken the place of one that was tested already.
    known = [row for row in found if row["tests"] is not None] or [row | {"tests": {}} for row in found]
    best = max(known, key=lambda row: rank(row["valid"], task.monitor))
    tested = [row for row in known if _choice(row) == _choice(best)]
    tested.sort(key=lambda row: row["seed"])
    names = [(part, name) for part, row in tested[0]["tests"].items() for name in row]
    first = tested[0]["seed"]
    return {
        "parameters": tested[0]["parameters"],
        **_choice(best),
        "tried": [_choice(row) | {"valid": row["valid"]} for row in found if row["seed"] == first],
        "tests": {f"{part}/{name}": _summary([row["tests"][part].get(name) for row in tested]) for part, name in names},
        "valid": {f"valid/{name}": _summary([row["valid"].get(name) for row in tested]) for name in best["valid"]},
        "seconds": statistics.fmean(row["seconds"] for row in tested),
        "seconds_per_epoch": statistics.fmean(row["seconds_per_epoch"] for row in tested),
        "seeds": tested,
    }


def _scale(row: dict[str, Any]) -> str:
    return row.get("target") or ""


def _choice(row: dict[str, Any]) -> dict[str, Any]:
    """What validation chose; results of earlier versions name no scale."""
    return {"lr": row["lr"], "target": row.get("target")}


def _read(path: Path) -> dict[str, Any]:
    tests = path.parent / "tests.json"
    row = json.loads(path.read_text(encoding="utf-8"))
    return row | {"tests": json.loads(tests.read_text(encoding="utf-8")) if tests.is_file() else None}


def _summary(values: list[float | None]) -> dict[str, Any] | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return mean_and_std(known)


def _text(summary: dict[str, Any] | None) -> str:
    return "" if summary is None else with_std(summary)
