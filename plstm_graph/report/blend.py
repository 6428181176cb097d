"""The report of networks that were blended with forests."""

from collections.abc import Sequence
from typing import Any

from plstm_graph.datasets.digits import rows_of_columns
from plstm_graph.report.study import mean_and_std, with_std
from plstm_graph.text import markdown_text

MODELS = ("network", "forest", "blend")
_OTHERS = ("valid", "test")


def over_trials(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation of each metric over trials, and the trials."""
    spreads = {model: {part: mean_and_std([row[model][part] for row in rows]) for part in _OTHERS} for model in MODELS}
    return {**spreads, "seeds": list(rows)}


def blend_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    shares = ", ".join(f"{share:g}" for share in report["shares"])
    which = "; ".join(report["candidates"])
    of_forests = f", and the forest among those of {which}" if len(report["candidates"]) > 1 else ""
    lines = [
        f"# {markdown_text(report['dataset'])} with forests",
        "",
        f"Forests of {report['trees']} trees ({report['features']}), one for each seed; validation chose the forest's "
        f"share among {shares}{of_forests}.",
    ]
    for name, model in report["models"].items():
        metric = report["metric"]
        lines += ["", f"| {markdown_text(name)} | validation {metric} | test {metric} |", "| --- | ---: | ---: |"]
        spreads = {kind: [with_std(model[kind][part]) for part in _OTHERS] for kind in MODELS}
        lines += [f"| {kind} | {' | '.join(texts)} |" for kind, texts in spreads.items()]
        has_folds = any(row["fold"] is not None for row in model["seeds"])
        first = ["fold", "seed"] if has_folds else ["seed"]
        heads = [*first, *MODELS, "share of the forest", "forest"]
        lines += ["", f"| {' | '.join(heads)} |", f"|{' ---: |' * (len(heads) - 1)} --- |"]
        cells = rows_of_columns([[row[kind]["test"] for kind in MODELS] for row in model["seeds"]])
        for row, texts in zip(model["seeds"], cells, strict=True):
            cells_of_row = [
                *(str(row[name]) for name in first),
                *texts,
                f"{row['share_of_forest']:g}",
                row["forest_of"],
            ]
            lines.append(f"| {' | '.join(cells_of_row)} |")
    return "\n".join(lines) + "\n"
