"""The table of predictions, and the numbers in it."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from plstm_graph.console import write_data
from plstm_graph.datasets.classes import PLAIN_LABELS
from plstm_graph.datasets.digits import exact_cells
from plstm_graph.datasets.storage.files import replace_file
from plstm_graph.tasks.metrics import LABELS, Kind
from plstm_graph.tasks.spread import Assessed


def write_csv(header: Sequence[str], rows: Iterable[Sequence[str]], output: str | None) -> None:
    """Write a whole table, or nothing.

    Args:
        header: Names of the columns.
        rows: Their cells.
        output: The file. (default: stdout)
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    if output is None:
        write_data(text.getvalue())
    else:
        content = text.getvalue().encode("utf-8", "surrogateescape")
        replace_file(output, lambda path: Path(path).write_bytes(content))


def prediction_columns(
    values: Tensor, kind: Kind, target_names: Sequence[str], classes: Sequence[Sequence[str]]
) -> dict[str, list[str]]:
    """Cells of predictions by the names of their columns, with all digits.

    ``predicted_TARGET`` is a value, the probability of label 1, or the name of the most probable class. The latter is
    followed by ``probability_CLASS`` for each class (``probability_TARGET: CLASS`` where there are several targets).

    Args:
        values: As :func:`~plstm_graph.predict.predictor.predict` gives them, ``[n, O]``.
        kind: Of the targets.
        target_names: Names of the targets.
        classes: Names of the classes of each; empty for numbers, and where classes have no names.

    Raises:
        ValueError: If a prediction is not finite, or predictions are not of these targets and classes.
    """
    check_columns(values, kind, target_names, classes)
    if not bool(values.isfinite().all()):
        raise ValueError(not_finite(float(values[~values.isfinite()][0])))
    if kind == "multiclass":
        return _classes(values, target_names[0], _class_names(values, classes), "")
    columns: dict[str, list[str]] = {}
    for number, target in enumerate(target_names):
        names = list(classes[number]) if kind in LABELS and classes else []
        if names and names != PLAIN_LABELS:
            of_target = values[:, number : number + 1]
            prefix = f"{target}: " if len(target_names) > 1 else ""
            found = _classes(torch.cat([1 - of_target, of_target], dim=1), target, names, prefix)
            twice = sorted(columns.keys() & found.keys())
            if twice:
                raise ValueError(f"two columns of predictions would be called {twice[0]!r}; give a target another name")
            columns |= found
        else:
            columns[f"predicted_{target}"] = [row[0] for row in exact_cells(values[:, number : number + 1])]
    return columns


def sureness_columns(assessed: Assessed, target_names: Sequence[str]) -> dict[str, list[str]]:
    """Cells of how sure predictions are: ``std_TARGET``, ``lower_TARGET`` and ``upper_TARGET``, where there are any.

    Args:
        assessed: The predictions.
        target_names: Names of the targets.
    """
    columns: dict[str, list[str]] = {}
    for number, target in enumerate(target_names):
        for name in ("std", "lower", "upper"):
            values = getattr(assessed, name)
            if values is not None:
                columns[f"{name}_{target}"] = [row[0] for row in exact_cells(values[:, number : number + 1])]
    return columns


def check_columns(values: Tensor, kind: Kind, target_names: Sequence[str], classes: Sequence[Sequence[str]]) -> None:
    """Check that predictions are those of some targets and classes, as a checkpoint names them.

    Args:
        values: Predictions, ``[n, O]``.
        kind: Of the targets.
        target_names: Names of the targets.
        classes: As of :func:`prediction_columns`.

    Raises:
        ValueError: If their numbers differ, or two would have the same name; it names them.
    """
    if values.dim() != 2:
        raise ValueError(f"the model gives predictions of shape {list(values.shape)}, no table of them")
    if classes and len(classes) != len(target_names):
        raise ValueError(f"there are classes of {len(classes)} targets, but {_some(target_names, 'targets')}")
    expected, counted = list(target_names), "targets"
    if kind == "multiclass":
        if len(target_names) != 1:
            raise ValueError(f"a multiclass model has one target, but there are {_some(target_names, 'targets')}")
        expected, counted = list(classes[0]) if classes else [], "classes"
    if (expected or kind != "multiclass") and values.size(1) != len(expected):
        raise ValueError(f"the model gives {values.size(1)} columns, but there are {_some(expected, counted)}")
    for names in (target_names, *classes):
        twice = [name for name in names if list(names).count(name) > 1]
        if twice:
            raise ValueError(f"two columns of predictions would be called {twice[0]!r}")
        if kind in LABELS and names is not target_names and len(names) not in (0, 2):
            raise ValueError(f"a target of labels has two classes, but there are {_some(names, 'classes')}")


def output_names(
    values: Tensor, kind: Kind, target_names: Sequence[str], classes: Sequence[Sequence[str]]
) -> list[str]:
    """Names of the columns that a model gives: of the targets, or ``target: class`` for each of several classes.

    Args:
        values: As of :func:`check_columns`, which is asked first.
        kind: Likewise.
        target_names: Likewise.
        classes: Likewise.
    """
    check_columns(values, kind, target_names, classes)
    if kind != "multiclass":
        return list(target_names)
    return [f"{target_names[0]}: {name}" for name in _class_names(values, classes)]


def _class_names(values: Tensor, classes: Sequence[Sequence[str]]) -> list[str]:
    return list(classes[0]) if classes and classes[0] else [str(code) for code in range(values.size(1))]


def _some(names: Sequence[str], counted: str) -> str:
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} {counted} ({shown})" if names else f"no {counted}"


def not_finite(value: float) -> str:
    """What to say of a prediction that is no number."""
    return f"the model predicts {value}; its weights are not usable"


def measured_columns(
    values: Tensor, target_names: Sequence[str], classes: Sequence[Sequence[str]], censor: Tensor | None = None
) -> dict[str, list[str]]:
    """Cells of measured targets by their names: numbers, or names of classes; empty where none was measured.

    Args:
        values: Targets, ``[n, T]``.
        target_names: Names of the targets.
        classes: As of :func:`prediction_columns`.
        censor: 1 where the true value is above the target, which becomes ``>10``, -1 where it is below, ``[n, T]``.
    """
    columns = {}
    for number, target in enumerate(target_names):
        texts = [row[0] for row in exact_cells(values[:, number : number + 1])]
        if censor is not None:
            texts = [
                text and ("", ">", "<")[side] + text
                for text, side in zip(texts, censor[:, number].tolist(), strict=True)
            ]
        names = classes[number] if classes else []
        columns[target] = [names[int(text)] if text and names else text for text in texts]
    return columns


def _classes(probability: Tensor, target: str, names: list[str], prefix: str) -> dict[str, list[str]]:
    best = {f"predicted_{target}": [names[code] for code in probability.argmax(dim=1).tolist()]}
    cells = zip(*exact_cells(probability), strict=True) if len(probability) else [()] * len(names)
    return best | {f"probability_{prefix}{name}": list(each) for name, each in zip(names, cells, strict=True)}
