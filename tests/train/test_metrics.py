import math

import pytest
import torch
from sklearn import metrics as sk

from plstm_graph.train import GraphMetrics, evaluate


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


def test_classification_metrics_leave_out_targets_with_one_class():
    prediction = torch.rand(30, 2)
    target = torch.stack([(torch.rand(30) > 0.5).float(), torch.ones(30)], dim=1)
    found = evaluate(prediction, target, "classification")
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(target[:, 0], prediction[:, 0]), rel=1e-5)
    assert found["ap"] == pytest.approx(sk.average_precision_score(target[:, 0], prediction[:, 0]), rel=1e-5)


def test_undefined_metrics_are_nan():
    assert math.isnan(evaluate(torch.rand(3, 1), torch.ones(3, 1), "classification")["auroc"])
    assert math.isnan(evaluate(torch.rand(1, 1), torch.ones(1, 1), "regression")["r2"])


def test_epoch_metrics_are_those_of_all_batches_at_once():
    target, prediction = torch.randn(20, 1), torch.randn(20, 1)
    metrics = GraphMetrics("regression")
    for start in (0, 8, 16):
        metrics.update(prediction[start : start + 8], target[start : start + 8])
    found = {name: float(value) for name, value in metrics.compute().items()}
    assert found == pytest.approx(evaluate(prediction, target, "regression"))
