"""Which pixels a classifier of images looks at."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor, nn

from plstm_graph.text import plot_label


def saliency(model: nn.Module, images: Tensor, labels: Tensor | None = None, blur: int = 5) -> Tensor:
    r"""How much each pixel moves the margin between a label and the best other: the size of its gradient.

    Args:
        model: A classifier of images; it is run in evaluation mode.
        images: ``[B, C, height, width]``, float.
        labels: Labels to explain, ``[B]``. (default: those that the model predicts)
        blur: Side of the square over which gradients are averaged, in pixels.

    Returns:
        ``[B, height, width]``, the largest value of each image 1.

    Raises:
        ValueError: If ``blur`` is not odd and positive.
    """
    if blur < 1 or blur % 2 == 0:
        raise ValueError(f"blur must be odd and positive, got {blur}")
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            pixels = images.detach().clone().requires_grad_()
            logits = model(pixels)
            chosen = (logits.argmax(dim=-1) if labels is None else labels).unsqueeze(-1)
            others = logits.scatter(-1, chosen, -torch.inf).amax(dim=-1)
            margin = logits.gather(-1, chosen).squeeze(-1) - others
            (gradient,) = torch.autograd.grad(margin.sum(), pixels)
    finally:
        model.train(was_training)
    size = F.avg_pool2d(gradient.abs().sum(dim=1, keepdim=True), blur, 1, blur // 2, count_include_pad=False)
    return (size / size.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-30)).squeeze(1)


def draw_saliency(
    images: Sequence[Tensor],
    maps: Sequence[Tensor],
    titles: Sequence[str],
    rays: Sequence[tuple[tuple[float, float], tuple[float, float]]] | None = None,
) -> Figure:
    """Draw images side by side, tinted by saliency.

    Args:
        images: ``[C, height, width]`` each, float in [0, 1] or uint8.
        maps: As from :func:`saliency`, ``[height, width]`` each.
        titles: A line for each.
        rays: Start and end ``(x, y)`` of a dashed line in each, such as an arrow's line of sight.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.
    """
    figure = Figure(figsize=(3 * len(images), 3.3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(images), squeeze=False)[0]
    for number, (panel, image, heat, title) in enumerate(zip(panels, images, maps, titles, strict=True)):
        panel.set_axis_off()
        panel.set_title(plot_label(title), fontsize=9)
        grey = image.float().mean(dim=0) / (1 if image.is_floating_point() else 255)
        panel.imshow(grey.numpy(force=True), cmap="gray", vmin=0, vmax=1, alpha=0.5)
        panel.imshow(heat.numpy(force=True), cmap="inferno_r", vmin=0, vmax=1, alpha=0.6)
        if rays is not None:
            (x0, y0), (x1, y1) = rays[number]
            panel.plot([x0, x1], [y0, y1], color="tab:blue", linestyle="--", linewidth=1)
            panel.set(xlim=(-0.5, heat.size(1) - 0.5), ylim=(heat.size(0) - 0.5, -0.5))
    return figure
