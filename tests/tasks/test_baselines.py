import numpy as np
import torch

from plstm_graph.datasets.molecules.fingerprints import morgan_fingerprints
from plstm_graph.tasks.baseline_fits import baseline_predictions
from plstm_graph.tasks.metrics import evaluate

_SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "Cl", "S")]


def _split(values):
    return {"train": values[:32], "valid": values[32:40], "test": values[40:]}


def _prints():
    return _split(morgan_fingerprints(_SMILES).astype(np.float32))


def test_regression_baselines(monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 20)
    target = torch.tensor([[float("O" in s), 3.0 * ("N" in s)] for s in _SMILES])
    targets = _split(target)
    targets["train"][0, 0] = torch.nan
    predictions = baseline_predictions(_prints(), targets, "regression", name="Morgan")
    assert list(predictions) == ["mean predictor", "Morgan + ridge", "Morgan + random forest"]
    expected = targets["train"].nanmean(dim=0).expand(8, 2)
    torch.testing.assert_close(predictions["mean predictor"], expected.double())
    scores = {name: evaluate(predicted, targets["test"], "regression") for name, predicted in predictions.items()}
    assert scores["Morgan + ridge"]["rmse"] < 0.5 * scores["mean predictor"]["rmse"]
    assert scores["Morgan + random forest"]["rmse"] < 0.5 * scores["mean predictor"]["rmse"]


def test_classification_baselines(monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 20)
    target = torch.tensor([[float("O" in s), 1.0] for s in _SMILES])
    predictions = baseline_predictions(_prints(), _split(target), "binary", name="Morgan")
    assert len(predictions) == 3
    for predicted in predictions.values():
        assert predicted.shape == (8, 2)
        assert (predicted[:, 1] == 1).all()
    assert evaluate(predictions["Morgan + random forest"], _split(target)["test"], "binary")["auroc"] == 1


def test_multiclass_baselines(monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 20)
    target = torch.tensor([[float("ONS".find(s[-1]) + 1)] for s in _SMILES])
    targets = _split(target)
    targets["train"][0] = torch.nan
    predictions = baseline_predictions(_prints(), targets, "multiclass", name="Morgan")
    for predicted in predictions.values():
        torch.testing.assert_close(predicted.sum(dim=1), torch.ones(8, dtype=torch.double))
    assert evaluate(predictions["mean predictor"], targets["test"], "multiclass")["accuracy"] == 0.25
    assert evaluate(predictions["Morgan + random forest"], targets["test"], "multiclass")["accuracy"] == 1
