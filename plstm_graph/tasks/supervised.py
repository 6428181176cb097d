"""Graphs with targets of one's own as a task, once all targets of all parts are checked."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from plstm_graph.datasets.classes import PLAIN_LABELS, note_of_labels
from plstm_graph.nn.encoders import start_unknown
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.labelled import LabelledGraphs, Problem
from plstm_graph.tasks.losses import Objective
from plstm_graph.tasks.metric_names import DEFAULT, chosen_metrics
from plstm_graph.tasks.metrics import LABELS, Kind, is_defined, misfit
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.scores import Scores
from plstm_graph.tasks.weights import WeightOptions

_OBJECTIVES: dict[Kind, Objective] = {
    "regression": "mse",
    "binary": "binary",
    "multilabel": "binary",
    "multiclass": "cross_entropy",
}


def supervised(
    data: LabelledGraphs,
    kind: Kind,
    given: dict[str, Any],
    num_folds: int = 0,
    metrics: list[str] | None = None,
    metric: str | None = None,
    weights: WeightOptions | None = None,
    likelihood: str | None = None,
    component_readout: str | None = None,
) -> GraphTask:
    """A task on graphs with targets.

    Args:
        data: The graphs.
        kind: Of their targets.
        given: Arguments by which other graphs are read as these were, plain values for checkpoints.
        num_folds: Number of folds that the graphs have; 0 for none.
        metrics: Names of the metrics, as of :func:`~plstm_graph.tasks.metric_names.chosen_metrics`.
        metric: The one that selects, likewise.
        weights: How much targets and classes count in training. (default: all alike)
        likelihood: ``"gaussian"`` for models that give a variance of each number. (default: squared errors)
        component_readout: How models join the components of a graph, where graphs have several.

    Raises:
        ValueError: If targets do not fit the kind, or there is no such metric; it names place and value.
    """
    check_kind(kind)
    weights = weights or WeightOptions()
    names = chosen_metrics(kind, metrics, metric)
    weights.check(kind)
    check_likelihood(likelihood, kind)
    if kind in ("binary", "multiclass") and len(data.target_names) > 1:
        raise ValueError(
            f"kind {kind!r} is of one target, and there are {', '.join(data.target_names)}; 'multilabel' is of several "
            "with two classes each"
        )
    problem = data.problem
    if weights.balanced_batches and problem.target_level != "graph":
        raise ValueError(f"balanced_batches is of graphs with one class, and here {problem.target_level}s have classes")
    checked = check_targets(data, kind, problem.out_channels, names[0])
    parts = {part: data.subset(part) for part in ("train", "valid", "test")}
    scores = Scores.of_training(kind, data.target_names, data.train_targets, metrics, metric)
    numbers = kind == "regression"
    return GraphTask(
        name=data.title,
        parts=parts,
        target_level=problem.target_level,
        out_channels=problem.out_channels * (2 if likelihood else 1),
        in_channels=problem.in_channels,
        edge_dim=problem.edge_dim,
        model_arguments=_of_graphs(problem, component_readout),
        objective="gaussian" if likelihood else _OBJECTIVES[kind],
        metrics=scores,
        monitor=scores.monitor if checked.selects else {"loss": "min"},
        target=TargetScale.fit("standard", data.train_targets) if numbers else None,
        num_folds=num_folds,
        weighing=weights.weighing(data, kind),
        balanced=weights.balanced_batches,
        columns=("y", *(name for name in ("weight", "censor") if data.column("train", name) is not None)),
        with_loss=True,
        fixed=False,
        labelled=data,
        made=start_unknown if problem.has_unknown else None,
        notes=[*checked.notes, *data.notes],
        serving=lambda needs: {
            "data": data.kind,
            "given": given,
            "target_names": data.target_names,
            "reading": data.reading,
            "digest": data.digest,
            "scores": scores.to_plain(),
        },
    )


def check_likelihood(likelihood: str | None, kind: Kind) -> None:
    """Check that a kind of targets can be learnt with a likelihood.

    Raises:
        ValueError: If there is no such likelihood, or targets are no numbers.
    """
    if likelihood not in (None, "gaussian"):
        raise ValueError(f"likelihood must be 'gaussian', or null for squared errors, got {likelihood!r}")
    if likelihood is not None and kind != "regression":
        raise ValueError(f"likelihood {likelihood!r} is of numbers (kind: regression), and kind is {kind}")


def _of_graphs(problem: Problem, component_readout: str | None) -> dict[str, Any]:
    """Arguments of models by which they read what whole graphs have."""
    arguments: dict[str, Any] = {} if problem.descriptors == 0 else {"descriptors": problem.descriptors}
    if problem.components > 1:
        arguments |= {"components": problem.components, "component_readout": component_readout}
    return arguments


def check_kind(kind: Kind) -> None:
    """Check that graphs of one's own can have targets of a kind."""
    if kind not in _OBJECTIVES:
        raise ValueError(f"kind must be one of {', '.join(_OBJECTIVES)}, got {kind!r}")


_PARTS = ("train", "valid", "test")
_WORDS = {"train": "training", "valid": "validation", "test": "test"}


@dataclass
class Checked:
    """Targets that can be trained on.

    Attributes:
        selects (bool): Whether the validation part defines the metric that selects the best epoch; the loss does where
            it does not.
        notes (list[str]): What the user should know.
    """

    selects: bool = True
    notes: list[str] = field(default_factory=list)


def check_targets(data: LabelledGraphs, kind: Kind, num_outputs: int, metric: str | None = None) -> Checked:
    """Check the targets of a data module, and decide by what epochs are selected.

    Args:
        data: The data, which know the kind of their targets.
        kind: Of the targets.
        num_outputs: Columns that the model gives.
        metric: That is to select the best epoch. (default: the usual one of the kind)

    Returns:
        Whether it does, which needs a validation part that defines it.

    Raises:
        ValueError: If a part is empty, a target does not fit the task (it names place and value), or there is nothing
            to learn from or to select by.
    """
    if not data.target_names:
        raise ValueError(f"{data.title}: there is no target; name at least one column in target_columns")
    parts = {part: data.targets(part) for part in _PARTS}
    for part, values in parts.items():
        if not len(values):
            raise ValueError(f"{data.title}: the {_WORDS[part]} part is empty")
        found = misfit(values, kind, num_outputs)
        if found is not None:
            row, column, reason = found
            raise ValueError(f"{data.place(part, row, column)} is {reason}")
    checked = Checked()
    for part in ("train", "valid"):
        if not bool(parts[part].isfinite().any()):
            raise ValueError(f"{data.title}: no target is measured in the {_WORDS[part]} part")
    if kind == "regression":
        _check_numbers(data, parts, checked)
    elif kind != "sequence":
        _check_classes(data, parts, kind, checked)
    metric = metric or DEFAULT[kind][0]
    for part in ("valid", "test"):
        known = data.exact_targets(part)
        if not is_defined(known, kind, metric):
            why = _why_undefined(known, kind, metric)
            text = f"the {_WORDS[part]} part {why}, so {metric} is not defined there"
            if part == "valid":
                checked.selects = False
                text += ": epochs are selected by the validation loss"
            checked.notes.append(text)
    return checked


def _why_undefined(values: Tensor, kind: Kind, metric: str) -> str:
    known = values[values.isfinite()]
    if not len(known):
        return "has no measured target"  # bounds are none
    if metric == "mape":
        return "has a target of 0"
    return "has one value only" if kind == "regression" else "has one class only"


def _check_numbers(data: LabelledGraphs, parts: dict[str, Tensor], checked: Checked) -> None:
    for name, values in zip(data.target_names, parts["train"].t(), strict=True):
        known = values[values.isfinite()]
        if not len(known):
            raise ValueError(f"{data.title}: target {name!r} is not measured in the training part")
        if len(known) > 1 and bool(known.min() == known.max()):
            checked.notes.append(f"target {name!r} is {float(known[0]):g} in all of the training part")


def _check_classes(data: LabelledGraphs, parts: dict[str, Tensor], kind: Kind, checked: Checked) -> None:
    several = parts["train"].size(1) > 1
    for number, (name, names) in enumerate(zip(data.target_names, data.classes, strict=True)):
        found = {part: values[:, number][values[:, number].isfinite()].long() for part, values in parts.items()}
        labels = names or (PLAIN_LABELS if kind in LABELS else None)
        note = note_of_labels(name, labels) if labels is not None and kind in LABELS else None
        if kind == "multiclass" and names and names != [str(code) for code in range(len(names))]:
            shown = ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
            note = f"target {name!r}: classes {shown}"
        if note is not None:
            checked.notes.append(note)
        there = found["train"].unique()
        if len(there) < 2:
            only = f"only {_name(labels, int(there[0]))!r}" if len(there) else "no measured value"
            text = f"target {name!r} has {only} in the training part"
            if not several:
                raise ValueError(f"{data.title}: {text}; at least two classes are needed")
            checked.notes.append(text)
        for part in ("valid", "test"):
            for code in sorted(set(found[part].tolist()) - set(there.tolist())):
                count = int((found[part] == code).sum())
                checked.notes.append(
                    f"target {name!r}: class {_name(labels, code)!r} is not in the training part, so it cannot be "
                    f"learnt ({count} {'row' if count == 1 else 'rows'} of the {_WORDS[part]} part)"
                )


def _name(names: Any, code: int) -> str:
    return names[code] if names else str(code)
