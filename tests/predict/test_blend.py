import json

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import roc_auc_score

from plstm_graph.cli import main
from plstm_graph.datasets.benchmark import load_benchmark
from plstm_graph.datasets.molecules.fingerprints import FINGERPRINTS, fingerprints, morgan_fingerprints
from plstm_graph.tasks.forest import Forest
from plstm_graph.tasks.scale import TargetScale
from tests.tiny_sets import tiny_ogb


@pytest.fixture(scope="module")
def run(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blend")
    tiny_ogb(real_data, folder / "source", "ogbg_molbace")
    tiny_ogb(real_data, folder / "source", "ogbg_molfreesolv")
    plstm = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"hidden_channels": 8, "num_layers": 1, "heads": 2}}
    gin = {
        "class_path": "plstm_graph.nn.baselines.OGBGNN",
        "init_args": {"hidden_channels": 8, "num_layers": 2},
    }
    task = {"name": "benchmark", "root": str(folder / "datasets"), "source": str(folder / "source")}
    config = {
        "task": task | {"set": "ogbg-molbace"},
        "models": {"plstm": plstm, "gin": gin},
        "training": {"epochs": 2, "batch_size": 16},
        "device": "cpu",
        "threads": 1,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for output, more in {"run": (), "free": ("--task.set", "ogbg-molfreesolv", "--only", "plstm")}.items():
        command = ["fit", "--config", str(folder / "config.yaml"), "--seeds", "0-1", "--output", str(folder / output)]
        assert main([*command, *more]) == 0
    return folder


@pytest.mark.parametrize("output", ["run", "free"])
def test_blend_reports_network_forest_and_both(run, output, capsys):
    arguments = ["blend", str(run / output), "--trees", "20", "--jobs", "1", "--device", "cpu"]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert f"1/{4 if output == 'run' else 2}: 20 trees for " in said and "features for ogbg-mol" in said
    blend = json.loads((run / output / "blend.json").read_text())
    report = json.loads((run / output / "report.json").read_text())
    metric, best = ("rocauc", max) if output == "run" else ("rmse", min)
    assert blend["models"].keys() == report["models"].keys() and blend["metric"] == metric
    for name, model in blend["models"].items():
        assert [row["seed"] for row in model["seeds"]] == [0, 1]
        for row, of_run in zip(model["seeds"], report["models"][name]["seeds"], strict=True):
            # Ranks are the same of logits and of their probabilities in float64; values are the same.
            assert row["network"]["test"] == pytest.approx(of_run["tests"]["test"][metric], abs=1e-12)
            assert row["network"]["valid"] == pytest.approx(of_run["valid"][metric], abs=1e-12)
            assert row["blend"]["valid"] == best(row["blend"]["valid"], row["network"]["valid"], row["forest"]["valid"])
    if output == "run":
        benchmark = load_benchmark("ogbg-molbace", str(run / "datasets"), str(run / "source"))
        train, test = benchmark.parts["train"], benchmark.parts["test"]
        bits = {"test": morgan_fingerprints(test.smiles)}
        prints = morgan_fingerprints(train.smiles)
        expected = Forest(20, seed=1, jobs=1).fit_predict(prints, train.y, bits, "binary")
        auc = roc_auc_score(test.y.view(-1).numpy(), expected["test"][:, 0])
        for model in blend["models"].values():
            assert model["seeds"][1]["forest"]["test"] == pytest.approx(auc, abs=1e-12)
    assert "share of the forest" in (run / output / "blend.md").read_text()


def test_a_study_without_smiles(tmp_path, capsys):
    sizes = "{num_graphs: 4, size: 5}"
    task = f"{{name: copy, train: {sizes}, valid: {sizes}, tests: {{5: {sizes}}}}}"
    model = "{a: {class_path: plstm_graph.nn.baselines.BagOfNodes}}"
    command = ["fit", "--task", task, "--models", model, "--training.epochs", "1", "--seeds", "0", "--device", "cpu"]
    assert main([*command, "--output", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["blend", str(tmp_path / "run")]) == 2
    assert "forests see molecules and folders of DAGs, and copy is neither" in capsys.readouterr().err


def test_folder_without_a_finished_run(run, capsys):
    assert main(["blend", str(run / "datasets")]) == 2
    assert "holds no finished run: report.json is missing" in capsys.readouterr().err


def test_forest_leaves_out_unknown_targets_and_knows_single_classes():
    features = np.array([[0, 0], [1, 0], [0, 0], [1, 0], [1, 1]], dtype=np.uint8)
    nan = float("nan")
    targets = torch.tensor([[0, 1], [1, 1], [0, 1], [1, nan], [nan, nan]])
    forest = Forest(20, min_samples_leaf=1, jobs=1)
    labels = forest.fit_predict(features, targets, {"test": features}, "binary")["test"]
    assert labels[1, 0] > 0.5 > labels[0, 0] and (labels[:, 1] == 1).all()
    values = forest.fit_predict(features, targets * 10, {"test": features}, "regression")["test"]
    assert values[1, 0] > 5 > values[0, 0]
    with pytest.raises(ValueError, match="target 1 is unknown for every training sample"):
        forest.fit_predict(features, torch.tensor([[0, nan]] * 5), {}, "binary")


def test_a_forest_that_is_grown_in_steps_is_that_of_one_fit():
    generator = np.random.default_rng(0)
    features = generator.integers(0, 2, (80, 20)).astype(np.uint8)
    targets = torch.as_tensor(generator.integers(0, 3, (80, 1)))
    forest = Forest(45, jobs=1, seed=4)
    for kind, target in (("regression", targets * 1.5), ("binary", targets > 0), ("multiclass", targets)):
        target = target.double()
        found = forest.fit_predict(features, target, {"test": features}, kind, 5)["test"].numpy()
        assert found.shape == (80, 5 if kind == "multiclass" else 1)
        scale = TargetScale.fit("standard" if kind == "regression" else "raw", target)
        whole = forest.estimator(kind).fit(features.astype(np.float32), scale.apply(target)[:, 0].numpy())
        if kind == "regression":
            expected = scale.restore(torch.as_tensor(whole.predict(features))).numpy()
            np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)
        elif kind == "binary":
            np.testing.assert_array_equal(found[:, 0], whole.predict_proba(features)[:, 1])
        else:
            np.testing.assert_array_equal(found[:, :3], whole.predict_proba(features))
            assert not found[:, 3:].any()


@pytest.mark.parametrize("part", [0, 0.0, 1.5, "log2", -0.1])
def test_forests_that_try_no_features(part):
    with pytest.raises(ValueError, match=r"max_features must be sqrt or a part such as 0.2"):
        Forest(max_features=part)


@pytest.mark.parametrize("options", [{"trees": 0}, {"min_samples_leaf": 0}, {"trees": -1}])
def test_forests_without_trees_or_leaves(options):
    with pytest.raises(ValueError, match="trees and min_samples_leaf must be at least 1"):
        Forest(**options)


def test_fingerprints_of_molecules_that_rdkit_rejects_and_of_nonsense():
    bits = morgan_fingerprints(["CCO", "OCC", "F[Cl](F)(F)(F)(F)(F)F", "c1ccccc1"])
    assert bits.shape == (4, 2048) and (bits[0] == bits[1]).all() and (bits.sum(axis=1) > 0).all()
    assert (bits[0] != bits[3]).any()
    counts = morgan_fingerprints(["CCO", "CCCCCCCCO", "C" * 400], counts=True)
    assert ((counts > 0) == morgan_fingerprints(["CCO", "CCCCCCCCO", "C" * 400])).all()
    assert counts[1].max() > 1 and counts[2].max() == 255
    with pytest.raises(ValueError, match="not a SMILES: 'not one'"):
        morgan_fingerprints(["not one"])


@pytest.mark.parametrize("counts", [False, True])
def test_fingerprints_stand_side_by_side(counts):
    smiles = ["CCO", "OCC", "F[Cl](F)(F)(F)(F)(F)F", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O"]
    alone = [fingerprints(smiles, [name], 512, counts) for name in FINGERPRINTS]
    assert [rows.shape[1] for rows in alone] == [167 if name == "maccs" else 512 for name in FINGERPRINTS]
    np.testing.assert_array_equal(np.concatenate(alone, axis=1), fingerprints(smiles, list(FINGERPRINTS), 512, counts))
    for rows in alone:
        assert (rows[0] == rows[1]).all() and (rows[0] != rows[4]).any() and rows[4].max() >= 1
    # By what they do, two halogens are alike.
    ecfp, fcfp = (fingerprints(["CCCl", "CCBr"], [name]) for name in ("ecfp", "fcfp"))
    assert (fcfp[0] == fcfp[1]).all() and (ecfp[0] != ecfp[1]).any()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ecfq"], r"no fingerprint 'ecfq' \(did you mean ecfp"),
        (["ecfp", "ecfp"], "ecfp stands twice"),
        ([], "at least one"),
    ],
)
def test_fingerprints_that_are_not_there_are_named(names, message):
    with pytest.raises(ValueError, match=message):
        fingerprints(["CCO"], names)
