"""Accuracy against the size of the image, for several models."""

from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plstm_graph.text import plot_label


def draw_accuracy_by_size(
    accuracies: Mapping[str, Mapping[int, Sequence[float]]], trained_at: int, chance: float = 0.5
) -> Figure:
    """Draw a line for each model through its means over seeds, in a band from the worst seed to the best.

    Args:
        accuracies: By name of the model and side of the images in pixels, the accuracies of all seeds.
        trained_at: Side of the training images, which is marked.
        chance: Accuracy of a guess, which is marked.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not accuracies or not all(accuracies.values()):
        raise ValueError("there is no accuracy to draw")
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, by_size in accuracies.items():
        sizes = sorted(by_size)
        means = [sum(by_size[size]) / len(by_size[size]) for size in sizes]
        (line,) = axes.plot(sizes, means, marker="o", markersize=3, linewidth=1.5, label=plot_label(name))
        low, high = ([bound(by_size[size]) for size in sizes] for bound in (min, max))
        axes.fill_between(sizes, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axvline(trained_at, color="0.6", linestyle="--", linewidth=1)
    axes.axhline(chance, color="0.6", linestyle=":", linewidth=1)
    axes.annotate(
        "trained at this size", (trained_at, axes.get_ylim()[0]), (3, 3), textcoords="offset points", fontsize=8
    )
    axes.set(xlabel="side of the image (pixels)", ylabel="accuracy")
    axes.legend(frameon=False, fontsize=8)
    return figure
