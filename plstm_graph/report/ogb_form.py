"""What OGB's leaderboard form asks of a benchmark, field by field, as JSON and Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from plstm_graph.datasets.digits import rows_of_columns
from plstm_graph.datasets.storage.files import replace_json, replace_text
from plstm_graph.report.study import mean_and_std, with_std
from plstm_graph.text import markdown_code, markdown_text

#: Fewer seeds are no submission by OGB's rules.
SEEDS_OF_A_SUBMISSION = 10


@dataclass
class Entry:
    """What the form asks beyond the trainings themselves.

    Args:
        method: Name of the method. (default: that of the model in its study)
        external_data: Whether anything but the benchmark's training graphs was learned from.
        official: Whether authors of the method submit it.
        contact: Name and email address.
        code: Address of the public code.
        paper: Address of the paper or technical report.
        tuned: Values tried of each tuned hyper-parameter beside those of ``choose``; a star marks the selected one, as
            in ``{"lr": ["0.001*", 0.01]}``.

    Raises:
        ValueError: If of some values tried not exactly one has a star.
    """

    method: str = ""
    external_data: bool = False
    official: bool = False
    contact: str = ""
    code: str = ""
    paper: str = ""
    tuned: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, tried in self.tuned.items():
            if sum(str(value).endswith("*") for value in tried) != 1:
                raise ValueError(
                    f"tuned.{name} must mark the selected value with a star, as in [0.001*, 0.01], got {tried}"
                )


@dataclass(frozen=True)
class Circumstances:
    """How the trainings of a study were run.

    Attributes:
        package (str): Package and version that data and metric come from.
        device (str): Where they ran.
        workers (int): How many at the same time.
        threads (int): CPU threads of each.
    """

    package: str
    device: str
    workers: int
    threads: int


def write_forms(
    folder: Path, report: Mapping[str, Any], entries: Mapping[str, Entry], circumstances: Circumstances
) -> None:
    """Write ``ogb_form.json`` and ``ogb_form.md``, a form for each model of a study that was tested."""
    forms = {
        name: make_form(name, report, entries.get(name, Entry()), circumstances)
        for name, model in report["models"].items()
        if model["tests"]
    }
    if forms:
        replace_json(folder / "ogb_form.json", forms)
        replace_text(folder / "ogb_form.md", "\n".join(form_page(form) for form in forms.values()))


def make_form(name: str, report: Mapping[str, Any], entry: Entry, circumstances: Circumstances) -> dict[str, Any]:
    """The form of one model of a study.

    Args:
        name: Of the model.
        report: Of the study.
        entry: What the form asks beyond it.
        circumstances: How it was run.

    Returns:
        Plain values. Standard deviations are unbiased, and null with a single seed.
    """
    model, machine = report["models"][name], report["machine"]
    metric, revision = next(iter(report["monitor"])), machine["revision"]
    seeds = [_seed(row, metric) for row in model["seeds"]]
    complete = len(seeds) >= SEEDS_OF_A_SUBMISSION
    return {
        "kind": "submission" if complete and report["task"].startswith("ogbg-") else "preliminary",
        "dataset": report["task"],
        "package": circumstances.package,
        "method": entry.method or name,
        "metric": metric,
        "test": _over_seeds(seeds, "test"),
        "validation": _over_seeds(seeds, "valid"),
        "parameters": model["parameters"],
        "tuned_hyperparameters": tuned_text(entry.tuned | _chosen(report["config"]["choose"], model["choice"])),
        "hardware": _hardware(machine, circumstances.device),
        "external_data": entry.external_data,
        "official": entry.official,
        "contact": entry.contact,
        "code": entry.code,
        "paper": entry.paper,
        "command": report["command"],
        "revision": None if revision is None else {"commit": revision.rstrip("+"), "dirty": revision.endswith("+")},
        "seeds": seeds,
        "seconds": sum(seed["seconds"] for seed in seeds),
        "peak_memory_mib": max(seed["peak_memory_mib"] for seed in seeds),
        "workers": circumstances.workers,
        "threads": circumstances.threads,
        "versions": machine["packages"],
    }


def tuned_text(tuned: Mapping[str, Sequence[Any]]) -> str:
    """Tuned hyper-parameters in the syntax of OGB's form: values tried, the selected one with a star.

    Args:
        tuned: Such as ``{"lr": ["0.001*", 0.01]}``.
    """
    return ", ".join(f"{name}: [{', '.join(str(value) for value in tried)}]" for name, tried in tuned.items())


def form_page(form: Mapping[str, Any]) -> str:
    """A form as Markdown."""
    count, test, valid = len(form["seeds"]), form["test"], form["validation"]
    if form["kind"] == "submission":
        title = f"{form['method']} on {form['dataset']}: leaderboard submission"
    elif count < SEEDS_OF_A_SUBMISSION:
        title = f"{form['method']} on {form['dataset']}: preliminary, {count} of {SEEDS_OF_A_SUBMISSION} seeds"
    else:
        title = f"{form['method']} on {form['dataset']}: {count} seeds"
    fields = {
        "Dataset": markdown_text(form["dataset"]),
        "Package": markdown_text(form["package"]),
        "Method": markdown_text(form["method"]),
        f"Test {form['metric']}": f"{with_std(test)} (mean and unbiased standard deviation of {count} seeds)",
        f"Validation {form['metric']}": f"{with_std(valid)} (of the same models)",
        "External data": "yes" if form["external_data"] else "no",
        "Parameters": f"{form['parameters']:,}",
        "Tuned hyper-parameters": _code(form["tuned_hyperparameters"]) if form["tuned_hyperparameters"] else "none",
        "Hardware": form["hardware"],
        "Submitted by": "authors of the method (official)" if form["official"] else "others (unofficial)",
        "Contact": markdown_text(form["contact"] or "to be filled in"),
        "Code": markdown_text(form["code"] or "to be filled in"),
        "Paper": markdown_text(form["paper"] or "to be filled in"),
        "Command": _code(form["command"]),
        "Revision": _revision_text(form),
        "Time": f"{form['seconds'] / 60:.1f} minutes of training over all seeds, {form['workers']} at a time, "
        f"threads of each: {form['threads']}",
        "Peak memory": f"{form['peak_memory_mib']:,} MiB",
        "Versions": ", ".join(f"{name} {version}" for name, version in form["versions"].items()),
    }
    lines = [f"# {markdown_text(title)}", "", "| field | value |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in fields.items()]
    lines += ["", "| seed | validation | test | best epoch | epochs | seconds |", "| ---: |" + " ---: |" * 5]
    cells = rows_of_columns([[row["valid"], row["test"]] for row in form["seeds"]])
    lines += [
        f"| {row['seed']} | {' | '.join(texts)} | {row['best_epoch']} | {row['epochs']} | {row['seconds']:.0f} |"
        for row, texts in zip(form["seeds"], cells, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _seed(row: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """What the form says of one seed."""
    same = ("seed", "epochs", "seconds", "parameters", "peak_memory_mib", "revision")
    found = {"metric": metric, "valid": row["valid"][metric], "test": row["tests"]["test"][metric]}
    return found | {"best_epoch": row["epoch"]} | {name: row.get(name) for name in same}


def _chosen(choose: Mapping[str, Sequence[Any]], choice: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Values of which validation picked one, with a star at that."""
    return {
        name.rpartition(".")[2]: [f"{value}*" if value == choice.get(name) else value for value in tried]
        for name, tried in choose.items()
    }


def _code(text: str) -> str:
    """Code in a cell of a table, where a bar would end the cell even so."""
    return markdown_code(text).replace("|", "\\|")


def _revision_text(form: Mapping[str, Any]) -> str:
    """The revision, or those of the seeds where they differ."""
    revisions = sorted({seed["revision"] or "not a checkout" for seed in form["seeds"]})
    return ", ".join(text.removesuffix("+") + (" with changes" if text.endswith("+") else "") for text in revisions)


def _over_seeds(seeds: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    values = [seed[name] for seed in seeds]
    return {**mean_and_std(values), "values": values}


def _hardware(machine: Mapping[str, Any], device: str) -> str:
    text = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB of memory"
    if not torch.cuda.is_available() or device == "cpu":
        return f"{text}, no GPU"
    properties = torch.cuda.get_device_properties(torch.device(device))
    return f"1 {properties.name} ({properties.total_memory / 2**30:.0f} GiB), {text}"
