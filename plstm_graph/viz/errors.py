"""Pictures of what predictions miss: residuals, confused classes, and the metric of each target by epoch."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from torch import Tensor

from plstm_graph.text import plot_label

_MOST_NUMBERS = 12  # classes up to which counts are written into the matrix
_MOST_NAMES = 30  # up to which classes are named


def draw_residuals(axes: Axes, predicted: Tensor, measured: Tensor, names: Sequence[str], title: str) -> None:
    """Draw what measured values are above their predictions, against these: a good model leaves no pattern.

    Args:
        axes: Where to draw.
        predicted: ``[n, T]``.
        measured: ``[n, T]``; NaN where nothing was measured.
        names: Names of the targets.
        title: Title of the picture.
    """
    for column, name in enumerate(names):
        values = predicted[:, column]
        axes.scatter(values.numpy(), (measured[:, column] - values).numpy(), s=12, alpha=0.6, label=plot_label(name))
    axes.axhline(0, color="0.6", linestyle="--", linewidth=1)
    axes.set(xlabel="predicted", ylabel="measured - predicted", title=plot_label(title))
    axes.legend(frameon=False)


def draw_confusion(axes: Axes, counts: Tensor, names: Sequence[str], title: str) -> None:
    """Draw which classes are taken for which: colours are parts of each measured class, numbers are rows.

    Args:
        axes: Where to draw.
        counts: Measured classes in rows, predicted ones in columns, ``[C, C]``.
        names: Names of the classes.
        title: Title of the picture.
    """
    parts = counts.double() / counts.sum(dim=1, keepdim=True).clamp(min=1)
    image = axes.imshow(parts.numpy(), cmap="Blues", vmin=0, vmax=1)
    if axes.figure is not None:
        axes.figure.colorbar(image, ax=axes, shrink=0.8, label="part of the measured class")
    if len(names) <= _MOST_NUMBERS:
        for row in range(len(names)):
            for column in range(len(names)):
                colour = "white" if parts[row, column] > 0.5 else "black"
                axes.text(column, row, f"{int(counts[row, column])}", ha="center", va="center", color=colour)
    if len(names) <= _MOST_NAMES:
        labels = [plot_label(name if len(name) <= 14 else f"{name[:12]}...") for name in names]
        axes.set_xticks(
            range(len(names)), labels, rotation=45 if len(names) > 2 else 0, ha="right" if len(names) > 2 else "center"
        )
        axes.set_yticks(range(len(names)), labels)
    axes.set(xlabel="predicted", ylabel="measured", title=plot_label(title))


def draw_target_curves(
    axes: Axes, epochs: Sequence[float], curves: Mapping[str, Sequence[float]], best: float, label: str
) -> None:
    """Draw a validation metric of each target by epoch, with a mark at the epoch that was kept.

    Args:
        axes: Where to draw.
        epochs: Number of each epoch.
        curves: Values by the names of targets; NaN leaves a gap.
        best: Epoch that was kept.
        label: Of the metric.
    """
    for name, values in curves.items():
        axes.plot(epochs, values, label=plot_label(name), linewidth=1.2)
    axes.axvline(best, color="0.6", linestyle="--", linewidth=1)
    axes.set(xlabel="epoch", ylabel=plot_label(label), title="validation, each target")
    axes.legend(frameon=False, fontsize="small" if len(curves) > 6 else None, ncols=2 if len(curves) > 6 else 1)
