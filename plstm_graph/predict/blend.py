"""``plstm-graph blend``: the networks of a finished study of molecules, averaged with forests on fingerprints."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from plstm_graph.console import Console
from plstm_graph.datasets.digits import rows_of_columns
from plstm_graph.datasets.molecules.fingerprints import morgan_fingerprints
from plstm_graph.datasets.storage.files import replace_json, replace_text
from plstm_graph.machine import pick_device
from plstm_graph.report.study import mean_and_std, with_std
from plstm_graph.tasks.forest import Forest
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.task import Shard, Task, rank
from plstm_graph.text import markdown_text
from plstm_graph.train.engine import outputs_of
from plstm_graph.train.runner import task_of
from plstm_graph.train.study import reported_trials
from plstm_graph.train.trial import Trial, trained_model

#: Shares of the forest that are tried on the validation part.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_MODELS = ("network", "forest", "blend")
_OTHERS = ("valid", "test")


class _Molecules(NamedTuple):
    """Fingerprints and targets of each part of a task."""

    fingerprints: dict[str, np.ndarray]
    targets: dict[str, Tensor]


def blend(folder: str, forest: Forest, device: str = "auto", counts: bool = False) -> int:
    """Run the command: for each trial of a study a forest of its own, and the mean of both, weighted by validation.

    The report goes to ``blend.json`` and ``blend.md`` in the folder of the study.

    Args:
        folder: Of a finished study.
        forest: Its seed is replaced by that of each network.
        device: Where the networks run.
        counts: Whether forests see how often each substructure occurs, rather than whether it does.

    Returns:
        Exit status.

    Raises:
        ValueError: If the folder holds no finished study, or one without SMILES.
        OSError: If the data cannot be had, or the report cannot be written.
    """
    path, console = Path(folder), Console(stderr=True)
    if not (path / "report.json").is_file():
        raise ValueError(f"{path} holds no finished run: report.json is missing, which `plstm-graph fit` writes")
    trials = reported_trials(path)
    molecules: dict[str, _Molecules] = {}
    grown: dict[tuple[str, int], tuple[dict[str, Tensor], float]] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for number, trial in enumerate(trials, start=1):
        task, which = _task_of(trial), json.dumps(dict(trial.task))
        if which not in molecules:
            console.say(f"{number}/{len(trials)}: fingerprints of {trial.title} ...")
            molecules[which] = _molecules(task, counts)
        if (which, trial.seed) not in grown:  # models share the forest of a seed
            console.say(f"{number}/{len(trials)}: {forest.trees} trees for {trial.title} ...")
            grown[which, trial.seed] = _grow(replace(forest, seed=trial.seed), molecules[which], task)
        predicted, seconds = grown[which, trial.seed]
        networks = _networks(trial, task, pick_device(device))
        console.say(f"{number}/{len(trials)}: {trial.title}, blended")
        row = _blend_trial(networks, predicted, molecules[which].targets, task)
        found = {"seed": trial.seed, "fold": trial.fold, **row, "seconds_of_forest": seconds}
        rows.setdefault(trial.model, []).append(found)
    report = {
        "dataset": task.name,
        "metric": next(iter(task.monitor)),
        "trees": forest.trees,
        "min_samples_leaf": forest.min_samples_leaf,
        "fingerprint": f"Morgan, radius 2, 2,048 {'counts' if counts else 'bits'}",
        "models": {name: _over_trials(of_model) for name, of_model in rows.items()},
    }
    text = _markdown(report)
    replace_json(path / "blend.json", report)
    replace_text(path / "blend.md", text)
    Console().say(text)
    return 0


def _task_of(trial: Trial) -> GraphTask:
    task = task_of(trial)
    if not isinstance(task, GraphTask) or not all(hasattr(task.parts.get(part), "smiles") for part in _OTHERS):
        raise ValueError(
            f"fingerprints need SMILES, which {task.name} does not come with; ogbg-mol... sets and Peptides-func do"
        )
    return task


def _molecules(task: Task, counts: bool) -> _Molecules:
    parts: Mapping[str, Any] = {part: task.parts[part] for part in ("train", *_OTHERS)}
    fingerprints = {part: morgan_fingerprints(graphs.smiles, counts=counts) for part, graphs in parts.items()}
    return _Molecules(fingerprints, {part: graphs.y.double() for part, graphs in parts.items()})


def _grow(forest: Forest, molecules: _Molecules, task: GraphTask) -> tuple[dict[str, Tensor], float]:
    """What a forest predicts for validation and test, and how long it took."""
    started = time.perf_counter()
    prints = molecules.fingerprints
    others = {part: prints[part] for part in _OTHERS}
    predicted = forest.fit_predict(prints["train"], molecules.targets["train"], others, task.kind)
    return predicted, time.perf_counter() - started


def _networks(trial: Trial, task: GraphTask, device: torch.device) -> dict[str, Tensor]:
    """What the network of a trial predicts: probabilities, or values."""
    model, predicted = trained_model(trial, task, device), {}
    for part in _OTHERS:
        batches = task.batches(part, task.needs(model), trial.training.batch_size, device, Shard())
        output = task.restored(outputs_of(model, batches, task)[0]).cpu().double()
        predicted[part] = output.sigmoid() if task.objective == "binary" else output
    return predicted


def _blend_trial(
    networks: dict[str, Tensor], forest: dict[str, Tensor], targets: dict[str, Tensor], task: GraphTask
) -> dict[str, Any]:
    """Metrics of one trial, and the share of the forest that validation picked."""
    metric = next(iter(task.monitor))

    def score(part: str, share: float) -> float:
        mixed = (1 - share) * networks[part] + share * forest[part]
        return task.metrics(mixed, **dict.fromkeys(task.columns, targets[part]))[metric]

    share = max(SHARES, key=lambda each: rank({metric: score("valid", each)}, task.monitor))
    shares = dict(zip(_MODELS, (0.0, 1.0, share), strict=True))
    metrics = {model: {part: score(part, each) for part in _OTHERS} for model, each in shares.items()}
    return {**metrics, "share_of_forest": share}


def _over_trials(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    spreads = {model: {part: mean_and_std([row[model][part] for row in rows]) for part in _OTHERS} for model in _MODELS}
    return {**spreads, "seeds": list(rows)}


def _markdown(report: dict[str, Any]) -> str:
    lines = [
        f"# {markdown_text(report['dataset'])} with forests",
        "",
        f"Forests of {report['trees']} trees on fingerprints ({report['fingerprint']}), one for each seed; validation "
        f"chose the forest's share among {', '.join(f'{share:g}' for share in SHARES)}.",
    ]
    for name, model in report["models"].items():
        lines += [
            "",
            f"| {markdown_text(name)} | validation {report['metric']} | test {report['metric']} |",
            "| --- | ---: | ---: |",
        ]
        spreads = {kind: [with_std(model[kind][part]) for part in _OTHERS] for kind in _MODELS}
        lines += [f"| {kind} | {' | '.join(texts)} |" for kind, texts in spreads.items()]
        lines += ["", "| seed | network | forest | blend | share of the forest |", "| ---: |" + " ---: |" * 4]
        cells = rows_of_columns([[row[kind]["test"] for kind in _MODELS] for row in model["seeds"]])
        lines += [
            f"| {row['seed']} | " + " | ".join(texts) + f" | {row['share_of_forest']:g} |"
            for row, texts in zip(model["seeds"], cells, strict=True)
        ]
    return "\n".join(lines) + "\n"
