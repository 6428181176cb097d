"""Pictures of a training run: its learning curve, and predictions against measurements."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from plstm_graph.text import plot_label


def draw_learning_curve(axes: Axes, epochs: Sequence[float], curves: dict[str, Sequence[float]], best: float) -> None:
    """Draw losses by epoch, with a mark at the epoch that was kept.

    Args:
        axes: Where to draw.
        epochs: Number of each epoch.
        curves: Values of each curve by its name; NaN leaves a gap.
        best: Epoch that was kept.
    """
    for name, values in curves.items():
        axes.plot(epochs, values, label=plot_label(name), linewidth=1.5)
    axes.axvline(best, color="0.6", linestyle="--", linewidth=1, label=f"best epoch ({best:g})")
    axes.set(xlabel="epoch", ylabel="loss", yscale=loss_scale(curves.values()), title="learning curve")
    axes.legend(frameon=False)


def loss_scale(curves: Iterable[Sequence[float]]) -> str:
    """Scale of an axis of losses: logarithmic, unless one is not positive, as those of a Gaussian likelihood may be.

    Args:
        curves: Losses, with NaN where there are none.
    """
    return "linear" if any(value <= 0 for curve in curves for value in curve) else "log"


def draw_predictions(axes: Axes, predicted: Tensor, measured: Tensor, names: Sequence[str], title: str) -> None:
    """Draw predicted against measured values with the line on which they agree.

    Args:
        axes: Where to draw.
        predicted: ``[n, T]``.
        measured: ``[n, T]``; NaN where nothing was measured.
        names: Names of the targets.
        title: Title of the picture.
    """
    for column, name in enumerate(names):
        axes.scatter(measured[:, column].numpy(), predicted[:, column].numpy(), s=12, alpha=0.6, label=plot_label(name))
    known = measured.isfinite()
    values = [*measured[known].tolist(), *predicted[known].tolist()]
    if values:
        low, high = min(values), max(values)
        axes.plot([low, high], [low, high], color="0.6", linestyle="--", linewidth=1)
    axes.set(xlabel="measured", ylabel="predicted", title=plot_label(title))
    axes.legend(frameon=False)


def draw_label_scores(axes: Axes, predicted: Tensor, measured: Tensor, title: str) -> None:
    """Draw how predicted probabilities spread over measured labels of 0 and of 1, all targets together.

    Args:
        axes: Where to draw.
        predicted: Probabilities, ``[n, T]``.
        measured: Labels, ``[n, T]``; NaN where nothing was measured.
        title: Title of the picture.
    """
    for label in (0, 1):
        axes.hist(predicted[measured == label].tolist(), bins=20, range=(0, 1), alpha=0.6, label=f"measured {label}")
    axes.set(xlabel="predicted probability", ylabel="labels", title=plot_label(title))
    axes.legend(frameon=False)


def new_figure(panels: int) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side, independent of pyplot and of any display.

    Args:
        panels: How many.
    """
    figure = Figure(figsize=(5 * panels, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])
