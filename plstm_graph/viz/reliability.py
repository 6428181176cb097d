"""Pictures of how sure predictions are, and how sure they may be: coverage, deviations, probabilities, similarity."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from plstm_graph.text import plot_label

_BINS = 10
#: Ends of the classes of similarity.
SIMILARITIES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def draw_coverage(
    axes: Axes, asked: Sequence[float], found: Mapping[str, Sequence[float]], rows: tuple[int, int]
) -> None:
    """Draw which part of the measured values lies in intervals, against the part that was asked for.

    Args:
        axes: Where to draw.
        asked: Coverages.
        found: Observed ones, by the name of the target; NaN where there are no intervals.
        rows: Number of measured values of the validation part, which made the intervals, and of the test. The chance of
            both is drawn as a band of two standard deviations.
    """
    part = np.linspace(0, 1, 101)
    spread = 2 * np.sqrt(part * (1 - part) * sum(1 / max(number, 1) for number in rows))
    label = f"chance of {rows[0]:,} values of validation, {rows[1]:,} of test"
    axes.fill_between(part, part - spread, part + spread, color="0.9", label=label)
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    for name, values in found.items():
        axes.plot(asked, values, marker="o", markersize=3, label=plot_label(name))
    title = "test: how many values lie in their intervals"
    axes.set(xlabel="coverage asked for", ylabel="coverage found", title=title, xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False)


def draw_error_by_std(axes: Axes, std: np.ndarray, error: np.ndarray, unit: str) -> None:
    """Draw errors against predicted standard deviations: each of them, and roots of mean squares in ten equal groups.

    Args:
        axes: Where to draw.
        std: Standard deviation of each prediction, ``[n]``.
        error: Its error, ``[n]``.
        unit: Of both.
    """
    axes.scatter(std, np.abs(error), s=6, alpha=0.25, color="0.5", label="each prediction")
    groups = [group for group in np.array_split(np.argsort(std), min(_BINS, len(std))) if len(group)]
    means = [float(std[group].mean()) for group in groups]
    roots = [float(np.sqrt(np.square(error[group]).mean())) for group in groups]
    axes.plot(means, roots, marker="o", color="C1", label=f"root mean square of {len(groups)} groups")
    # A few predictions far away would leave the others in a corner.
    right, top = (float(np.quantile(np.abs(values), 0.99)) * 1.05 if len(values) else 1.0 for values in (std, error))
    axes.plot([0, right], [0, right], color="0.6", linestyle="--", linewidth=1, label="equal")
    axes.set(xlabel=plot_label(f"predicted standard deviation ({unit})"), ylabel=plot_label(f"error ({unit})"))
    axes.set(title="test: error by predicted deviation", xlim=(0, right or 1.0), ylim=(0, max(top, right) or 1.0))
    axes.legend(frameon=False)


def draw_probabilities(axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Draw how often labels are 1 against their predicted probability, and how many predictions there are of each.

    Args:
        axes: Where to draw.
        curves: Probabilities and labels, ``[n]`` each, by a name; the last one is counted.
    """
    counts = axes.twinx()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    edges = np.linspace(0, 1, _BINS + 1)
    for name, (probability, label) in curves.items():
        place = np.minimum((probability * _BINS).astype(int), _BINS - 1)
        there = [number for number in range(_BINS) if (place == number).any()]
        means = [float(probability[place == number].mean()) for number in there]
        axes.plot(means, [float(label[place == number].mean()) for number in there], marker="o", label=plot_label(name))
    if curves:
        probability = list(curves.values())[-1][0]
        counts.hist(probability, bins=edges.tolist(), color="0.85", zorder=0)
    counts.set(ylabel="predictions (bars)")
    axes.set_zorder(counts.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.set(xlabel="predicted probability", ylabel="part that was measured so", title="test: reliability")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, loc="upper left")


def draw_error_by_similarity(
    axes: Axes, similarity: np.ndarray, error: np.ndarray, name: str, threshold: float | None
) -> None:
    """Draw the mean error of molecules by their similarity to the nearest training molecule, with how many there are.

    Args:
        axes: Where to draw.
        similarity: ``[n]``
        error: ``[n]``; the mean over each class is drawn.
        name: What the error is.
        threshold: The similarity below which predictions carry a warning.
    """
    for low, high, mean, count in errors_by_similarity(similarity, error):
        axes.bar((low + high) / 2, mean, width=0.9 * (high - low), color="C0")
        axes.annotate(f"{count}", ((low + high) / 2, mean), ha="center", va="bottom", fontsize=8)
    if threshold is not None:
        axes.axvline(threshold, color="C3", linestyle="--", linewidth=1, label=f"warning below {threshold:.2f}")
        axes.legend(frameon=False)
    axes.set(xlabel="similarity to the nearest training molecule (Tanimoto, ECFP4)", ylabel=plot_label(name))
    axes.set(title="test: error by similarity (numbers: molecules)", xlim=(0, 1))


def errors_by_similarity(similarity: np.ndarray, error: np.ndarray) -> list[tuple[float, float, float, int]]:
    """Begin and end of each class of similarity, its mean error, and its number of molecules; none without any.

    Args:
        similarity: ``[n]``
        error: ``[n]``; NaN for what was not measured.
    """
    rows = []
    for low, high in pairwise(SIMILARITIES):
        chosen = (low <= similarity) & ((similarity < high) | (high == SIMILARITIES[-1])) & np.isfinite(error)
        if chosen.any():
            rows.append((low, high, float(error[chosen].mean()), int(chosen.sum())))
    return [row for row in rows if not math.isnan(row[2])]
