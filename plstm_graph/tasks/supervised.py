"""Graphs with targets of one's own as a task, once all targets of all parts are checked."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from torch import Tensor

from plstm_graph.datasets.classes import PLAIN_LABELS, note_of_labels
from plstm_graph.nn.encoders import start_unknown
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.labelled import LabelledGraphs
from plstm_graph.tasks.losses import Objective
from plstm_graph.tasks.metrics import LABELS, MONITOR, Kind, evaluate, misfit
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.task import Row

_OBJECTIVES: dict[Kind, Objective] = {
    "regression": "mse",
    "binary": "binary",
    "multilabel": "binary",
    "multiclass": "cross_entropy",
}


def supervised(data: LabelledGraphs, kind: Kind, given: dict[str, Any], num_folds: int = 0) -> GraphTask:
    """A task on graphs with targets.

    Args:
        data: The graphs.
        kind: Of their targets.
        given: Arguments by which other graphs are read as these were, plain values for checkpoints.
        num_folds: Number of folds that the graphs have; 0 for none.

    Raises:
        ValueError: If targets do not fit the kind; it names place and value.
    """
    check_kind(kind)
    if kind in ("binary", "multiclass") and len(data.target_names) > 1:
        raise ValueError(
            f"kind {kind!r} is of one target, and there are {', '.join(data.target_names)}; 'multilabel' is of several "
            "with two classes each"
        )
    problem = data.problem
    checked = check_targets(data, kind, problem.out_channels)
    parts = {part: data.subset(part) for part in ("train", "valid", "test")}
    metric, direction = checked.monitor
    numbers = kind == "regression"
    return GraphTask(
        name=data.title,
        parts=parts,
        target_level=problem.target_level,
        out_channels=problem.out_channels,
        in_channels=problem.in_channels,
        edge_dim=problem.edge_dim,
        objective=_OBJECTIVES[kind],
        metrics=partial(_metrics, kind),
        monitor={metric: direction},
        target=TargetScale.fit("standard", data.train_targets) if numbers else None,
        num_folds=num_folds,
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
        },
    )


def check_kind(kind: Kind) -> None:
    """Check that graphs of one's own can have targets of a kind."""
    if kind not in _OBJECTIVES:
        raise ValueError(f"kind must be one of {', '.join(_OBJECTIVES)}, got {kind!r}")


def _metrics(kind: Kind, output: Tensor, y: Tensor) -> Row:
    """Of values, or of logits, which rank as probabilities do."""
    return evaluate(output, y, kind)


_PARTS = ("train", "valid", "test")
_WORDS = {"train": "training", "valid": "validation", "test": "test"}


@dataclass
class Checked:
    """Targets that can be trained on.

    Attributes:
        monitor (tuple[str, str]): Metric that selects the best epoch, and ``"min"`` or ``"max"``.
        notes (list[str]): What the user should know.
    """

    monitor: tuple[str, Literal["min", "max"]]
    notes: list[str] = field(default_factory=list)


def check_targets(data: LabelledGraphs, kind: Kind, num_outputs: int) -> Checked:
    """Check the targets of a data module, and decide by what epochs are selected.

    Args:
        data: The data, which know the kind of their targets.
        kind: Of the targets.
        num_outputs: Columns that the model gives.

    Returns:
        What selects the best epoch: the metric of the task, or the loss where the validation part does not define it.

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
    checked = Checked(MONITOR[kind])
    for part in ("train", "valid"):
        if not bool(parts[part].isfinite().any()):
            raise ValueError(f"{data.title}: no target is measured in the {_WORDS[part]} part")
    if kind == "regression":
        _check_numbers(data, parts, checked)
    elif kind != "sequence":
        _check_classes(data, parts, kind, checked)
    metric = MONITOR[kind][0]
    for part in ("valid", "test"):
        if not _is_defined(parts[part], kind):
            why = "has one class only" if bool(parts[part].isfinite().any()) else "has no measured target"
            text = f"the {_WORDS[part]} part {why}, so {metric} is not defined there"
            if part == "valid":
                checked.monitor = ("loss", "min")
                text += ": epochs are selected by the validation loss"
            checked.notes.append(text)
    return checked


def _is_defined(values: Tensor, kind: Kind) -> bool:
    """Whether a target has what the metric that selects needs."""
    if kind not in LABELS:
        return bool(values.isfinite().any())
    return bool(((values == 0).any(dim=0) & (values == 1).any(dim=0)).any())


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
