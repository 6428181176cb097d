import math
from fractions import Fraction

import pytest
import torch
from sklearn import metrics as sk

from plstm_graph.tasks.metrics import evaluate, to_prediction
from plstm_graph.train.engine import Outputs


def test_regression_metrics_leave_missing_targets_out():
    target = torch.randn(40, 2)
    prediction = target + 0.3 * torch.randn(40, 2)
    target[:7, 0] = torch.nan
    found = evaluate(prediction, target, "regression")
    parts = [(target[7:, 0], prediction[7:, 0]), (target[:, 1], prediction[:, 1])]
    for name, score in {
        "rmse": sk.root_mean_squared_error,
        "mae": sk.mean_absolute_error,
        "r2": sk.r2_score,
    }.items():
        assert found[name] == pytest.approx(sum(score(*part) for part in parts) / 2, rel=1e-5)


def test_metrics_of_labels_leave_out_targets_with_one_class():
    prediction = torch.rand(30, 2)
    target = torch.stack([(torch.rand(30) > 0.5).float(), torch.ones(30)], dim=1)
    found = evaluate(prediction, target, "multilabel")
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(target[:, 0], prediction[:, 0]), rel=1e-5)
    assert found["ap"] == pytest.approx(sk.average_precision_score(target[:, 0], prediction[:, 0]), rel=1e-5)


def test_undefined_metrics_are_nan():
    assert math.isnan(evaluate(torch.rand(3, 1), torch.ones(3, 1), "binary")["auroc"])
    assert math.isnan(evaluate(torch.rand(1, 1), torch.ones(1, 1), "regression")["r2"])


def test_epoch_metrics_are_those_of_all_batches_at_once():
    target, prediction = torch.randn(20, 1), torch.randn(20, 1)
    outputs = Outputs(["y"])
    for start in (0, 8, 16):
        outputs.add(prediction[start : start + 8], {"y": target[start : start + 8]})
    output, columns = outputs.gathered()
    assert evaluate(output, columns["y"], "regression") == pytest.approx(evaluate(prediction, target, "regression"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_outputs_of_half_precision_are_widened(dtype):
    outputs = Outputs(["y"])
    outputs.add(torch.ones(2, 1, dtype=dtype), {"y": torch.ones(2, 1)})
    assert outputs.gathered()[0].dtype == torch.float


def test_predictions_of_each_kind():
    output = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 0.0]])
    assert torch.equal(to_prediction(output, "regression"), output)
    for kind in ("binary", "multilabel"):
        torch.testing.assert_close(to_prediction(output, kind), output.double().sigmoid())
    torch.testing.assert_close(to_prediction(output, "multiclass"), output.double().softmax(dim=1))
    assert to_prediction(output.view(1, 2, 3), "sequence").tolist() == [[0, 1]]


def test_multiclass_metrics():
    target = torch.tensor([[0.0], [1.0], [1.0], [math.nan]])
    prediction = torch.eye(3)[torch.tensor([0, 1, 2, 2])]
    found = evaluate(prediction, target, "multiclass")
    # Of class 0 all, of class 1 precision 1 and recall 1/2, of class 2 nothing is right.
    assert found == pytest.approx({"accuracy": 2 / 3, "f1": (1 + 2 / 3 + 0) / 3})
    assert all(math.isnan(value) for value in evaluate(prediction[3:], target[3:], "multiclass").values())


def test_metrics_of_a_sequence_are_of_its_positions():
    assert evaluate(torch.tensor([[0, 1]]), torch.tensor([[0, 2]]), "sequence") == {"accuracy": 0.5}


def exact(prediction: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """Metrics of one target in rational numbers, rounded once."""
    pairs = [(Fraction(p), Fraction(t)) for p, t in zip(prediction.tolist(), target.tolist(), strict=True)]
    mean = sum(t for _, t in pairs) / len(pairs)
    squares, spread = sum((p - t) ** 2 for p, t in pairs), sum((t - mean) ** 2 for _, t in pairs)
    # A root of a fraction whose square neither over- nor underflows.
    unit = max(max(abs(p - t) for p, t in pairs), Fraction(1, 2**1074))
    return {
        "rmse": float(Fraction(math.sqrt(squares / len(pairs) / unit**2)) * unit),
        "mae": float(sum(abs(p - t) for p, t in pairs) / len(pairs)),
        "r2": float(1 - squares / spread) if spread else math.nan,
    }


@pytest.mark.parametrize("count", [1, 2, 3, 50])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e8, 1e15, -1e12])
@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e20, 1e-30, 1e-160, 1e-310, 1e150, 1e290, 3e307])
def test_metrics_of_any_unit_and_offset_are_those_of_exact_arithmetic(count, offset, unit):
    generator = torch.Generator().manual_seed(count)
    target, noise = torch.rand(2, count, generator=generator, dtype=torch.double)
    target, prediction = ((values + offset) * unit for values in (target, target + noise))
    if not bool(torch.cat([target, prediction]).isfinite().all()):
        target, prediction = target / offset, prediction / offset
        target, prediction = (values.clamp(-1e308, 1e308) for values in (target, prediction))
    found, expected = evaluate(prediction[:, None], target[:, None], "regression"), exact(prediction, target)
    for name, value in expected.items():
        # Some tens of roundings; R2 is one minus a ratio, and has the ratio's. Below 1e-307 numbers have fewer digits.
        slack = abs(1 - value) if name == "r2" else 1e-306
        assert found[name] == pytest.approx(value, rel=1e-13, abs=1e-13 * slack + 5e-324, nan_ok=True), name


@pytest.mark.parametrize("kind", ["regression", "binary", "multilabel", "sequence"])
def test_predictions_of_another_shape_are_refused(kind):
    for shape in ((5,), (5, 1), (4, 2), (5, 3)):
        with pytest.raises(ValueError, match="do not fit"):
            evaluate(torch.zeros(shape), torch.zeros(5, 2), kind)


@pytest.mark.parametrize("kind", ["regression", "binary", "multilabel", "sequence", "multiclass"])
def test_a_prediction_that_is_not_a_number_makes_every_metric_undefined(kind):
    prediction, target = torch.rand(6, 3), torch.tensor([[0.0, 1.0, 0.0]] * 3 + [[1.0, 0.0, 1.0]] * 3)
    prediction[2, 1] = torch.nan
    found = evaluate(prediction, target[:, :1] if kind == "multiclass" else target, kind)
    assert all(map(math.isnan, found.values()))
