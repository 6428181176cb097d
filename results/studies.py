"""Writes docs/results.md from studies of TU sets over folds and of benchmarks over seeds.

    python -m results.studies runs/*

What each folder says of a model (over folds, of a model and a seed) is kept as a small JSON file in results/tu,
results/ogb or results/lrgb, and the page is made from all of these: without arguments the page alone is made anew. What
the numbers mean is written by hand in docs/results_reading.md.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from plstm_graph.report.study import mean_and_std, with_std
from plstm_graph.train.choices import chosen
from plstm_graph.train.study import Repeat, Study
from plstm_graph.viz.curves import new_figure
from results import DOCS, NUMBERS
from results.published import OFFICIAL, PAPER, TU

_PLACES = ("lrgb", "ogb", "tu")
_LABELS = {"PLSTM": "pLSTM", "LSTMGNN": "LSTM-GNN"}
_VARIANTS = {"local": "local", "virtual_node": "virtual node", "histogram": "counts"}
_COLORS = {"pLSTM": "black"}  # none of the colours that the others take in turn

HEAD = """# Results

Real studies over folds and seeds, collected by `python -m results.studies`. What decides a run (options, command,
revision, versions) and its metrics in every epoch are in `results/tu`, `results/ogb` and `results/lrgb`, with commands
as they were given: what was `crossval` and `leaderboard` then is `plstm-graph fit` with the same configurations now.
"""


def collect(folder: Path) -> None:
    """Keep what matters of a finished study."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    forms, blends = _optional(folder / "ogb_form.json"), _optional(folder / "blend.json").get("models", {})
    for name, model in report["models"].items():
        if name in forms:
            kept = [forms[name] | {"rows": model["seeds"]}]
        else:
            seeds = sorted({row["seed"] for row in model["seeds"] if row["fold"] is not None})
            kept = [_over_folds(report, name, seed) for seed in seeds]
        for each in kept:
            rows = each.pop("rows")
            each["config"] = _config(report, name, rows[0])
            each["curves"] = _curves(folder, report, name, rows)
            if name in blends:
                each["blend"] = blends[name]
            _keep(folder, each)


def _optional(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _over_folds(report: dict[str, Any], name: str, seed: int) -> dict[str, Any]:
    """One model with one seed over the folds of a TU set."""
    rows = [row for row in report["models"][name]["seeds"] if row["seed"] == seed]
    test = mean_and_std([row["tests"]["test"]["accuracy"] for row in rows])
    valid = mean_and_std([row["valid"]["accuracy"] for row in rows])
    folds = [
        {
            "fold": row["fold"],
            "test_accuracy": row["tests"]["test"]["accuracy"],
            "valid_accuracy": row["valid"]["accuracy"],
            "best_epoch": row["epoch"],
            "seconds": row["seconds"],
        }
        for row in rows
    ]
    return {
        "set": report["task"],
        "model": report["config"]["models"][name]["class_path"].rpartition(".")[2],
        "test_accuracy": test["mean"],
        "test_std": test["std"],
        "valid_accuracy": valid["mean"],
        "valid_std": valid["std"],
        "parameters": report["models"][name]["parameters"],
        "seconds": sum(row["seconds"] for row in rows),
        "folds": folds,
        "command": report["command"],
        "versions": report["machine"]["packages"],
        "rows": rows,
    }


def _config(report: dict[str, Any], name: str, row: dict[str, Any]) -> dict[str, Any]:
    """What decides the numbers of a model: data, model and training, with what validation chose."""
    plain = chosen(report["config"] | {"model": report["config"]["models"][name]}, row["choice"])
    data = {key: value for key, value in plain["task"].items() if key not in ("name", "set", "root", "source")}
    return {
        "data": {"name": report["task"], **data},
        "model": plain["model"],
        "training": plain["training"] | {"seed": row["seed"]},
    }


def _curves(folder: Path, report: dict[str, Any], name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Validation in each epoch of each training."""
    study = Study(report["config"], [name], [0], folder)
    curves = {}
    for row in rows:
        trial = study.trial(name, row["choice"], Repeat(row["seed"], row["fold"]))
        key = f"seed_{row['seed']}" if row["fold"] is None else f"fold-{row['fold']}"
        curves[key] = _curve(trial.folder / "epochs.jsonl", next(iter(report["monitor"])))
    return curves


def _keep(folder: Path, kept: dict[str, Any]) -> None:
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{_set(kept)} {_label(kept)} {_seed(kept)}").strip("-").lower()
    path = NUMBERS / _place(kept) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"{folder} -> {path}")


def _place(kept: dict[str, Any]) -> str:
    """Folder of its kind of set."""
    if "set" in kept:
        return "tu"
    return "ogb" if kept["dataset"].startswith("ogb") else "lrgb"


def page(reports: list[dict[str, Any]]) -> str:
    """The page, as Markdown."""
    reading = DOCS / "results_reading.md"
    parts = [HEAD]
    if reading.is_file():
        parts.append(reading.read_text(encoding="utf-8"))
    folds = [report for report in reports if "set" in report]
    official = [report for report in reports if "dataset" in report]
    if folds:
        parts += [_chosen_table(folds), _tu_table(folds)]
    for dataset in sorted({report["dataset"] for report in official}):
        parts.append(_official_table(dataset, [report for report in official if report["dataset"] == dataset]))
    if reports:
        parts.append(
            "## Learning curves\n\nValidation, mean over folds or seeds; the band is one standard deviation.\n"
        )
        by_set = _chosen(folds).values()
        drawn = [*official, *(report for some in by_set for chosen in some.values() for report in chosen)]
        names = sorted({_set(report) for report in drawn})
        parts += [_draw(name, [report for report in drawn if _set(report) == name]) for name in names]
    return "\n".join(parts)


def _chosen_table(reports: list[dict[str, Any]]) -> str:
    """For each kind of model and set, the variant with the best validation accuracy."""
    chosen = _chosen(reports)
    sets = [name for name in TU["GCN"] if any(name in by_set for by_set in chosen.values())]
    lines = [
        "## TU sets: the variant that validation chose\n",
        "Of each kind of model, on each set, the variant with the best validation accuracy at the first seed:",
        "its test accuracy ± unbiased standard deviation over folds; with several seeds, mean of the seeds' means and",
        "in brackets their standard deviation. All variants are below.\n",
        f"| model | {' | '.join(sets)} | average |",
        f"| --- |{' ---: |' * (len(sets) + 1)}",
    ]
    for family, by_set in sorted(chosen.items()):
        cells = []
        for name in sets:
            some = by_set.get(name, [])
            variant = _label(some[0]).removeprefix(family).lstrip(" +") if some else ""
            cells.append((_folds_cell(some) + (f" {variant}" if variant else "")) if some else "")
        average = _average({name: mean(_accuracies(some)) for name, some in by_set.items()})
        lines.append(f"| {family} | {' | '.join(cells)} | {average} |")
    return "\n".join(lines) + "\n"


def _chosen(reports: list[dict[str, Any]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """By kind of model and set, the reports (seeds) of the variant with the best validation accuracy at the first seed.

    Not all variants were run with further seeds.
    """
    variants: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        variants[_label(report).partition(" + ")[0], report["set"]][_label(report)].append(report)
    chosen: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
    for (family, name), by_label in variants.items():
        chosen[family][name] = max(by_label.values(), key=lambda some: min(some, key=_seed)["valid_accuracy"])
    return chosen


def _tu_table(reports: list[dict[str, Any]]) -> str:
    sets = sorted({report["set"] for report in reports}, key=lambda name: (name not in TU["GCN"], name))
    runs: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        runs[_label(report)][report["set"]].append(report)
    lines = [
        "## TU sets: all variants\n",
        "As above; local: local aggregation beside the long-range path; walks: return probabilities of random walks as",
        "node features; counts: how often each Weisfeiler-Leman colour occurs enters the head; n members: networks",
        "side by side, averaged. `average` is over the paper's four sets.\n",
        f"| model | {' | '.join(sets)} | average | parameters | minutes |",
        f"| --- |{' ---: |' * (len(sets) + 3)}",
    ]
    for label, by_set in sorted(runs.items()):
        cells = [_folds_cell(by_set[name]) if name in by_set else "" for name in sets]
        average = _average({name: mean(_accuracies(by_set[name])) for name in by_set})
        every = [report for some in by_set.values() for report in some]
        sizes = sorted({report["parameters"] for report in every})
        size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        minutes = sum(report["seconds"] for report in every) / 60
        lines.append(f"| {label} | {' | '.join(cells)} | {average} | {size} | {minutes:.0f} |")
    for label, values in TU.items():
        cells = [f"{values[name]:.4f}" if name in values else "" for name in sets]
        lines.append(f"| *{label}, {PAPER}* | {' | '.join(cells)} | {_average(values)} | | |")
    return "\n".join(lines) + "\n"


def _official_table(dataset: str, reports: list[dict[str, Any]]) -> str:
    metric = reports[0]["metric"]
    lines = [
        f"## {dataset}: {metric}\n",
        "| method | test | validation | seeds | parameters | minutes |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    sign = 1 if metric in ("rmse", "mae") else -1
    for report in sorted(reports, key=lambda report: sign * report["validation"]["mean"]):
        test, valid = with_std(report["test"]), with_std(report["validation"])
        lines.append(
            f"| {_label(report)} | {test} | {valid} | {len(report['seeds'])} | {report['parameters']:,} | "
            f"{report['seconds'] / 60:.0f} |"
        )
        lines += _blend_rows(report)
    lines += [f"| *{method}, {source}* | {value} | | | | |" for method, value, source in OFFICIAL.get(dataset, [])]
    return "\n".join(lines) + "\n"


def _blend_rows(report: dict[str, Any]) -> list[str]:
    """What `plstm-graph blend` made of a run: the forests alone, and their mean with the networks."""
    if "blend" not in report:
        return []
    blend, label = report["blend"], _label(report)
    minutes = sum(row["seconds_of_forest"] for row in blend["seeds"]) / 60
    return [
        f"| {name} | {with_std(blend[key]['test'])} | {with_std(blend[key]['valid'])} | {len(blend['seeds'])} | | "
        f"{minutes:.0f} |"
        for key, name in (("forest", "forest on fingerprints, alone"), ("blend", f"{label} and that forest, `blend`"))
    ]


def _draw(name: str, reports: list[dict[str, Any]]) -> str:
    """Draw the validation curves of a set; returns the Markdown that shows the picture."""
    figure, (axes,) = new_figure(1)
    by_label: dict[str, list[list[float]]] = defaultdict(list)
    metric = ""
    for report in reports:
        for curve in report["curves"].values():
            metric = curve["metric"]
            by_label[_label(report)].append(curve["values"])
    for label, curves in sorted(by_label.items()):
        epochs = range(1, max(len(curve) for curve in curves) + 1)
        columns = [[curve[epoch - 1] for curve in curves if len(curve) >= epoch] for epoch in epochs]
        middle = [mean(column) for column in columns]
        spread = [stdev(column) if len(column) > 1 else 0.0 for column in columns]
        (line,) = axes.plot(epochs, middle, label=label, linewidth=1.5, color=_COLORS.get(label))
        low, high = ([m + s * d for m, d in zip(middle, spread, strict=True)] for s in (-1, 1))
        axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set(xlabel="epoch", ylabel=metric.replace("valid/", "validation "), title=name)
    axes.legend(frameon=False)
    path = DOCS / "results" / f"{name.lower()}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return f"![Validation by epoch on {name}]({path.relative_to(DOCS).as_posix()})\n"


def _curve(path: Path, metric: str) -> dict[str, Any]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {"metric": f"valid/{metric}", "values": [round(row[f"valid/{metric}"], 5) for row in rows]}


def _set(report: dict[str, Any]) -> str:
    return report["set"] if "set" in report else report["dataset"]


def _label(report: dict[str, Any]) -> str:
    """What a model is called in tables; variants of pLSTM are told apart from the pure one."""
    name = report.get("method") or _LABELS.get(report["model"], report["model"])
    arguments = report["config"]["model"].get("init_args", {})
    variants = [text for option, text in _VARIANTS.items() if _is_on(arguments.get(option)) and text not in name]
    if "set" in report:
        config = report["config"]
        variants += ["walks"] if config["data"].get("walk_length") else []
        variants += ["counts"] if config["data"].get("wl_rounds") else []
        members = config["training"].get("members", 1)
        variants += [f"{members} members"] if members > 1 else []
    return " + ".join([name, *variants])


def _is_on(value: Any) -> bool:
    """Whether a run had a variant; before ``local`` had names, ``true`` was one of them."""
    return bool(value) and value != "none"


def _seed(report: dict[str, Any]) -> str:
    return f"seed {report['config']['training']['seed']}" if "set" in report else ""


def _accuracies(reports: list[dict[str, Any]]) -> list[float]:
    return [report["test_accuracy"] for report in reports]


def _folds_cell(reports: list[dict[str, Any]]) -> str:
    values = _accuracies(reports)
    deviations = [report["test_std"] for report in reports if report["test_std"] is not None]
    text = f"{mean(values):.4f}" + (f" ± {mean(deviations):.2f}" if deviations else "")
    folds = min(len(report["folds"]) for report in reports)
    text += f" ({stdev(values):.4f})" if len(values) > 1 else ""
    return text if folds == 10 else f"{text}, {folds} folds"


def _average(values: dict[str, float]) -> str:
    four = [values[name] for name in TU["GCN"] if name in values]
    return f"{mean(four):.4f}" if len(four) == len(TU["GCN"]) else ""


def main(folders: list[Path]) -> None:
    for folder in folders:
        if (folder / "report.json").is_file():
            collect(folder)
        else:
            print(f"{folder} has no report.json: the run is not finished", file=sys.stderr)
    paths = sorted((path for place in _PLACES for path in (NUMBERS / place).glob("*.json")), key=lambda path: path.name)
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    (DOCS / "results.md").write_text(page(reports), encoding="utf-8")
    print(f"docs/results.md: {len(reports)} runs")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
