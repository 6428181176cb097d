"""How sure predictions are: members' spread in the unit of the target, intervals brought back from the scale."""

import math

import pytest
import torch

from plstm_graph.tasks.calibration import Calibration
from plstm_graph.tasks.conformal import Interval
from plstm_graph.tasks.scale import TargetScale
from plstm_graph.tasks.spread import assess
from plstm_graph.tasks.sureness import sureness

_DRAW = torch.Generator().manual_seed(0)
_STANDARD = TargetScale("standard", torch.tensor([5.0, -1.0]), torch.tensor([2.0, 0.5]))
_LOG = TargetScale("log", torch.tensor([3.0]), torch.tensor([1.5]))


def _outputs(*shape):
    return torch.randn(shape, generator=_DRAW)


def test_the_spread_of_members_has_the_unit_of_the_target():
    outputs = _outputs(4, 7, 2)
    found = assess(outputs, "regression", _STANDARD)
    each = _STANDARD.restore(outputs)
    torch.testing.assert_close(found.values, _STANDARD.restore(outputs.mean(dim=0)))
    torch.testing.assert_close(found.std, each.std(dim=0))
    assert found.lower is None and found.upper is None
    assert assess(outputs[:1], "regression", _STANDARD).std is None


def test_intervals_hold_as_many_values_in_the_unit_as_on_the_scale():
    outputs, measured = _outputs(1, 200, 1), _LOG.restore(_outputs(200, 1))
    calibration = Calibration.fit(outputs, measured, "regression", _LOG)
    found = assess(outputs, "regression", _LOG, calibration, coverage=0.75)
    inside = ((found.lower <= measured) & (measured <= found.upper)).sum()
    assert int(inside) == math.ceil(201 * 0.75)  # the score of that rank is one of theirs
    assert bool((found.lower < found.values).all()) and bool((found.values < found.upper).all())
    # On a logarithmic scale they are wider above than below.
    assert bool((found.upper - found.values > found.values - found.lower).all())


def test_a_target_without_enough_rows_has_no_interval_and_the_others_have():
    measured = _STANDARD.restore(_outputs(20, 2))
    measured[3:, 1] = math.nan
    outputs = _outputs(2, 20, 2)
    calibration = Calibration.fit(outputs, measured, "regression", _STANDARD)
    found = assess(outputs, "regression", _STANDARD, calibration)
    assert found.lower[:, 0].isfinite().all() and found.lower[:, 1].isnan().all()
    (text,) = calibration.lacking(0.9, ["a", "b"])
    assert text == "no interval for b: the validation part has 3 measured values of it, and a coverage of 0.9 needs 9"
    row = sureness(outputs, measured, "regression", _STANDARD, calibration, ["a", "b"])
    assert set(row) == {"coverage90", "coverage90 of a", "width90 of a"} and row["coverage90"] == row["coverage90 of a"]
    none = Calibration.fit(outputs, measured * math.nan, "regression", _STANDARD)
    assert assess(outputs, "regression", _STANDARD, none).lower is None
    assert sureness(outputs, measured, "regression", _STANDARD, none, ["a", "b"]) == {}


@pytest.mark.parametrize("kind", ["binary", "multilabel", "multiclass"])
def test_the_spread_of_members_is_that_of_probabilities(kind):
    outputs = _outputs(3, 6, {"binary": 1, "multilabel": 4, "multiclass": 4}[kind])
    found = assess(outputs, kind, None)
    if kind == "multiclass":
        each = outputs.double().softmax(dim=2)
        best = found.values.argmax(dim=1)
        expected = torch.stack([each[:, row, best[row]] for row in range(6)], dim=1).std(dim=0)[:, None]
    else:
        expected = outputs.double().sigmoid().std(dim=0)
    torch.testing.assert_close(found.std, expected)


def test_calibrations_come_back_from_plain_values():
    made = Calibration([Interval(12, [0.5] * 12, 0.1), Interval(0, [])], [])
    assert Calibration.of_plain(made.to_plain(), "regression", 2) == made
    warm = Calibration([], [1.5, 0.2])
    assert Calibration.of_plain(warm.to_plain(), "multilabel", 2) == warm and warm.lacking(0.9, ["a", "b"]) == []


@pytest.mark.parametrize(
    ("intervals", "temperatures", "kind", "message"),
    [
        ([], [], "regression", "it has 0 intervals and 0 temperatures for 1 targets of regression"),
        ([Interval(1, [0.5])], [1.0], "regression", "it has 1 intervals and 1 temperatures"),
        ([Interval(2, [0.5])], [], "regression", "the scores of target 0 are no sorted errors of 2 rows"),
        ([Interval(2, [0.5, 0.4])], [], "regression", "no sorted errors"),
        ([Interval(2, [-0.5, 0.4])], [], "regression", "no sorted errors"),
        ([Interval(2, [0.5, math.inf])], [], "regression", "no sorted errors"),
        ([Interval(2, [math.nan, 1.0])], [], "regression", "no sorted errors"),
        ([Interval(2, [0.5, 0.6], 0.0)], [], "regression", "no sorted errors"),
        ([Interval(-1, [])], [], "regression", "no sorted errors"),
        ([Interval(True, [0.5])], [], "regression", "rows is True, which has another type"),
        ([], [0.0], "binary", r"its temperatures are \[0.0\]"),
        ([], [math.nan], "multiclass", r"its temperatures are \[nan\]"),
        ([], [1], "multiclass", None),
    ],
)
def test_calibrations_that_are_none(intervals, temperatures, kind, message):
    plain = Calibration(intervals, temperatures).to_plain()
    if message is None:
        assert Calibration.of_plain(plain, kind, 1).temperatures == [1.0]
        return
    with pytest.raises(ValueError, match=message):
        Calibration.of_plain(plain, kind, 1)


@pytest.mark.parametrize("plain", [[], 3, {}, {"intervals": []}, {"intervals": {}, "temperatures": []}, "x"])
def test_what_is_no_calibration_at_all(plain):
    with pytest.raises(ValueError):
        Calibration.of_plain(plain, "regression", 1)
