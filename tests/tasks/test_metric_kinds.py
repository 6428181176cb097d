"""Each metric by the definition of scikit-learn or scipy, and where it is not defined."""

import math

import pytest
import torch
from scipy import stats
from sklearn import metrics

from plstm_graph.tasks.metric_names import BETTER, DEFAULT, chosen_metrics
from plstm_graph.tasks.metrics import evaluate, is_defined
from plstm_graph.tasks.scores import Scores, scores_of

nan = math.nan


def numbers():
    generator = torch.Generator().manual_seed(1)
    target = torch.randn(50, 1, generator=generator, dtype=torch.double).round(decimals=1) + 0.05
    return (target + torch.randn(50, 1, generator=generator, dtype=torch.double)).round(decimals=1), target


def test_numbers():
    prediction, target = numbers()
    found = evaluate(prediction, target, "regression", list(BETTER["regression"]))
    p, y = prediction[:, 0].numpy(), target[:, 0].numpy()
    assert found == pytest.approx(
        {
            "rmse": metrics.root_mean_squared_error(y, p),
            "mae": metrics.mean_absolute_error(y, p),
            "r2": metrics.r2_score(y, p),
            "pearson": stats.pearsonr(y, p)[0],
            "spearman": stats.spearmanr(y, p)[0],
            "max_error": metrics.max_error(y, p),
            "mape": metrics.mean_absolute_percentage_error(y, p),
        }
    )


def test_labels():
    generator = torch.Generator().manual_seed(2)
    target = (torch.rand(60, 1, generator=generator) > 0.7).double()
    prediction = torch.rand(60, 1, generator=generator, dtype=torch.double)
    found = evaluate(prediction, target, "binary", list(BETTER["binary"]))
    p, y = prediction[:, 0].numpy(), target[:, 0].numpy()
    assert found == pytest.approx(
        {
            "auroc": metrics.roc_auc_score(y, p),
            "ap": metrics.average_precision_score(y, p),
            "accuracy": metrics.accuracy_score(y, p > 0.5),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, p > 0.5),
            "f1": metrics.f1_score(y, p > 0.5),
            "mcc": metrics.matthews_corrcoef(y, p > 0.5),
            "brier": metrics.brier_score_loss(y, p),
            "nll": metrics.log_loss(y, p),
        }
    )


def test_classes():
    generator = torch.Generator().manual_seed(3)
    target = torch.randint(3, (60, 1), generator=generator).double()
    prediction = torch.randn(60, 3, generator=generator, dtype=torch.double).softmax(dim=1)
    found = evaluate(prediction, target, "multiclass", list(BETTER["multiclass"]))
    p, y, code = prediction.numpy(), target[:, 0].numpy(), prediction.argmax(dim=1).numpy()
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(y, code),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, code),
            "f1": metrics.f1_score(y, code, average="macro"),
            "mcc": metrics.matthews_corrcoef(y, code),
            "kappa": metrics.cohen_kappa_score(y, code),
            "auroc_ovr": metrics.roc_auc_score(y, p, multi_class="ovr"),
            "nll": metrics.log_loss(y, p),
        }
    )


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_metrics_that_targets_do_not_define_are_nan_and_said_to_be(kind):
    value = {"regression": 0.0, "binary": 0.0, "multiclass": 1.0}[kind]
    target = torch.full((4, 1), value, dtype=torch.double)
    prediction = torch.rand(4, 3 if kind == "multiclass" else 1, dtype=torch.double) / 2
    for name in BETTER[kind]:
        found = evaluate(prediction, target, kind, [name])[name]
        if kind == "multiclass" and name == "balanced_accuracy":
            continue  # over the measured classes, of which there is one
        assert math.isnan(found) == (not is_defined(target, kind, name)), name
        assert math.isnan(evaluate(prediction[:0], target[:0], kind, [name])[name])
        assert not is_defined(torch.full((3, 1), nan), kind, name)


@pytest.mark.parametrize("kind", ["regression", "binary", "multilabel", "multiclass"])
def test_a_prediction_that_is_no_number_leaves_no_metric(kind):
    target = torch.tensor([[0.0], [1.0], [1.0]], dtype=torch.double)
    prediction = torch.rand(3, 2 if kind == "multiclass" else 1, dtype=torch.double)
    prediction[1] = nan
    assert all(math.isnan(value) for value in evaluate(prediction, target, kind, list(BETTER[kind])).values())


def test_sure_probabilities_have_a_finite_loss():
    found = evaluate(torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [0.0]]), "binary", ["nll"])
    assert 10 < found["nll"] < 20


def test_the_names_of_metrics():
    assert chosen_metrics("regression") == DEFAULT["regression"]
    assert chosen_metrics("regression", None, "mae") == ("mae", "rmse", "r2")
    assert chosen_metrics("regression", ["r2"], "standardised_rmse") == ("rmse", "r2")
    with pytest.raises(ValueError, match=r"metrics must be a list of names such as \[auroc, ap\], got 'ap'"):
        chosen_metrics("binary", "ap")


def test_several_targets_with_missing_values():
    target = torch.tensor([[1.0, 100.0], [2.0, nan], [3.0, 300.0]], dtype=torch.double)
    scores = Scores.of_training("regression", ["a", "b"], target, ["mae", "r2", "spearman"])
    row = scores(target + torch.tensor([0.5, 10.0]), target)
    assert row == pytest.approx(
        {
            "standardised_mae": (0.5 / scores.spread[0] + 10 / 100) / 2,
            "r2": 1 - (3 * 0.25 / 2 + 2 * 100 / 20_000) / 2,
            "spearman": 1.0,
            "mae of a": 0.5,
            "mae of b": 10.0,
        }
    )
    again = scores_of({"kind": "regression", "target_names": ["a", "b"], "scores": scores.to_plain()})
    assert again == scores


@pytest.mark.parametrize(
    "plain",
    [
        {"metrics": ["auroc"], "spread": [1.0]},
        {"metrics": [], "spread": [1.0]},
        {"metrics": ["rmse"], "spread": None},
        {"metrics": ["rmse"], "spread": [0.0]},
        {"metrics": ["rmse"], "spread": [1.0, 2.0]},
        {"metrics": ["rmse"], "spread": ["1"]},
        {"metrics": ["rmse"]},
        ["rmse"],
    ],
)
def test_damaged_scores_of_a_checkpoint_are_refused(plain):
    with pytest.raises(ValueError, match=r"its scores|its targets"):
        scores_of({"kind": "regression", "target_names": ["y"], "scores": plain})
