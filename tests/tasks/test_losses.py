"""Losses with weights and bounds, and without them what they were."""

import pytest
import torch
from torch.nn import functional as F

from plstm_graph.tasks.losses import Weighing, loss_sum
from plstm_graph.tasks.scale import TargetScale

nan = float("nan")
OBJECTIVES = ["mse", "l1", "binary", "cross_entropy", "sequence"]


def made(objective, members=()):
    """Outputs and targets, some of them unknown."""
    generator = torch.Generator().manual_seed(3)
    if objective == "cross_entropy":
        return torch.randn(*members, 5, 3, generator=generator), torch.tensor([[0.0], [nan], [2.0], [1.0], [2.0]])
    target = torch.tensor([[0.0, 1.0], [nan, 0.0], [1.0, 1.0], [1.0, nan], [0.0, 1.0]])
    shape = (5, 2, 3) if objective == "sequence" else (5, 2)
    return torch.randn(*members, *shape, generator=generator), target


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("members", [(), (2,)])
def test_weights_are_like_rows_that_stand_there_as_often(objective, members):
    output, target = made(objective, members)
    times = torch.tensor([2, 1, 0, 3, 1])
    rows = torch.repeat_interleave(torch.arange(5), times)
    dim = len(members)
    total, count = loss_sum(output, target, objective, weight=times.view(-1, 1).expand(target.shape))
    expected, number = loss_sum(output.index_select(dim, rows), target[rows], objective)
    torch.testing.assert_close(total, expected)
    assert count == number


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_weights_of_one_change_nothing_but_rounding(objective):
    output, target = made(objective)
    total, count = loss_sum(output, target, objective, weight=torch.ones_like(target))
    expected, number = loss_sum(output, target, objective)
    torch.testing.assert_close(total, expected)
    assert count == number and not number.is_floating_point()


@pytest.mark.parametrize("objective", ["mse", "l1"])
@pytest.mark.parametrize("kind", ["raw", "standard", "log1p"])
def test_a_bound_that_is_kept_has_neither_loss_nor_gradient(objective, kind):
    target = torch.tensor([[5.0], [5.0], [5.0], [5.0], [5.0], [nan]])
    scale = TargetScale.fit(kind, torch.tensor([[1.0], [5.0], [9.0]]))
    bound = scale.apply(torch.tensor([[5.0]])).item()
    output = (bound + torch.tensor([[1.0], [-1.0], [1.0], [-1.0], [1.0], [1.0]])).requires_grad_()
    censor = torch.tensor([[1], [1], [-1], [-1], [0], [1]], dtype=torch.int8)
    total, count = loss_sum(output, target, objective, scale, censor=censor)
    total.backward()
    assert count == 5
    assert total.item() == pytest.approx(3, rel=1e-5)  # below "> 5", above "< 5", and the exact one
    assert (output.grad.view(-1) != 0).tolist() == [False, True, True, False, True, False]


def test_bounds_go_with_weights():
    output, target = torch.tensor([[1.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    censor, weight = torch.tensor([[1], [-1]], dtype=torch.int8), torch.tensor([[0.5], [2.0]])
    total, count = loss_sum(output, target, "mse", weight=weight, censor=censor)
    assert (total.item(), count.item()) == (0.5, 2.5)


def test_weights_of_classes_are_those_of_torch():
    output, target = made("cross_entropy")
    table = torch.tensor([0.5, 1.0, 3.0])
    weight = Weighing(classes=table.view(1, 3)).of(target, None)
    total, count = loss_sum(output, target, "cross_entropy", weight=weight)
    known = target.isfinite().view(-1)
    expected = F.cross_entropy(output[known], target[known].view(-1).long(), weight=table)
    torch.testing.assert_close(total / count, expected)


def test_weights_of_rows_targets_and_classes_multiply():
    target = torch.tensor([[0.0, 1.0], [1.0, nan]])
    weighing = Weighing(torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 10.0], [1.0, 4.0]]), unit=2.0)
    found = weighing.of(target, torch.tensor([[2.0, 2.0], [6.0, 6.0]]))
    assert found[target.isfinite()].tolist() == [1.0, 8.0, 30.0]
