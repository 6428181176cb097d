import json

import numpy as np
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from plstm_graph.cli import main
from plstm_graph.datasets.benchmark import load_benchmark
from plstm_graph.datasets.molecules.fingerprints import morgan_fingerprints
from plstm_graph.train.leaderboard.forest import Forest
from tests.tiny_sets import tiny_ogb


@pytest.fixture(scope="module")
def run(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blend")
    tiny_ogb(real_data, folder / "source", "ogbg_molbace")
    config = {
        "data": {
            "name": "ogbg-molbace",
            "root": str(folder / "datasets"),
            "source": str(folder / "source"),
            "pre_transform": {"class_path": "plstm_graph.transforms.ToDAG"},
        },
        "model": {
            "class_path": "plstm_graph.nn.PLSTM",
            "init_args": {"out_channels": 1, "hidden_channels": 8, "num_layers": 1, "heads": 2},
        },
        "training": {"epochs": 2, "batch_size": 16},
        "device": "cpu",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    output = str(folder / "run")
    assert main(["leaderboard", "--config", str(folder / "config.yaml"), "--seeds", "0-1", "--output", output]) == 0
    return folder


def test_blend_reports_network_forest_and_both(run):
    arguments = ["blend", str(run / "run"), "--trees", "20", "--jobs", "1", "--device", "cpu"]
    assert main(arguments) == 0
    blend = json.loads((run / "run/blend.json").read_text())
    report = json.loads((run / "run/report.json").read_text())
    assert [row["seed"] for row in blend["seeds"]] == [0, 1]
    for row, of_run in zip(blend["seeds"], report["seeds"], strict=True):
        assert row["network"]["test"] == pytest.approx(of_run["test"], abs=1e-12)
        assert row["blend"]["valid"] == max(row["blend"]["valid"], row["network"]["valid"], row["forest"]["valid"])
    benchmark = load_benchmark("ogbg-molbace", str(run / "datasets"), str(run / "source"))
    train, test = benchmark.parts["train"], benchmark.parts["test"]
    bits = {"test": morgan_fingerprints(test.smiles)}
    labels = train.y.double().numpy()
    expected = Forest(20, seed=1, jobs=1).fit_predict(morgan_fingerprints(train.smiles), labels, bits, True)
    auc = roc_auc_score(test.y.view(-1).numpy(), expected["test"][:, 0])
    assert blend["seeds"][1]["forest"]["test"] == pytest.approx(auc, abs=1e-12)
    assert "share of the forest" in (run / "run/blend.md").read_text()


def test_folder_without_a_finished_run(run, capsys):
    assert main(["blend", str(run / "datasets")]) == 2
    assert "holds no finished run: report.json is missing" in capsys.readouterr().err


def test_forest_leaves_out_unknown_targets_and_knows_single_classes():
    features = np.array([[0, 0], [1, 0], [0, 0], [1, 0], [1, 1]], dtype=np.uint8)
    targets = np.array([[0, 1], [1, 1], [0, 1], [1, np.nan], [np.nan, np.nan]])
    forest = Forest(20, min_samples_leaf=1, jobs=1)
    labels = forest.fit_predict(features, targets, {"test": features}, classification=True)["test"]
    assert labels[1, 0] > 0.5 > labels[0, 0] and (labels[:, 1] == 1).all()
    values = forest.fit_predict(features, targets * 10, {"test": features}, classification=False)["test"]
    assert values[1, 0] > 5 > values[0, 0]
    with pytest.raises(ValueError, match="target 1 is unknown for every training molecule"):
        forest.fit_predict(features, np.array([[0, np.nan]] * 5), {}, classification=True)


def test_fingerprints_of_molecules_that_rdkit_rejects_and_of_nonsense():
    bits = morgan_fingerprints(["CCO", "OCC", "F[Cl](F)(F)(F)(F)(F)F", "c1ccccc1"])
    assert bits.shape == (4, 2048) and (bits[0] == bits[1]).all() and (bits.sum(axis=1) > 0).all()
    assert (bits[0] != bits[3]).any()
    counts = morgan_fingerprints(["CCO", "CCCCCCCCO", "C" * 400], counts=True)
    assert ((counts > 0) == morgan_fingerprints(["CCO", "CCCCCCCCO", "C" * 400])).all()
    assert counts[1].max() > 1 and counts[2].max() == 255
    with pytest.raises(ValueError, match="not a SMILES: 'not one'"):
        morgan_fingerprints(["not one"])
