"""How right models of arrow pointing are at each distance between arrow and disc."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from plstm_graph.text import plot_label


def draw_accuracy_by_distance(
    right: Mapping[str, Tensor], distances: Tensor, labels: Tensor, classes: Sequence[str], bins: int = 6
) -> Figure:
    """Draw a panel for each class: a line for each model, through its accuracy in bins of equally many images.

    Args:
        right: By name of the model, whether it is right about each image, ``[N]``, or about how many seeds it is, as a
            part of all.
        distances: Distance of each image, in pixels, ``[N]``.
        labels: Class of each image, ``[N]``.
        classes: Names of the classes.
        bins: Number of bins.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        ValueError: If a class has fewer images than there are bins, or a model another number of answers.
    """
    for name, answers in right.items():
        if answers.shape != distances.shape:
            raise ValueError(f"{name} has {answers.numel()} answers for {distances.numel()} images")
    figure = Figure(figsize=(4.2 * len(classes) + 1.6, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(classes), sharex=True, sharey=True, squeeze=False)[0]
    for label, (panel, title) in enumerate(zip(panels, classes, strict=True)):
        mine = (labels == label).nonzero().flatten()
        if mine.numel() < bins:
            raise ValueError(f"{mine.numel()} images of {title!r} are too few for {bins} bins")
        parts = mine[distances[mine].argsort()].tensor_split(bins)
        middles = [distances[part].median().item() for part in parts]
        for name, answers in right.items():
            accuracies = [answers[part].to(torch.float64).mean().item() for part in parts]
            panel.plot(middles, accuracies, marker="o", markersize=3, linewidth=1.5, label=plot_label(name))
        panel.set(title=plot_label(title), xlabel="distance from arrow to disc (pixels)", ylim=(0, 1.02))
    panels[0].set_ylabel("accuracy")
    # Beside the panels: with many models no place in them is free.
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    return figure
