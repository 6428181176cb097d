"""The report of a cross-validation: a Markdown table, the same as JSON, and the paper's numbers beside it."""

import math
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from plstm_graph.datasets.storage.files import replace_json, replace_text
from plstm_graph.text import markdown_code, markdown_text

#: Test accuracy in the paper's table of TU sets, by set and model.
PAPER = {
    "MUTAG": {"GAT": 0.7822, "GCN": 0.7234, "GIN": 0.8251, "LSTM-GNN": 0.7450, "MPNN": 0.7450, "pLSTM": 0.8512},
    "NCI1": {"GAT": 0.7968, "GCN": 0.7852, "GIN": 0.8175, "LSTM-GNN": 0.7951, "MPNN": 0.8012, "pLSTM": 0.7324},
    "PROTEINS": {"GAT": 0.7215, "GCN": 0.7395, "GIN": 0.7350, "LSTM-GNN": 0.7503, "MPNN": 0.7350, "pLSTM": 0.7502},
    "PTC_FM": {"GAT": 0.6105, "GCN": 0.6162, "GIN": 0.6097, "LSTM-GNN": 0.6076, "MPNN": 0.5786, "pLSTM": 0.6133},
}
_PACKAGES = ("plstm_graph", "torch", "torch_geometric", "scikit-learn", "numpy")


def summarise(results: list[dict[str, Any]], plain: dict[str, Any], command: str) -> dict[str, Any]:
    """Mean and spread over folds, with everything that tells how they came about.

    Args:
        results: Of the finished folds.
        plain: All options of the run.
        command: The command line.

    Returns:
        Plain values; the standard deviation is the unbiased one, None for a single fold.
    """
    test = [result["test_accuracy"] for result in results]
    valid = [result["valid_accuracy"] for result in results]
    return {
        "set": plain["data"]["name"],
        "model": plain["model"]["class_path"].rpartition(".")[2],
        "test_accuracy": mean(test),
        "test_std": stdev(test) if len(test) > 1 else None,
        "valid_accuracy": mean(valid),
        "valid_std": stdev(valid) if len(valid) > 1 else None,
        "parameters": results[0]["parameters"],
        "seconds": math.fsum(result["seconds"] for result in results),
        "folds": results,
        "command": command,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "config": plain,
    }


def markdown(summary: dict[str, Any]) -> str:
    """The report as Markdown."""
    rows = summary["folds"]
    title = markdown_text(f"{summary['model']} on {summary['set']}")
    lines = [
        f"# {title}: {_spread(summary, 'test')} test accuracy",
        "",
        "| fold | test accuracy | validation accuracy | best epoch | graphs train / valid / test | seconds |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['fold']} | {row['test_accuracy']:.4f} | {row['valid_accuracy']:.4f} | {row['best_epoch']} | "
        f"{' / '.join(str(number) for number in row['graphs'].values())} | {row['seconds']:.0f} |"
        for row in rows
    ]
    lines += [
        f"| mean ± std | {_spread(summary, 'test')} | {_spread(summary, 'valid')} | "
        f"{mean(row['best_epoch'] for row in rows):.0f} | | {summary['seconds'] / len(rows):.0f} |",
        "",
        f"- {len(rows)} of 10 folds; the standard deviation over folds is the unbiased one",
        f"- parameters: {summary['parameters']:,}",
        f"- seconds of all folds together: {summary['seconds']:.0f}",
        f"- command: {markdown_code(summary['command'])}",
        f"- versions: {', '.join(f'{name} {number}' for name, number in summary['versions'].items())}",
    ]
    if summary["set"] in PAPER:
        paper = sorted(PAPER[summary["set"]].items(), key=lambda item: -item[1])
        lines.append(f"- the paper's: {', '.join(f'{model} {value:.4f}' for model, value in paper)}")
    return "\n".join(lines) + "\n"


def write_report(folder: Path, summary: dict[str, Any]) -> None:
    """Write ``report.md`` and ``report.json``."""
    replace_text(folder / "report.md", markdown(summary))
    replace_json(folder / "report.json", summary)


def _spread(summary: dict[str, Any], split: str) -> str:
    std = summary[f"{split}_std"]
    return f"{summary[f'{split}_accuracy']:.4f}" + (f" ± {std:.4f}" if std is not None else "")
