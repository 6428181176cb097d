"""Scales of targets: what is learnt, what comes back, what is refused."""

import re

import pytest
import torch
from torch_geometric.data import Data

from plstm_graph.tasks.graph_task import GraphTask, regression
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.testing import assert_close

KINDS = ["raw", "standard", "log", "log1p"]
TARGETS = [
    [0.0, 1.0, 2.0, 5.0],
    [1e-3, 1.0, 1e3, 1e6],
    [-0.5, float("nan"), 3.0, 3.0],
    [7.0, 7.0, 7.0, 7.0],  # without any spread
]


def graphs(*parts):
    return [Data(y=torch.tensor(part).view(-1, 1)) for part in parts]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", TARGETS)
def test_outputs_come_back_in_the_unit_of_the_targets(kind, values):
    scaled, target = TargetScale.of_graphs(kind, graphs(values[:3], values[3:])), torch.tensor(values).view(-1, 1)
    learnt = scaled.apply(target)
    known = target.isfinite()
    assert torch.equal(learnt.isfinite(), known)
    # A few times the rounding of float64, relative to the size of the targets; the exponential multiplies that of
    # logarithms.
    assert_close(scaled.restore(learnt)[known], target[known].double(), 1e-13, "restored")
    if kind in ("standard", "log") and len(set(values)) > 1:
        assert_close(learnt[known].mean(), torch.zeros((), dtype=torch.double), 1e-12, "mean")
        assert_close(learnt[known].std(correction=0), torch.ones((), dtype=torch.double), 1e-12, "deviation")
    if kind == "raw":
        assert learnt is target
    if kind == "log1p":
        assert_close(learnt[known], target[known].double().log1p(), 1e-15, "logarithm")


def test_the_logarithm_is_of_one_more():
    scaled = TargetScale.of_graphs("log", graphs([0.0, 9.0, 99.0]))
    learnt = scaled.apply(torch.tensor([[0.0], [9.0], [99.0]]))
    assert_close(learnt.diff(dim=0)[0], learnt.diff(dim=0)[1], 1e-13, "decades")


@pytest.mark.parametrize("kind", ["log", "log1p"])
@pytest.mark.parametrize("output", [1e3, 1e30, float("inf")])
def test_outputs_far_out_stay_numbers(output, kind):
    """A model that has diverged has a large error, not one that is not a number."""
    scaled = TargetScale.of_graphs(kind, graphs([0.0, 9.0, 99.0]))
    restored = scaled.restore(torch.tensor([[output]]))
    assert restored.isfinite().all() and restored.square().isfinite().all() and restored > 1e100


@pytest.mark.parametrize("kind", ["log", "log1p"])
@pytest.mark.parametrize("worst", [-1.0, -1.5, -1e9])
def test_what_has_no_logarithm_is_named(worst, kind):
    with pytest.raises(ValueError, match=re.escape(f"graph 1 of the training part has {worst:g}; choose")):
        TargetScale.of_graphs(kind, graphs([0.0, float("nan")], [2.0, worst]))


@pytest.mark.parametrize("kind", ["Log", "", "standardise"])
def test_an_unknown_scale_is_named(kind):
    with pytest.raises(
        ValueError, match=f"target_scale must be 'raw', 'standard', 'log', 'log1p', 'ln' or 'log10', got '{kind}'"
    ):
        TargetScale.of_graphs(kind, graphs([1.0]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("relative", [True, False])
def test_metrics_do_not_depend_on_the_scale(kind, relative):
    """The same predictions, on whichever scale they were made; errors in the unit, or in deviations of training."""
    train, test = graphs([1.0, 3.0, 5.0, 7.0]), torch.tensor([[2.0], [float("nan")], [6.0]])
    task = regression("t", {"train": train}, "node", 1, None, "mse", relative=relative).scaled(kind)
    predicted = torch.tensor([[3.0], [0.0], [5.0]])
    row = task.score(task.target.apply(predicted), y=test)
    deviation = 5**0.5 if relative else 1.0
    for name, expected in {"rmse": 1 / deviation, "mae": 1 / deviation, "pearson": 1.0}.items():
        assert row[name] == pytest.approx(expected, rel=1e-12)
    assert task.loss_of(task.target.apply(test), test)[0] == 0  # the same numbers
    assert task.loss_of(task.target.apply(predicted).float(), test)[0] > 0


def test_classes_have_no_scale():
    task = GraphTask(
        name="sentiment",
        parts={"train": []},
        target_level="node",
        out_channels=5,
        in_channels=1,
        edge_dim=None,
        objective="cross_entropy",
        metrics=dict,
        monitor={},
    )
    with pytest.raises(ValueError, match="the targets of sentiment are classes"):
        task.scaled("log")
