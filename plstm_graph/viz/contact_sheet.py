"""Many images of a data set on one page."""

import math
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from plstm_graph.text import plot_label


def contact_sheet(images: Sequence[Tensor], titles: Sequence[str], columns: int = 6) -> Figure:
    """Draw images in rows, each under its title.

    Args:
        images: uint8 or float in [0, 1], ``[C, height, width]`` with one or three channels; sizes may differ.
        titles: A line for each.
        columns: Images in a row.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        ValueError: If there is no image, titles are missing, or an image has another shape; it names which.
    """
    if len(images) != len(titles) or not images:
        raise ValueError(f"a contact sheet needs images with a title each, got {len(images)} and {len(titles)}")
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(2 * columns, 2.25 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel in panels:
        panel.set_axis_off()
    for number, (panel, image, title) in enumerate(zip(panels, images, titles, strict=False)):
        if image.dim() != 3 or image.size(0) not in (1, 3):
            raise ValueError(f"image {number} must be [1 or 3, height, width], got {list(image.shape)}")
        highest = 1 if image.is_floating_point() else 255
        pixels = image.permute(1, 2, 0).squeeze(2).numpy(force=True)
        panel.imshow(pixels, cmap="gray", vmin=0, vmax=highest, interpolation="nearest")
        panel.set_title(plot_label(title), fontsize=8)
        # Without a frame, white images would run into the page.
        panel.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="0.8", linewidth=1, transform=panel.transAxes)
    return figure
