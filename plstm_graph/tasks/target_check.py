"""One check of all targets of all parts, before anything is trained."""

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from plstm_graph.datasets.classes import PLAIN_LABELS, note_of_labels
from plstm_graph.tasks.labelled import LabelledGraphs
from plstm_graph.tasks.metrics import MONITOR, Kind

_LABELS = ("binary", "multilabel")
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


def misfit(values: Tensor, kind: Kind, num_classes: int) -> tuple[int, int, str] | None:
    """The first target that is not of its kind.

    Args:
        values: Targets, ``[n, T]``; NaN where none was measured.
        kind: Of the targets.
        num_classes: Number of classes, for classes.

    Returns:
        Its row and column, and what is wrong with it; None if all fit.
    """
    if kind == "regression":
        wrong = values.isinf()
    elif kind in _LABELS:
        wrong = (values != 0) & (values != 1) & ~values.isnan()
    else:
        wrong = ((values < 0) | (values >= num_classes) | (values != values.round())) & ~values.isnan()
    if not bool(wrong.any()):
        return None
    row, column = wrong.nonzero()[0].tolist()
    value, known = float(values[row, column]), values[:, column][values[:, column].isfinite()]
    whole = bool((known == known.round()).all())
    if kind == "regression":
        reason = "which is not finite"
    elif kind in _LABELS:
        reason = f"where labels are 0 and 1; kind: {'multiclass' if whole else 'regression'} fits"
    elif not whole or value != round(value):
        reason = "where the number of a class was expected; kind: regression fits"
    else:
        reason = (
            f"where classes are 0 to {num_classes - 1} for a model with {num_classes} columns; number them from 0, and "
            "give the model a column for each"
        )
    return row, column, f"{value:g}, {reason}"


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
    if kind not in _LABELS:
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
        labels = names or (PLAIN_LABELS if kind in _LABELS else None)
        note = note_of_labels(name, labels) if labels is not None and kind in _LABELS else None
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
