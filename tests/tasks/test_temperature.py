"""Temperatures: found again in made logits, bounded, and without a change of any order."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.tasks.calibration import Calibration
from plstm_graph.tasks.spread import assess
from plstm_graph.tasks.sureness import sureness
from plstm_graph.tasks.temperature import HOTTEST, fit_temperatures, with_temperatures


def _made(kind, rows=4000, columns=3, seed=0):
    """Logits, and targets drawn by their probabilities."""
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, columns, generator=draw, dtype=torch.double)
    if kind == "multiclass":
        return logits, logits.softmax(dim=1).multinomial(1, generator=draw).double()
    return logits, (torch.rand(rows, columns, generator=draw, dtype=torch.double) < logits.sigmoid()).double()


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_a_factor_of_logits_is_found(kind, factor):
    logits, targets = _made(kind)
    found = fit_temperatures(logits * factor, targets, kind)
    assert len(found) == (1 if kind == "multiclass" else 3)
    for each in found:  # of 4,000 rows, to about four of its standard errors
        assert abs(math.log(each / factor)) < 0.15


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_likelihood_and_calibration_gain(kind):
    logits, targets = _made(kind)
    outputs = logits[None] * 3
    calibration = Calibration.fit(outputs, targets, kind, None)
    names = ["y"] if kind == "multiclass" else ["a", "b", "c"]
    row = sureness(outputs, targets, kind, None, calibration, names)
    assert row["nll_calibrated"] < row["nll_uncalibrated"]
    assert row["ece_calibrated"] < row["ece_uncalibrated"] / 2


@given(
    logits=st.lists(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=2, max_size=20),
    temperature=st.floats(0.7, HOTTEST),
)
def test_no_order_changes(logits, temperature):
    """Of logits that float64 tells apart after either division; probabilities are theirs in the same order."""
    values = torch.tensor(logits, dtype=torch.double)
    warm = with_temperatures(values, [temperature], "multiclass")
    chosen = values.argmax(dim=1, keepdim=True)
    assert torch.equal(values.gather(1, chosen), values.gather(1, warm.argmax(dim=1, keepdim=True)))
    order = values[:, 0].argsort(stable=True)
    probability = with_temperatures(values, [temperature] * 3, "multilabel").sigmoid()[order, 0]
    # An exponential at the end of a vector is rounded by other code than one within it.
    assert bool((probability.diff() >= -4 * torch.finfo(torch.double).eps * probability[1:]).all())


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([5.0, -5.0] * 20, [1, 0] * 20),  # all are right, and could be surer
        ([5.0, -5.0] * 20, [0, 1] * 20),  # all are wrong
        ([0.0] * 40, [0, 1] * 20),
        ([1e300, -1e300] * 20, [1, 0] * 20),
        ([1e-300, -1e-300] * 20, [1, 0] * 20),
    ],
)
def test_temperatures_are_bounded(logits, labels):
    values = torch.tensor(logits, dtype=torch.double)[:, None]
    (found,) = fit_temperatures(values, torch.tensor(labels)[:, None].double(), "binary")
    assert 1 / HOTTEST <= found <= HOTTEST
    assert float((values / found).abs().max()) <= max(30.0, float(values.abs().max())) * (1 + 1e-9)


def test_too_little_to_learn_from():
    few = fit_temperatures(torch.randn(9, 1), torch.tensor([[0.0], [1], [0], [1], [0], [1], [0], [1], [0]]), "binary")
    one = fit_temperatures(torch.randn(90, 1), torch.ones(90, 1), "binary")
    none = fit_temperatures(torch.randn(90, 2), torch.full((90, 2), math.nan), "multilabel")
    assert few == one == [1.0] and none == [1.0, 1.0]


def test_members_are_averaged_before_their_temperature():
    outputs = torch.randn(3, 50, 2, generator=torch.Generator().manual_seed(0))
    calibration = Calibration([], [2.0, 0.5])
    found = assess(outputs, "multilabel", None, calibration)
    expected = (outputs.mean(dim=0).double() / torch.tensor([2.0, 0.5])).sigmoid()
    torch.testing.assert_close(found.values, expected)
    spread = (outputs.double() / torch.tensor([2.0, 0.5], dtype=torch.double)).sigmoid().std(dim=0)
    torch.testing.assert_close(found.std, spread)
