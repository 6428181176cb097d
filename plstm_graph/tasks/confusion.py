"""Which classes are taken for which."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from plstm_graph.datasets.classes import PLAIN_LABELS
from plstm_graph.tasks.metrics import LABELS, Kind


def confusion(predicted: Tensor, target: Tensor, kind: Kind) -> list[Tensor]:
    """How often each class was measured and each predicted, for each target, ``[C, C]``: measured in rows.

    Args:
        predicted: Probabilities of label 1, ``[n, T]``, of which one above a half predicts it; or of classes,
            ``[n, C]``, of which the largest predicts.
        target: ``[n, T]``; NaN where none was measured.
        kind: Of the targets, labels or classes.
    """
    if kind in LABELS:
        size, codes = 2, (predicted > 0.5).long()
    else:
        size, codes = predicted.size(1), predicted.argmax(dim=1, keepdim=True)
    found = []
    for code, true in zip(codes.unbind(dim=1), target.unbind(dim=1), strict=True):
        known = true.isfinite()
        places = true[known].long() * size + code[known]
        found.append(torch.bincount(places, minlength=size * size).view(size, size))
    return found


def plain_confusion(
    predicted: Tensor, target: Tensor, kind: Kind, target_names: Sequence[str], classes: Sequence[Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """The same as plain values by the names of targets: ``classes``, their names, and ``counts``.

    Args:
        predicted: As of :func:`confusion`, and so are the two that follow.
        target: Likewise.
        kind: Likewise.
        target_names: Names of the targets.
        classes: Names of the classes of each; empty where they have none.
    """
    plain = {}
    counts = confusion(predicted.cpu(), target.cpu(), kind)
    for name, of_target, names in zip(target_names, counts, classes or [[]] * len(target_names), strict=True):
        plain[name] = {"classes": class_names(names, len(of_target), kind), "counts": of_target.tolist()}
    return plain


def class_names(names: Sequence[str], count: int, kind: Kind) -> list[str]:
    """Names of classes, or their numbers."""
    return list(names) or (list(PLAIN_LABELS) if kind in LABELS else [str(code) for code in range(count)])
