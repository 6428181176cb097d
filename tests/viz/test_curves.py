"""Learning curves of losses of any sign."""

import math

import pytest

from plstm_graph.viz.curves import draw_learning_curve, loss_scale, new_figure


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([1.0, 0.1], "log"), ([1.0, math.nan], "log"), ([1.0, -0.1], "linear"), ([0.0], "linear"), ([], "log")],
)
def test_losses_that_have_no_logarithm_are_drawn_too(losses, scale):
    assert loss_scale([losses, [2.0] * len(losses)]) == scale
    _, (axes,) = new_figure(1)
    draw_learning_curve(axes, range(len(losses)), {"train": losses}, 0)
    assert axes.get_yscale() == scale
