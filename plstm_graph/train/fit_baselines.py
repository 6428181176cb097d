"""Simple models beside those of a study: fitted once the report is written, one by one, each within a time."""

import time
from collections.abc import Mapping
from typing import Any

from plstm_graph.console import Console
from plstm_graph.datasets.digits import shown
from plstm_graph.datasets.storage.files import replace_json
from plstm_graph.report.study import mean_and_std
from plstm_graph.tasks.baseline_fits import Clock
from plstm_graph.tasks.scores import Scores
from plstm_graph.tasks.task import Task
from plstm_graph.train.runner import task_of
from plstm_graph.train.study import Repeat, Study
from plstm_graph.train.trial import numbers, read_json

_FILE, _NOTES = "baselines.json", "notes"


def fit_baselines(study: Study, task: Task, console: Console) -> None:
    """Fit what ``baselines.json`` in the folder of a study does not have, with a line for each.

    They are fitted for each fold with the first seed, and for each seed where there are no folds.

    Args:
        study: The study; its ``baselines_seconds`` are for all fits together.
        task: Of the study.
        console: For the lines.
    """
    clock, repeats = Clock(study.baselines_seconds), _repeats(study)
    for number, repeat in enumerate(repeats):
        of_repeat = task_of(study.trial(study.models[0], {}, repeat))
        labelled = of_repeat.labelled
        if labelled is None:
            return
        place, share = "/".join(repeat.places), clock.share(len(repeats) - number)
        fits = labelled.baseline_fits(of_repeat.kind, repeat.seed)
        missing = [name for name in fits if name not in _found(study).get(place, {})]
        for rank, name in enumerate(missing):
            where = f"{name} ({list(fits).index(name) + 1} of {len(fits)}{_title(repeat)})"
            console.say(f"baseline {where} ...")
            started = time.perf_counter()
            predicted, note = fits[name](share.share(len(missing) - rank))
            target, scores = labelled.exact_targets("test"), of_repeat.scores
            scores = scores or Scores.of_training(of_repeat.kind, labelled.target_names, labelled.train_targets)
            row = scores.of_predictions(predicted, target)
            found = _found(study)
            found.setdefault(place, {})[name] = row
            if note:
                found.setdefault(_NOTES, {}).setdefault(place, {})[name] = note
            replace_json(study.folder / _FILE, found)
            metric, value = next(iter(row.items()))
            cut = f" ({note})" if note else ""
            console.say(f"baseline {where}: test/{metric} {shown(value)}, {time.perf_counter() - started:.1f} s{cut}")


def baselines_of(study: Study) -> tuple[dict[str, Mapping[str, Any]], dict[str, str]]:
    """Rows of the table of a study that are simple models, and what was cut of each for the time.

    None of a model until it was fitted for all repeats.
    """
    if not study.baselines:
        return {}, {}
    found = _found(study)
    places = ["/".join(repeat.places) for repeat in _repeats(study)]
    rows: dict[str, Mapping[str, Any]] = {}
    notes: dict[str, str] = {}
    for name in found.get(places[0], {}):
        each = [numbers(found[place][name]) for place in places if name in found.get(place, {})]
        if len(each) < len(places):
            continue
        rows[name] = {f"test/{metric}": mean_and_std([row[metric] for row in each]) for metric in each[0]}
        cuts = [found.get(_NOTES, {}).get(place, {}).get(name) for place in places]
        if any(cuts):
            notes[name] = "; ".join(dict.fromkeys(cut for cut in cuts if cut))
    return rows, notes


def _repeats(study: Study) -> list[Repeat]:
    return [repeat for repeat in study.repeats if repeat.fold is None or repeat.seed == study.seeds[0]]


def _found(study: Study) -> dict[str, Any]:
    return read_json(study.folder / _FILE) or {}


def _title(repeat: Repeat) -> str:
    return f", seed {repeat.seed}" if repeat.fold is None else f", fold {repeat.fold}"
