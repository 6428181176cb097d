"""``plstm-graph blend``: the networks of a finished run, averaged with forests on fingerprints or simple features."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plstm_graph.console import Console
from plstm_graph.datasets.molecules.fingerprints import check_names
from plstm_graph.datasets.storage.files import replace_json, replace_text
from plstm_graph.machine import pick_device
from plstm_graph.predict.forest_data import OTHERS, ForestData, forest_data, score_of, test_names
from plstm_graph.report.blend import MODELS, blend_markdown, over_trials
from plstm_graph.report.predictions import measured_columns, prediction_columns, write_csv
from plstm_graph.tasks.forest import Forest
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.metrics import to_prediction
from plstm_graph.tasks.task import Shard, rank
from plstm_graph.train.engine import outputs_of
from plstm_graph.train.runner import task_of
from plstm_graph.train.study import reported_trials
from plstm_graph.train.trial import Trial, trained_model

#: Shares of the forest that are tried on the validation part.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_CSV = "blend_predictions.csv"


class _Grown(NamedTuple):
    """A forest that validation picked: its name, what it predicts for each part, and the time of all forests."""

    name: str
    predicted: dict[str, Tensor]
    seconds: float


def blend(
    folder: str,
    forest: Forest,
    device: str = "auto",
    counts: bool = False,
    fingerprints: Sequence[str] | None = None,
    max_features: Sequence[str | float] | None = None,
) -> int:
    """Run the command: for each trial of a run a forest of its own, and the mean of both, weighted by validation.

    The report goes to ``blend.json`` and ``blend.md`` in the folder of the run, and what the blend predicts for the
    test part to ``blend_predictions.csv`` in the folder of each trial, as :func:`~plstm_graph.report.labelled` has
    those of the network.

    Args:
        folder: Of a finished run.
        forest: Its seed is replaced by that of each network.
        device: Where the networks run.
        counts: Whether forests see how often each substructure occurs, rather than whether it does.
        fingerprints: Sets of fingerprints, of each set those that stand side by side, separated by commas; validation
            picks one of the sets. (default: ``ecfp``)
        max_features: As of :class:`~plstm_graph.tasks.forest.Forest`; validation picks one of several. (default: that
            of the forest)

    Returns:
        Exit status.

    Raises:
        ValueError: If the folder holds no finished run, or one whose data forests cannot see.
        OSError: If the data cannot be had, or the report cannot be written.
    """
    path, console = Path(folder), Console(stderr=True)
    for names in fingerprints or ():
        check_names(names.split(","))
    forests = [forest] if max_features is None else [replace(forest, max_features=part) for part in max_features]
    if not (path / "report.json").is_file():
        raise ValueError(f"{path} holds no finished run: report.json is missing, which `plstm-graph fit` writes")
    trials = reported_trials(path)
    rows: dict[Path, dict[str, Any]] = {}
    for of_task in _by_task(trials):
        task = _task_of(of_task[0])
        console.say(f"features for {task.name} ...")
        data = forest_data(task, fingerprints, counts)
        grown: dict[int, _Grown] = {}
        for trial in of_task:
            place = f"{len(rows) + 1}/{len(trials)}: "
            if trial.seed not in grown:  # models share the forest of a seed
                console.say(f"{place}{forest.trees} trees for {trial.title} ...")
                grown[trial.seed] = _grow([replace(each, seed=trial.seed) for each in forests], data, task)
            networks = _networks(trial, task, pick_device(device))
            row, blended = _blend_trial(networks, grown[trial.seed], data.targets, task)
            _write(trial.folder / _CSV, blended, data.targets["test"], task)
            console.say(f"{place}{trial.title}, blended: {trial.folder / _CSV}")
            rows[trial.folder] = {"seed": trial.seed, "fold": trial.fold, **row}
    models: dict[str, list[dict[str, Any]]] = {}
    for trial in trials:
        models.setdefault(trial.model, []).append(rows[trial.folder])
    report = {
        "dataset": task.name,
        "metric": _metric(task),
        "trees": forest.trees,
        "min_samples_leaf": forest.min_samples_leaf,
        "features": f"{' or '.join(data.features)}, {'counts' if counts else 'bits'}",
        "candidates": _names(forests, data),
        "shares": list(SHARES),
        "models": {
            name: over_trials([rows[trial.folder] for trial in trials if trial.model == name]) for name in models
        },
    }
    text = blend_markdown(report)
    replace_json(path / "blend.json", report)
    replace_text(path / "blend.md", text)
    Console().say(text)
    return 0


def _by_task(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials of the same task, such as of one fold, together."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        found.setdefault(json.dumps(dict(trial.task)), []).append(trial)
    return list(found.values())


def _task_of(trial: Trial) -> GraphTask:
    task = task_of(trial)
    if not isinstance(task, GraphTask):
        raise ValueError(f"forests see molecules and folders of DAGs, and {task.name} is neither")
    return task


def _metric(task: GraphTask) -> str:
    """The metric that selects: that of the task where its own is the loss, which forests do not have."""
    first = next(iter(task.monitor))
    return next(iter(task.scores.monitor)) if first == "loss" and task.scores is not None else first


def _rank(task: GraphTask, prediction: Tensor, target: Tensor) -> tuple[float, ...]:
    name = _metric(task)
    better = task.monitor if name in task.monitor or task.scores is None else task.scores.monitor
    return rank(score_of(task, prediction, target), {name: better[name]})


def _name(forest: Forest, features: str) -> str:
    part = forest.max_features
    return f"{features}, max_features {part if isinstance(part, str) else f'{part:g}'}"


def _names(forests: Sequence[Forest], data: ForestData) -> list[str]:
    return [_name(forest, features) for features in data.features for forest in forests]


def _grow(forests: Sequence[Forest], data: ForestData, task: GraphTask) -> _Grown:
    """Forests of one seed, and what the one that is best in validation predicts."""
    started, scale = time.perf_counter(), task.target
    targets = data.targets["train"]
    found: list[tuple[str, dict[str, Tensor]]] = []
    for features, parts in data.features.items():
        others = {part: parts[part] for part in OTHERS}
        for forest in forests:
            # On the scale that networks learn, where forests average, too.
            learnt = targets if scale is None else scale.apply(targets)
            predicted = forest.fit_predict(parts["train"], learnt, others, task.kind, task.out_channels)
            if scale is not None:
                predicted = {part: scale.restore(values) for part, values in predicted.items()}
            found.append((_name(forest, features), predicted))
    name, best = max(found, key=lambda each: _rank(task, each[1]["valid"], data.targets["valid"]))
    return _Grown(name, best, time.perf_counter() - started)


def _networks(trial: Trial, task: GraphTask, device: torch.device) -> dict[str, Tensor]:
    """What the network of a trial predicts: probabilities, or values."""
    model, predicted = trained_model(trial, task, device), {}
    for part in OTHERS:
        batches = task.batches(part, task.needs(model), trial.training.batch_size, device, Shard())
        output = task.restored(outputs_of(model, batches, task)[0]).cpu().double()
        predicted[part] = to_prediction(output, task.kind)
    return predicted


def _blend_trial(
    networks: Mapping[str, Tensor], grown: _Grown, targets: Mapping[str, Tensor], task: GraphTask
) -> tuple[dict[str, Any], Tensor]:
    """Metrics of one trial with the share of the forest that validation picked, and its predictions for the test."""

    def mixed(part: str, share: float) -> Tensor:
        return (1 - share) * networks[part] + share * grown.predicted[part]

    share = max(SHARES, key=lambda each: _rank(task, mixed("valid", each), targets["valid"]))
    shares = dict(zip(MODELS, (0.0, 1.0, share), strict=True))
    scores = {
        model: {part: score_of(task, mixed(part, each), targets[part]).get(_metric(task), math.nan) for part in OTHERS}
        for model, each in shares.items()
    }
    found = {"share_of_forest": share, "forest_of": grown.name, "seconds_of_forest": grown.seconds}
    return {**scores, **found}, mixed("test", share)


def _write(path: Path, predicted: Tensor, measured: Tensor, task: GraphTask) -> None:
    """Write predictions of the test part beside what was measured."""
    labelled = task.labelled
    targets = list(task.column_names.get("y", [])) if labelled is None else labelled.target_names
    classes = [] if labelled is None else labelled.classes
    columns = test_names(task) | measured_columns(measured, targets, classes)
    columns |= prediction_columns(predicted, task.kind, targets, classes)
    cells = zip(measured.isfinite().any(dim=1).tolist(), *columns.values(), strict=True)
    write_csv(list(columns), [row for is_measured, *row in cells if is_measured], str(path))
