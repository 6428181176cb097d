"""The report of a study: means and spreads of all models in a table, from whatever trials are finished."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from plstm_graph.datasets.digits import rows_of_columns, shown
from plstm_graph.datasets.storage.files import plain_json, replace_json, replace_text
from plstm_graph.report.sureness import APART, sureness_lines
from plstm_graph.tasks.scores import OF
from plstm_graph.tasks.task import Direction, rank
from plstm_graph.text import markdown_code, markdown_row, markdown_text


def mean_and_std(values: Sequence[float]) -> dict[str, Any]:
    """Mean and unbiased standard deviation.

    Returns:
        ``mean`` and ``std``, which is None for a single value. Where a value is no number, neither is the mean.
    """
    if any(math.isnan(value) for value in values):
        return {"mean": math.nan, "std": None}
    return {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else None}


def with_std(summary: Mapping[str, Any], digits: int = 4) -> str:
    """Text such as ``0.7641 ± 0.0105``, or the mean alone if there is no standard deviation.

    Args:
        summary: By :func:`mean_and_std`.
        digits: Number of digits behind the point; more, or a power of ten, where numbers are so small that these would
            not show two digits of either.
    """
    mean, std = math.nan if summary["mean"] is None else summary["mean"], summary["std"]
    if std is not None and std < 1e-12 * abs(mean):
        std = 0.0  # of equal values, which sums in another order make differ in their last digit
    parts = [mean] if std is None else [mean, std]
    sizes = [abs(value) for value in parts if value]
    if not sizes or (min(sizes) >= 10**-digits and max(sizes) < 1e7):
        return " ± ".join(f"{value:.{digits}f}" for value in parts)
    return " ± ".join(shown(value, digits) for value in parts)


_BETTER = {"min": "less", "max": "more"}
#: Names of choices in tables.
_SHORT = {"lr": "learning rate"}


def summarise(
    name: str,
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    monitor: Mapping[str, Direction],
    beside: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Put the results of finished trials together.

    Args:
        name: Of the task.
        results: By model: what ``result.json`` of each trial says, with its tests under ``"tests"`` (None without).
        monitor: Of the task.
        beside: Rows of the table that are no trials, by their names, such as ``{"test/accuracy": 0.8}`` each: what
            others report; and simple models, with mean and standard deviation by :func:`mean_and_std`.

    Returns:
        Plain values: for each model its parameters, the choice that validation made, and mean, unbiased standard
        deviation (null for a single seed) and values of each metric of each test and of each part to validate. Of a
        model that was tested, trials without tests are left out.
    """
    return {
        "task": name,
        "monitor": dict(monitor),
        "models": {model: _model(found, monitor) for model, found in results.items() if found},
        "beside": {model: dict(row) for model, row in (beside or {}).items()},
    }


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write ``report.json``, ``report.md`` and ``results.jsonl``, a line for each reported trial."""
    lines = [{"model": name, **row} for name, model in report["models"].items() for row in model["seeds"]]
    replace_json(folder / "report.json", report)
    pictures = [f"![{markdown_text(path.stem)}]({quote(path.name)})" for path in sorted(folder.glob("*.png"))]
    text = markdown(report) + ("\n" + "\n\n".join(pictures) + "\n" if pictures else "")
    replace_text(folder / "report.md", text)
    replace_text(folder / "results.jsonl", "".join(json.dumps(plain_json(line)) + "\n" for line in lines))


def markdown(report: Mapping[str, Any]) -> str:
    """The report as text."""
    lines = [f"# {markdown_text(report['task'])}", "", *table(report), "", *trials_table(report), ""]
    if of_targets := targets_table(report):
        lines += [*of_targets, ""]
    lines += sureness_lines(report, with_std)
    packages = ", ".join(f"{name} {version}" for name, version in report["machine"]["packages"].items())
    if report.get("samples"):
        sizes = ", ".join(f"{part} {size:,}" for part, size in report["samples"].items())
        first = next(row for model in report["models"].values() for row in model["seeds"])
        of_fold = "" if first.get("fold") is None else f" of fold {first['fold']}"
        split = f"; split: {report['split']}" if report.get("split") else ""
        lines += [f"Samples{of_fold}: {markdown_text(sizes + split)}", ""]
    if report.get("data"):
        first, *notes = map(markdown_text, report["data"])
        lines += [f"Data: {first}", *(f"- {note}" for note in notes), ""]
    if report.get("best"):
        lines += [markdown_text(report["best"]), ""]
    lines += [*_how(report), ""]
    return "\n".join([*lines, f"Command: {markdown_code(report['command'])}", "", _machine(report, packages), ""])


def _how(report: Mapping[str, Any]) -> list[str]:
    """Lines on what selected, on seeds and on the time."""
    monitor = [f"valid/{name} ({_BETTER[way]} is better)" for name, way in report["monitor"].items()]
    rows = [row for model in report["models"].values() for row in model["seeds"]]
    seeds = ", ".join(map(str, dict.fromkeys(row["seed"] for row in rows)))
    folds = list(dict.fromkeys(row["fold"] for row in rows if row.get("fold") is not None))
    of_folds = f", folds {', '.join(map(str, folds))}" if folds else ""
    total = _duration(sum(row["seconds"] for row in rows))
    lines = [
        f"Selected by {markdown_text(', then '.join(monitor))}",
        f"Seeds {seeds}{of_folds}; {len(rows)} {'training' if len(rows) == 1 else 'trainings'} in {total}",
    ]
    members = (report.get("config") or {}).get("training", {}).get("members") or 1
    if members > 1:
        lines.append(
            f"Each of the {members} members of a model keeps its own best epoch; the table has the latest of these, "
            "and metrics of the members' mean, which no line of epochs.jsonl has: those are means over the members"
        )
    return [f"- {line}" for line in lines]


def _duration(seconds: float) -> str:
    """Such as ``1 h 2 min``, ``3 min 20 s`` or ``12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def table(report: Mapping[str, Any], metrics: Sequence[str] | None = None) -> list[str]:
    """Lines of a Markdown table, a row for each model.

    Args:
        report: By :func:`summarise`.
        metrics: Which metrics, such as ``"test/rmse"`` or ``"valid/rmse"``. (default: all of tests but times; of
            validation, where nothing was tested, or where several parts validate)
    """
    models = {name: model | {"all": model["valid"] | model["tests"]} for name, model in report["models"].items()}
    if metrics is None:
        metrics = list(dict.fromkeys(name for model in models.values() for name in model["all"]))
        apart = ("/seconds", "/loss", *APART)
        metrics = [name for name in metrics if not name.endswith(apart) and OF not in name]
        if not any(name.startswith("valid_") for name in metrics):
            metrics = [name for name in metrics if not name.startswith("valid/")] or metrics
    choices = list(dict.fromkeys(name for model in models.values() for row in model["tried"] for name in row["choice"]))
    shown = [name.rpartition(".")[2] for name in choices]
    header = [
        "model",
        *metrics,
        repeated(models),
        "parameters",
        *(_SHORT.get(name, name) for name in shown),
        "s / epoch",
    ]
    rows = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, model in models.items():
        values = [_text(model["all"].get(metric)) for metric in metrics]
        picked = [_value(model["choice"].get(choice)) for choice in choices]
        sizes = [_times(model["seeds"]), f"{model['parameters']:,}", *picked, f"{model['seconds_per_epoch']:.2f}"]
        rows.append([name, *values, *sizes])
    for name, row in report.get("beside", {}).items():
        values = [_number(row.get(metric)) for metric in metrics]
        cut = report.get("cut", {}).get(name)
        title = f"{name} ({cut})" if cut else name
        rows.append([title, *values, *[""] * (len(header) - 1 - len(values))])
    return [markdown_row(row) for row in rows]


def trials_table(report: Mapping[str, Any]) -> list[str]:
    """Lines of a Markdown table, a row for each training that is reported.

    Args:
        report: By :func:`summarise`.
    """
    found = [(name, row) for name, model in report["models"].items() for row in model["seeds"]]
    has_folds = repeated(report["models"]) != "seeds"
    metric = next(iter(report["monitor"]))
    tests = list(dict.fromkeys(part for _, row in found for part, each in row["tests"].items() if metric in each))
    header = ["training of", *(["fold"] if has_folds else []), "seed", f"valid/{metric}"]
    header += [*(f"{part}/{metric}" for part in tests), "epoch", "epochs", "seconds"]
    cells = rows_of_columns(
        [[row["valid"].get(metric), *(row["tests"].get(part, {}).get(metric) for part in tests)] for _, row in found]
    )
    rows = [header, ["---", *["---:"] * (len(header) - 1)]]
    for (name, row), texts in zip(found, cells, strict=True):
        number = [str(row.get("fold"))] if has_folds else []
        ends = [str(row["epoch"]), str(row["epochs"]), f"{row['seconds']:.0f}"]
        rows.append([name, *number, str(row["seed"]), *texts, *ends])
    return [markdown_row(row) for row in rows]


def targets_table(report: Mapping[str, Any]) -> list[str]:
    """Lines of a Markdown table, a row for each target of each model; none where there is one target.

    Args:
        report: By :func:`summarise`.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for name, model in report["models"].items():
        for full, summary in model["tests"].items():
            metric, of, target = full.partition(OF)
            if of:
                rows.setdefault((name, target), {})[metric] = _text(summary)
    for name, row in report.get("beside", {}).items():
        for full, value in row.items():
            metric, of, target = full.partition(OF)
            if of:
                rows.setdefault((name, target), {})[metric] = _number(value)
    metrics = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    lines = [["model", "target", *metrics], ["---", "---", *["---:"] * len(metrics)]]
    lines += [[name, target, *(row.get(metric, "") for metric in metrics)] for (name, target), row in rows.items()]
    return [markdown_row(line) for line in lines] if rows else []


def repeated(models: Mapping[str, Mapping[str, Any]]) -> str:
    """What trainings of a model differ in."""
    rows = [row for model in models.values() for row in model["seeds"]]
    if all(row.get("fold") is None for row in rows):
        return "seeds"
    return "folds" if len({row["seed"] for row in rows}) == 1 else "folds x seeds"


def _times(rows: Sequence[Mapping[str, Any]]) -> str:
    """How often a model was trained."""
    folds, seeds = ({row.get(name) for row in rows} for name in ("fold", "seed"))
    whole = len(folds) > 1 and len(seeds) > 1 and len(rows) == len(folds) * len(seeds)
    return f"{len(folds)} x {len(seeds)}" if whole else str(len(rows))


def _machine(report: Mapping[str, Any], packages: str) -> str:
    return f"{report['machine']['processor']}; {packages}"


def _model(found: Sequence[Mapping[str, Any]], monitor: Mapping[str, Direction]) -> dict[str, Any]:
    # Choices that were added later may have taken the place of one that was tested already.
    known = [row for row in found if row["tests"] is not None] or [{**row, "tests": {}} for row in found]
    best = max(known, key=lambda row: rank(row["valid"], monitor))
    tested = sorted((row for row in known if row["choice"] == best["choice"]), key=_repeat)
    names = [(part, name) for part, row in tested[0]["tests"].items() for name in row]
    first = _repeat(tested[0])
    return {
        "parameters": tested[0]["parameters"],
        "choice": best["choice"],
        "tried": [
            {"choice": row["choice"], "valid": row["valid"], "validations": row.get("validations", {})}
            for row in found
            if _repeat(row) == first
        ],
        "tests": {f"{part}/{name}": _summary([row["tests"][part].get(name) for row in tested]) for part, name in names},
        "valid": {
            f"{part}/{name}": _summary([_validated(row)[part].get(name) for row in tested])
            for part, row in _validated(best).items()
            for name in row
        },
        "seconds": statistics.fmean(row["seconds"] for row in tested),
        "seconds_per_epoch": statistics.fmean(row["seconds_per_epoch"] for row in tested),
        "seeds": tested,
    }


def _validated(row: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Metrics of all parts to validate, by their names."""
    return {"valid": row["valid"], **row.get("validations", {})}


def _repeat(row: Mapping[str, Any]) -> tuple[int, int]:
    """Fold and seed of a trial."""
    fold = row.get("fold")
    return (-1 if fold is None else fold), row["seed"]


def _summary(values: list[float | None]) -> dict[str, Any] | None:
    known = [value for value in values if value is not None]
    return mean_and_std(known) if len(known) == len(values) else None


def _text(summary: Mapping[str, Any] | None) -> str:
    return "" if summary is None else with_std(summary)


def _number(value: Any) -> str:
    return _text(value if value is None or isinstance(value, Mapping) else {"mean": value, "std": None})


def _value(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
