"""Numbers with a variance: the likelihood, its bounds, members, and what `predict` makes of it."""

import math

import pytest
import torch
from torch.distributions import Normal

from plstm_graph.tasks.calibration import Calibration
from plstm_graph.tasks.gaussian import BETA, HIGHEST, LOWEST, gaussian_losses, mean_and_log_variance
from plstm_graph.tasks.losses import loss_sum
from plstm_graph.tasks.molecules import molecules
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.spread import assess
from tests.made_sets import made_table

_DRAW = torch.Generator().manual_seed(0)


def _made(*shape):
    return torch.randn(shape, generator=_DRAW, dtype=torch.double)


@pytest.mark.parametrize("members", [(), (3,)])
def test_the_loss_is_the_likelihood_of_a_normal_distribution(members):
    output, target = 2 * _made(*members, 8, 4), _made(8, 2)
    mean, log_variance = mean_and_log_variance(output)
    std = (log_variance / 2).exp()
    expected = -Normal(mean, std).log_prob(target.expand(mean.shape)) - math.log(2 * math.pi) / 2
    torch.testing.assert_close(gaussian_losses(output, target), expected * std ** (2 * BETA))


def test_the_loss_of_a_bound_is_the_probability_of_what_lies_beyond():
    output, target = 2 * _made(6, 2), _made(6, 1)
    side = torch.tensor([1, -1, 1, -1, 1, -1])[:, None]
    mean, log_variance = mean_and_log_variance(output)
    std = (log_variance / 2).exp()
    below = Normal(mean, std).cdf(target)
    expected = -torch.where(side > 0, 1 - below, below).log()
    torch.testing.assert_close(gaussian_losses(output, target, side), expected * std ** (2 * BETA))
    assert torch.equal(gaussian_losses(output, target, 0 * side), gaussian_losses(output, target))


@pytest.mark.parametrize("free", [-1e30, -100.0, -3.0, 0.0, 3.0, 100.0, 1e30])
def test_variances_are_bounded_and_so_are_gradients(free):
    output = torch.tensor([[0.3, free]], dtype=torch.double, requires_grad=True)
    _, log_variance = mean_and_log_variance(output)
    log_variance = log_variance.detach()
    # One bound leaves a little of the other.
    overlap = math.log1p(math.exp(LOWEST - HIGHEST)) + 1e-12
    assert LOWEST - overlap <= float(log_variance) <= HIGHEST + overlap
    if abs(free) <= 3:
        assert float(log_variance) == pytest.approx(free, abs=0.35)  # hardly changed within the bounds
    for target, side in ((0.3, 0), (5.0, 0), (1e4, 1), (1e4, -1)):
        loss = gaussian_losses(output, torch.tensor([[target]]).double(), torch.tensor([[side]]))
        (gradient,) = torch.autograd.grad(loss.sum(), output)
        assert bool(loss.isfinite().all()) and bool(gradient.isfinite().all())


def test_unknown_targets_and_weights():
    output, target = _made(2, 5, 4), _made(5, 2)
    target[0, 0] = target[3, 1] = math.nan
    known = target.isfinite()
    each = gaussian_losses(output, target.nan_to_num(0))
    loss, count = loss_sum(output, target, "gaussian")
    torch.testing.assert_close(loss, each[:, known].sum())
    assert float(count) == 2 * 8
    weight = _made(5, 2).abs()
    loss, count = loss_sum(output, target, "gaussian", weight=weight)
    torch.testing.assert_close(loss, (each * weight)[:, known].sum())
    assert float(count) == pytest.approx(2 * float(weight[known].sum()))
    nothing, none = loss_sum(output, target * math.nan, "gaussian")
    assert float(nothing) == 0 and float(none) == 0


@pytest.mark.parametrize("kind", ["standard", "log"])
def test_members_mix_by_the_law_of_total_variance(kind):
    outputs, scale = _made(3, 7, 4), TargetScale(kind, torch.tensor([5.0, 1.0]), torch.tensor([2.0, 0.5]))
    found = assess(outputs, "regression", scale, gaussian=True)
    means, log_variances = mean_and_log_variance(outputs)
    torch.testing.assert_close(found.values, scale.restore(means.mean(dim=0)))
    std = (log_variances.exp().mean(dim=0) + means.var(dim=0)).sqrt()
    ends = [scale.restore(means.mean(dim=0) + side * std) for side in (-1, 1)]
    torch.testing.assert_close(found.std, (ends[1] - ends[0]) / 2)
    if kind == "standard":
        torch.testing.assert_close(found.std, std * scale.std)
    alone = assess(outputs[:1], "regression", scale, gaussian=True)
    assert bool((alone.std > 0).all())
    calibration = Calibration.fit(outputs, scale.restore(_made(7, 2)), "regression", scale, gaussian=True)
    assert [interval.rows for interval in calibration.intervals] == [7, 7]
    both = assess(outputs, "regression", scale, calibration, 0.5, gaussian=True)
    assert both.lower.shape == both.values.shape == (7, 2)


def _task(folder, **options):
    section = {"root": str(folder / "root"), "path": str(made_table(folder / "t.csv")), "split": "random"}
    return molecules(**section, target_columns=["activity"], **options)


def test_models_of_a_task_have_two_columns_for_each_target(tmp_path):
    task = _task(tmp_path, likelihood="gaussian")
    spec = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"hidden_channels": 8, "num_layers": 1}}
    model = task.make_model(spec)
    task.check(model)
    assert task.kind == "regression" and task.recipe(model, spec, 1)["likelihood"] == "gaussian"
    assert "likelihood" not in _task(tmp_path).recipe(model, spec, 1)
    output = _made(9, 2)
    torch.testing.assert_close(task.restored(output), task.target.restore(output[:, :1]))
    with pytest.raises(ValueError, match=r"target_scale must be standard, log, ln or log10, got raw"):
        task.scaled("raw").check(model)
    with pytest.raises(ValueError, match=r"the model gives \[2, 1\] where the targets are \[2, 2\]"):
        task.check(_task(tmp_path).make_model(spec))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihood": "gauss"}, "likelihood must be 'gaussian', or null for squared errors, got 'gauss'"),
        ({"likelihood": "gaussian", "kind": "binary"}, "is of numbers .kind: regression., and kind is binary"),
    ],
)
def test_likelihoods_that_are_none(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        _task(tmp_path, **options)
