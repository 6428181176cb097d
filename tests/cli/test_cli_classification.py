"""Several labels, some of them missing, with a split that the table gives."""

import csv
import io
import json

import pytest

from plstm_graph.cli import main

_CONFIG = """
name: labels
seeds: 0
threads: 1
device: cpu
task:
  name: molecules
  kind: multilabel
  path: labels.csv
  target_columns: [toxic, smelly]
  split: part
  allow_missing: true
models:
  tiny:
    class_path: tests.train.tiny_model.TinyModel
training: {epochs: 2}
"""


@pytest.mark.slow
def test_classification_from_table_to_predictions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 10)
    smiles = ["C" * n + end for n in range(1, 11) for end in ("O", "N", "Cl")]
    parts = ["train", "train", "valid", "test", "train"]
    rows = [f"{s},{int('O' in s)},{'' if i % 4 == 0 else int('N' in s)},{parts[i % 5]}" for i, s in enumerate(smiles)]
    (tmp_path / "labels.csv").write_text("\n".join(["smiles,toxic,smelly,part", *rows]) + "\n")
    (tmp_path / "config.yaml").write_text(_CONFIG)
    assert main(["fit", "--config", "config.yaml", "--allow", "tests"]) == 0
    assert "multilabel: toxic, smelly" in capsys.readouterr().err
    report = json.loads((tmp_path / "runs" / "labels" / "report.json").read_text())
    assert set(report["beside"]) == {"mean predictor", "Morgan + logistic regression", "Morgan + random forest"}
    assert report["beside"]["mean predictor"]["test/auroc"]["mean"] == 0.5  # exact: all scores are one number
    assert 0 <= report["models"]["tiny"]["tests"]["test/auroc"]["mean"] <= 1
    checkpoint = "runs/labels/best.ckpt"
    assert (
        main(["predict", "--ckpt_path", checkpoint, "CCO", "labels.csv", "--output", "out.csv", "--allow", "tests"])
        == 0
    )
    found = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert len(found) == 31
    assert all(0 < float(row[name]) < 1 for row in found for name in ("predicted_toxic", "predicted_smelly"))
    assert found[1]["toxic"] == "1"
