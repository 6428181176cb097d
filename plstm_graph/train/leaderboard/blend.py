"""``plstm-graph blend``: the networks of a finished benchmark run, averaged with forests on fingerprints."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plstm_graph.console import Console
from plstm_graph.datasets.benchmark import Benchmark
from plstm_graph.datasets.digits import rows_of_columns
from plstm_graph.datasets.molecules.fingerprints import morgan_fingerprints
from plstm_graph.datasets.storage.files import replace_json, replace_text
from plstm_graph.text import markdown_text
from plstm_graph.train.checkpoint import load_weights
from plstm_graph.train.inference import pick_device, predict
from plstm_graph.train.leaderboard.forest import Forest
from plstm_graph.train.leaderboard.seed_run import benchmark_of, make_module
from plstm_graph.train.spread import mean_and_std, with_std

#: Shares of the forest that are tried on the validation split.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_MODELS = ("network", "forest", "blend")


def blend(folder: str, forest: Forest, device: str = "auto", counts: bool = False) -> int:
    """Run the command: for each seed of a run a forest of its own, and the mean of both, weighted by validation.

    The report goes to ``blend.json`` and ``blend.md`` in the folder of the run.

    Args:
        folder: Of a finished run of ``plstm-graph leaderboard``.
        forest: Its seed is replaced by that of each network.
        device: Where the networks run.
        counts: Whether forests see how often each substructure occurs, rather than whether it does.

    Returns:
        Exit status.

    Raises:
        ValueError: If the folder holds no finished run.
        OSError: If the data cannot be had, have no SMILES, or the report cannot be written.
    """
    path = Path(folder)
    if not (path / "report.json").is_file():
        raise ValueError(f"{path} holds no finished run: report.json is missing; `plstm-graph leaderboard` writes it")
    run = _read_report(path / "report.json")
    benchmark = benchmark_of(run["config"]["data"])
    fingerprints = {
        part: morgan_fingerprints(_smiles(graphs, run), counts=counts) for part, graphs in benchmark.parts.items()
    }
    rows = []
    for number in (row["seed"] for row in run["seeds"]):
        weights = path / f"seed_{number}" / "best.pt"
        module = make_module(run["config"]["model"], benchmark).to(pick_device(device))
        load_weights(module, weights, module.device, f"remove the folder {weights.parent} to train it anew")
        networks = {part: predict(module, benchmark.parts[part]).double() for part in ("valid", "test")}
        rows.append({"seed": number, **_blend_seed(networks, fingerprints, benchmark, replace(forest, seed=number))})
    report = {
        "dataset": run["dataset"],
        "method": run["method"],
        "metric": run["metric"],
        "trees": forest.trees,
        "min_samples_leaf": forest.min_samples_leaf,
        "fingerprint": f"Morgan, radius 2, 2,048 {'counts' if counts else 'bits'}",
        **{
            model: {part: mean_and_std([row[model][part] for row in rows]) for part in ("valid", "test")}
            for model in _MODELS
        },
        "seeds": rows,
    }
    text = _markdown(report)
    replace_json(path / "blend.json", report)
    replace_text(path / "blend.md", text)
    Console().say(text)
    return 0


def _read_report(path: Path) -> dict[str, Any]:
    """The report of a run, with everything that is asked of it here."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        config, seeds = run["config"], [row["seed"] for row in run["seeds"]]
        whole = all(isinstance(config[name], dict) for name in ("data", "model"))
        whole = whole and all(isinstance(run[name], str) for name in ("dataset", "method", "metric"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is no report of `plstm-graph leaderboard`: {type(error).__name__} {error}") from error
    if not whole or not all(type(seed) is int for seed in seeds):
        raise ValueError(f"{path} is no report of `plstm-graph leaderboard`")
    return run


def _blend_seed(
    networks: dict[str, torch.Tensor], fingerprints: dict[str, np.ndarray], benchmark: Benchmark, forest: Forest
) -> dict[str, Any]:
    """Metrics of one seed, and the share of the forest that validation picked."""
    started = time.perf_counter()
    targets = benchmark.parts["train"].y.double().numpy(force=True)
    others = {part: fingerprints[part] for part in ("valid", "test")}
    predicted = forest.fit_predict(fingerprints["train"], targets, others, benchmark.task == "classification")
    seconds = time.perf_counter() - started

    def score(part: str, share: float) -> float:
        mixed = (1 - share) * networks[part] + share * torch.from_numpy(predicted[part])
        return benchmark.evaluate(benchmark.parts[part].y, mixed)

    best: Callable[..., float] = max if benchmark.mode == "max" else min
    share = best(SHARES, key=lambda each: score("valid", each))
    shares = dict(zip(_MODELS, (0.0, 1.0, share), strict=True))
    metrics = {model: {part: score(part, each) for part in ("valid", "test")} for model, each in shares.items()}
    return {**metrics, "share_of_forest": share, "seconds_of_forest": seconds}


def _smiles(graphs: Any, run: dict[str, Any]) -> list[str]:
    if not hasattr(graphs, "smiles"):
        raise ValueError(
            f"fingerprints need SMILES, which {run['dataset']} does not come with; "
            "ogbg-mol... sets and Peptides-func do"
        )
    return graphs.smiles


def _markdown(report: dict[str, Any]) -> str:
    lines = [
        f"# {markdown_text(report['method'])} with a forest on {markdown_text(report['dataset'])}",
        "",
        f"Forests of {report['trees']} trees on fingerprints ({report['fingerprint']}), one for each seed; validation "
        f"chose the forest's share among {', '.join(f'{share:g}' for share in SHARES)}.",
        "",
        f"| model | validation {report['metric']} | test {report['metric']} |",
        "| --- | ---: | ---: |",
    ]
    for model in _MODELS:
        lines.append(f"| {model} | {with_std(report[model]['valid'])} | {with_std(report[model]['test'])} |")
    lines += ["", "| seed | network | forest | blend | share of the forest |", "| ---: |" + " ---: |" * 4]
    cells = rows_of_columns([[row[model]["test"] for model in _MODELS] for row in report["seeds"]])
    lines += [
        f"| {row['seed']} | " + " | ".join(texts) + f" | {row['share_of_forest']:g} |"
        for row, texts in zip(report["seeds"], cells, strict=True)
    ]
    return "\n".join(lines) + "\n"
