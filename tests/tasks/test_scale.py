"""Nothing depends on the unit of a target: statistics, metrics, baselines, predictions."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import r2_score
from torch_geometric.data import Batch

from plstm_graph.datasets.moments import Moments
from plstm_graph.tasks.baseline_fits import baseline_predictions
from plstm_graph.tasks.batches import attach_line_graph
from plstm_graph.tasks.forest import Forest
from plstm_graph.tasks.metrics import evaluate, mae, pearson, r2, rmse
from plstm_graph.tasks.scale import TargetScale
from tests.tasks.made_task import made_task, predictor_of
from tests.train.tiny_model import TinyModel

# y -> a y + b, and what is left of a value's precision in float64 relative to the spread of a y.
_UNITS = [
    *((a, 0.0, 1e-14) for a in (1e-300, 1e-150, 1e-30, 1e-20, 1e-8, 1e-3, -1.0, 1e3, -1e8, 1e20, 1e30, 1e150, 1e300)),
    *((a, 1e8, 1e8 * 2.3e-16 / abs(a)) for a in (1e-3, 1.0, -1e3, 1e8)),
    (1e20, 1e8, 1e-14),
    (1.0, -1e12, 1e12 * 2.3e-16),
]
_IDS = [f"{a:g}y{b:+g}" for a, b, _ in _UNITS]


def _values():
    generator = torch.Generator().manual_seed(1)
    target = torch.randn(60, dtype=torch.double, generator=generator)
    return target, target + 0.3 * torch.randn(60, dtype=torch.double, generator=generator)


@pytest.mark.parametrize(("a", "b", "precision"), _UNITS, ids=_IDS)
def test_metrics_do_not_depend_on_the_unit(a, b, precision):
    target, predicted = _values()
    other_target, other = a * target + b, a * predicted + b
    # Each of 60 values is off by `precision`; the metrics are smooth in them.
    tolerance = 100 * max(precision, 1e-15)
    assert r2(other, other_target) == pytest.approx(r2(predicted, target), abs=tolerance)
    assert pearson(other, other_target) == pytest.approx(pearson(predicted, target), abs=tolerance)
    assert rmse(other, other_target) == pytest.approx(abs(a) * rmse(predicted, target), rel=tolerance)
    assert mae(other, other_target) == pytest.approx(abs(a) * mae(predicted, target), rel=tolerance)
    found = evaluate(other.unsqueeze(1), other_target.unsqueeze(1), "regression")
    assert found == {
        "rmse": rmse(other, other_target),
        "mae": mae(other, other_target),
        "r2": r2(other, other_target),
    }  # the same functions of the same numbers


def test_metrics_are_those_of_well_known_libraries():
    target, predicted = _values()
    assert r2(predicted, target) == pytest.approx(r2_score(target, predicted), rel=1e-12)
    assert pearson(predicted, target) == pytest.approx(pearsonr(predicted, target).statistic, rel=1e-12)
    assert r2(predicted.float(), target.float()) == pytest.approx(r2(predicted, target), rel=1e-6)  # float32 inputs


@pytest.mark.parametrize("scale", [1e-3, 1e-30, 1.0, 1e30])
def test_models_are_told_apart_in_any_unit(scale):
    target, predicted = _values()
    better = r2(scale * (target + 0.1 * (predicted - target)), scale * target)
    worse = r2(scale * predicted, scale * target)
    assert worse < better - 0.01 < 0.99


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-30, 1e20, -3e8])
def test_equal_values_define_no_r2_and_no_correlation(value):
    equal, other = torch.full((7,), value, dtype=torch.double), torch.randn(7, dtype=torch.double)
    assert math.isnan(r2(other, equal))
    assert math.isnan(pearson(other, equal))
    assert math.isnan(pearson(equal, other))
    assert rmse(equal, equal) == mae(equal, equal) == 0  # differences of equal numbers are exactly 0
    assert math.isfinite(rmse(other, equal))


def test_one_row_defines_errors_but_no_r2():
    found = evaluate(torch.tensor([[1.5]]), torch.tensor([[1.0]]), "regression")
    assert found["rmse"] == found["mae"] == 0.5  # exact in binary
    assert math.isnan(found["r2"])
    assert all(math.isnan(value) for value in evaluate(torch.zeros(0, 1), torch.zeros(0, 1), "regression").values())


def test_of_several_targets_those_count_that_define_a_metric():
    target = torch.tensor([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    predicted = torch.tensor([[1.0, 5.0], [2.0, 6.0], [3.0, 5.0]])
    found = evaluate(predicted, target, "regression")
    assert found["r2"] == pytest.approx(r2(predicted[:, 0], target[:, 0]))
    assert found["rmse"] == pytest.approx(2 * math.sqrt(1 / 3) / 2)


@pytest.mark.parametrize("kind", ["regression", "binary", "multilabel", "multiclass"])
def test_a_prediction_that_is_no_number_makes_every_metric_undefined(kind):
    target = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    predicted = torch.rand(4, 2 if kind == "multiclass" else 1)
    assert all(math.isfinite(value) for value in evaluate(predicted, target, kind).values())
    predicted[2, 0] = math.nan
    assert all(math.isnan(value) for value in evaluate(predicted, target, kind).values())


@pytest.mark.parametrize("shift", [0.0, 30.0, -700.0])
def test_sure_predictions_do_not_tie(shift):
    labels = (torch.arange(20) % 2).double().unsqueeze(1)
    scores = shift + 1e-3 * torch.arange(20, dtype=torch.double).unsqueeze(1) + 1e-2 * labels
    assert evaluate(scores, labels, "binary") == evaluate(scores - shift, labels, "binary")


@pytest.mark.parametrize(("a", "b", "precision"), _UNITS, ids=_IDS)
def test_moments_in_any_unit_in_pieces(a, b, precision):
    values = a * np.random.default_rng(0).normal(size=500) + b
    whole, pieces = Moments(), Moments()
    whole.update(values)
    for part in np.split(values, [3, 3, 4, 250]):
        pieces.update(part)
    extended = values.astype(np.longdouble)
    for found in (whole, pieces):
        assert found.count == 500
        assert found.mean == pytest.approx(float(extended.mean()), rel=1e-13, abs=1e-13 * abs(a))
        assert found.std == pytest.approx(abs(a) * float(((values - b) / a).std()), rel=1e-9 + 10 * precision)


@pytest.mark.parametrize("value", [0.1, 1e-300, 1e300, 0.0, 123456789.123])
def test_equal_values_have_no_spread(value):
    moments = Moments()
    for _ in range(5):
        moments.update(np.full(7, value))
    assert moments.is_constant
    assert moments.std == 0  # by a comparison of the values, not by a subtraction
    scale = TargetScale.fit("standard", torch.full((7, 1), value, dtype=torch.double))
    assert scale.apply(torch.full((2, 1), value, dtype=torch.double)).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize(
    ("values", "fits"),
    [([1e8, 1e8 + 1, 1e8 + 2], False), ([1.0, 2.0, 3.5], True), ([1e-50, 2e-50], False), ([290.0, 310.123], True)],
)
def test_float32_is_kept_only_where_it_keeps_the_differences(values, fits):
    moments = Moments()
    moments.update(np.array(values))
    assert moments.fits_float32 == fits


@pytest.mark.parametrize(("a", "b"), [(1e-30, 0.0), (1e20, 0.0), (1.0, 1e8), (1e30, 1e8)])
@pytest.mark.parametrize("cast", [None, torch.bfloat16, torch.float16])
def test_loss_and_predictions_follow_the_unit(a, b, cast):
    values, found = torch.tensor([1.0, 4.0, 2.0, 3.0, 7.0, 5.0], dtype=torch.double), {}
    for name, targets in {"plain": values, "other": a * values + b}.items():
        torch.manual_seed(0)
        model = TinyModel(dropout=0).eval()
        task = made_task(targets.unsqueeze(1).tolist(), "regression", dtype=torch.double)
        predictor = predictor_of(task, model)
        if cast is not None:  # as "bf16-true" does; the scale must not notice
            state = {name: value.clone() for name, value in model.state_dict().items()}
            predictor.to(cast).float()
            model.load_state_dict(state)
        needs = task.needs(model)
        batch = attach_line_graph(Batch.from_data_list(task.parts["train"]), needs)
        with torch.no_grad():
            loss = task.loss(task.output(model, batch, needs), batch)[0]
        found[name] = float(loss), predictor.predict(task.parts["train"])
    assert found["other"][0] == pytest.approx(found["plain"][0], rel=1e-6)  # float32 of the model
    expected = a * found["plain"][1] + b
    torch.testing.assert_close(found["other"][1], expected, rtol=1e-13, atol=1e-6 * a)


@pytest.mark.parametrize(("a", "b"), [(1e-30, 0.0), (1e-10, 0.0), (1e20, 0.0), (1.0, 1e8)])
def test_baselines_do_not_depend_on_the_unit(a, b, monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)
    generator = torch.Generator().manual_seed(0)
    features = {part: torch.randn(20, 3, generator=generator).numpy() for part in ("train", "valid", "test")}
    targets = {part: torch.from_numpy(x[:, :1] * 2 + x[:, 1:2]).double() for part, x in features.items()}
    plain = baseline_predictions(features, targets, "regression")
    other = baseline_predictions(features, {part: a * y + b for part, y in targets.items()}, "regression")
    trees = Forest(trees=5, jobs=1)
    y = targets["train"]
    plain["forest"], other["forest"] = (
        trees.fit_predict(features["train"], values, {"test": features["test"]}, "regression")["test"]
        for values in (y, a * y + b)
    )
    for name, predicted in plain.items():
        # Splits of trees depend on differences that rounding may order otherwise; few of so few values do.
        torch.testing.assert_close(other[name], a * predicted + b, rtol=1e-12, atol=1e-6 * a, msg=name)
        assert predicted.std() > 0 or name == "mean predictor"
