"""Benchmarks over seeds: what goes on, what is exported, what the form says, what is refused."""

import json
import resource
import statistics

import pytest
import torch
import yaml

from plstm_graph.cli import main
from plstm_graph.datasets.benchmark import load_benchmark
from plstm_graph.tasks.registry import load_task
from plstm_graph.train import trial as trials
from plstm_graph.train.arguments import parse_numbers
from plstm_graph.train.training import Training
from plstm_graph.train.trial import Trial, run_trial
from plstm_graph.transforms import ToDAG
from tests.tiny_sets import tiny_ogb

_PLSTM = {
    "class_path": "plstm_graph.nn.PLSTM",
    "init_args": {"hidden_channels": 8, "num_layers": 1, "heads": 2, "dropout": 0.2},
}
_CONFIG = {
    "task": {"name": "benchmark", "set": "ogbg-molbace", "source": "source"},
    "models": {"plstm": _PLSTM},
    "training": {"epochs": 3, "batch_size": 16},
    "entry": {"plstm": {"tuned": {"lr": ["0.001*", 0.01]}}},
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module")
def workspace(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks")
    for name in ("ogbg_molbace", "ogbg_moltox21", "ogbg_molfreesolv"):
        tiny_ogb(real_data, folder / "source", name)
    (folder / "config.yaml").write_text(yaml.safe_dump(_CONFIG))
    return folder


@pytest.fixture(autouse=True)
def _there(monkeypatch, request):
    if "workspace" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("workspace"))


def study(*options):
    return main(["fit", "--config", "config.yaml", *options])


def train(folder, seed=7, report=lambda row: None, name="ogbg-molbace"):
    plain = {"name": "benchmark", "set": name, "source": "source"}
    task = load_task(**plain)
    trial = Trial("plstm", _PLSTM, plain, Training(epochs=3, batch_size=16), seed, folder)
    result = run_trial(trial, task, {"accelerator": "cpu"}, report)
    return result, trials.test_trial(trial, task, torch.device("cpu"))["test"]


def read(path):
    return json.loads(path.read_text())


def test_seeds_in_processes_then_one_more(workspace, capsys):
    assert study("--seeds", "0-1", "--workers", "2", "--output", "both") == 0
    epochs = (workspace / "both/plstm/seed_1/epochs.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in epochs] == [0, 1, 2]
    times = {path: path.stat().st_mtime_ns for path in workspace.glob("both/plstm/seed_*/*")}
    assert study("--seeds", "0-2", "--output", "both") == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    report = read(workspace / "both/report.json")["models"]["plstm"]
    tests = [row["tests"]["test"]["rocauc"] for row in report["seeds"]]
    assert [row["seed"] for row in report["seeds"]] == [0, 1, 2] and len(set(tests)) > 1
    assert report["tests"]["test/rocauc"]["std"] == pytest.approx(statistics.stdev(tests), abs=1e-12)
    assert report["tests"]["test/rocauc"]["mean"] == pytest.approx(statistics.mean(tests), abs=1e-12)
    best = max(json.loads(line)["valid/rocauc"] for line in epochs)
    assert report["seeds"][1]["valid"]["rocauc"] == best
    assert all(row["peak_memory_mib"] > 100 and "revision" in row for row in report["seeds"])
    form = read(workspace / "both/ogb_form.json")["plstm"]
    assert (form["external_data"], form["official"], form["kind"]) == (False, False, "preliminary")
    assert form["tuned_hyperparameters"] == "lr: [0.001*, 0.01]"
    assert form["test"]["values"] == tests and form["metric"] == "rocauc" and form["package"].startswith("ogb ")
    page = (workspace / "both/ogb_form.md").read_text()
    assert "preliminary, 3 of 10 seeds" in page and "submission" not in page.lower()
    assert (workspace / "both/report.md").read_text().startswith("# ogbg-molbace\n")
    capsys.readouterr()
    assert main(["predict", "--ckpt_path", "both/best.ckpt", "CCO", "c1ccccc1"]) == 0
    header, first, _ = capsys.readouterr().out.splitlines()
    assert header == "source,smiles,predicted_Class,error" and 0 < float(first.split(",")[2]) < 1


def test_exported_model_predicts_what_it_did_on_the_benchmark(workspace):
    import pandas as pd

    from plstm_graph.datasets import smiles_to_data
    from plstm_graph.predict.predictor import load_predictor, load_transform

    more = ("--training.members", "2")  # of an ensemble, all members are exported
    assert study("--seeds", "0", "--task.set", "ogbg-molfreesolv", "--output", "free", *more) == 0
    predictor = load_predictor("free/best.ckpt")
    benchmark = load_benchmark("ogbg-molfreesolv", pre_transform=ToDAG())
    smiles = pd.read_csv("source/ogbg_molfreesolv/mapping/mol.csv.gz")["smiles"]
    rows = list(benchmark.parts["test"].indices())
    transform = load_transform(predictor.recipe, ToDAG())
    expected = predictor.predict(list(benchmark.parts["test"]))
    found = predictor.predict([transform(smiles_to_data(smiles[row])) for row in rows])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    score = benchmark.evaluate(torch.cat([graph.y for graph in benchmark.parts["test"]]), expected)
    (row,) = read(workspace / "free/report.json")["models"]["plstm"]["seeds"]
    assert row["tests"]["test"]["rmse"] == pytest.approx(score, abs=1e-5)


def test_the_best_trial_of_all_models_is_exported(workspace):
    models = {"small": {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": {"hidden_channels": 8}}}
    (workspace / "two.yaml").write_text(yaml.safe_dump({"models": {"plstm": _PLSTM, **models}, "entry": {}}))
    assert study("--config", "two.yaml", "--seeds", "0-1", "--output", "two") == 0
    models = read(workspace / "two/report.json")["models"]
    scores = {(name, row["seed"]): row["valid"]["rocauc"] for name in models for row in models[name]["seeds"]}
    assert len(scores) == 4
    name, seed = max(scores, key=scores.get)
    weights = torch.load(workspace / f"two/{name}/seed_{seed}/best.ckpt", weights_only=True)["state_dict"]
    exported = torch.load(workspace / "two/best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(exported[key], value) for key, value in weights.items())
    assert list(read(workspace / "two/ogb_form.json")) == ["plstm", "small"]


def test_interrupted_seed_goes_on_as_if_it_had_not_stopped(workspace):
    def stop(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(workspace / "stopped", report=stop)
    assert not (workspace / "stopped/result.json").exists()
    seen = []
    resumed, resumed_test = train(workspace / "stopped", report=lambda row: seen.append(row["epoch"]))
    whole, whole_test = train(workspace / "whole")
    # An epoch that was not yet saved when the training was stopped is trained again.
    assert seen[-1] == 2 and seen in ([1, 2], [2])
    epochs = [json.loads(line)["epoch"] for line in (workspace / "stopped/epochs.jsonl").read_text().splitlines()]
    assert epochs == [0, 1, 2]
    # Exact: the same operations in the same order on one machine. A tolerance would hide what was not restored,
    # and is no use either: where a gradient is nothing but rounding, Adam makes full steps of it.
    for name in ("valid", "epoch", "epochs"):
        assert resumed[name] == whole[name]
    assert resumed_test["rocauc"] == whole_test["rocauc"]
    first, second = (
        torch.load(workspace / name / "best.ckpt", weights_only=True)["state_dict"] for name in ("stopped", "whole")
    )
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in second)
    assert not (workspace / "stopped/last.ckpt").exists()


def test_many_tasks_with_missing_labels(workspace):
    result, test = train(workspace / "tox", 0, name="ogbg-moltox21")
    assert 0 < test["rocauc"] < 1 and list(result["valid"]) == ["rocauc"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_failed_seed_costs_no_other(workspace, capsys, workers):
    failing = workspace / f"failing_{workers}"
    more = ("--output", str(failing), "--training.epochs", "1", "--workers", workers)
    assert study("--seeds", "0", *more) == 0
    (failing / "plstm/seed_1").write_text("in the way")
    capsys.readouterr()
    assert study("--seeds", "0-2", *more) == 2
    message = capsys.readouterr().err
    assert "1 of 3 trainings failed (plstm, seed 1: " in message and "plstm/seed_1" in message
    assert (failing / "plstm/seed_0/result.json").exists() and (failing / "plstm/seed_2/result.json").exists()
    assert [row["seed"] for row in read(failing / "report.json")["models"]["plstm"]["seeds"]] == [0, 2]
    (failing / "plstm/seed_1").unlink()
    assert study("--seeds", "0-2", *more) == 0


def test_a_choice_is_not_made_of_what_failed(workspace, capsys):
    more = ("--choose", "{training.lr: [0.001, 0.01]}", "--training.epochs", "1", "--output", "choosing")
    assert study("--seeds", "0", *more) == 0
    picked = read(workspace / "choosing/report.json")["models"]["plstm"]["choice"]["training.lr"]
    form = read(workspace / "choosing/ogb_form.json")["plstm"]
    # What validation chose is said, whatever the entry says of it.
    assert form["tuned_hyperparameters"] == ("lr: [0.001*, 0.01]" if picked == 0.001 else "lr: [0.001, 0.01*]")
    other = 0.01 if picked == 0.001 else 0.001
    folder = workspace / f"choosing/plstm/lr_{other}/seed_0"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    assert study("--seeds", "0-1", *more) == 2
    assert "1 of 2 trainings failed" in (message := capsys.readouterr().err) and f"lr {other}, seed 0" in message
    assert not list(workspace.glob("choosing/plstm/lr_*/seed_1"))


def test_full_disk_is_named_and_leaves_no_half_file(workspace, capsys):
    assert study("--seeds", "0", "--output", "before", "--training.epochs", "1") == 0  # there is room for graphs
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # longer files fail as on a full disk
    try:
        assert study("--seeds", "0", "--output", "full") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "full/plstm/seed_0/last.ckpt could not be written; is the disk full?" in capsys.readouterr().err
    assert {path.name for path in (workspace / "full/plstm/seed_0").iterdir()} <= {"epochs.jsonl"}
    assert study("--seeds", "0", "--output", "full") == 0


def test_baseline_takes_bonds_in_both_directions_and_a_last_batch_of_one(workspace, capsys):
    arguments = {"hidden_channels": 8, "num_layers": 2, "virtual_node": True}
    models = {"gin_small": {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": arguments}}
    change = {"models": models, "entry": {"gin_small": {"method": "GIN, small"}}}
    (workspace / "gin.yaml").write_text(yaml.safe_dump(change))
    assert study("--config", "gin.yaml", "--seeds", "0", "--training.batch_size", "59") == 0
    folder = workspace / "runs/ogbg-molbace-gin-small"
    assert read(folder / "ogb_form.json")["gin_small"]["method"] == "GIN, small"
    exported = ["--ckpt_path", str(folder / "best.ckpt")]
    assert main(["predict", *exported, "CCO"]) == 0
    capsys.readouterr()
    assert main(["test", *exported]) == 2
    assert "of the task benchmark" in (message := capsys.readouterr().err) and "table with --data" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task.set", "ogbg-molbce"), "did you mean 'ogbg-molbace'?"),
        (("--task.set", "ogbg-molesol"), "no raw files of ogbg-molesol in source"),
        (
            ("--task.set", "ogbg-moltox21", "--models.plstm.init_args.out_channels", "1"),
            "the model gives [2, 1] where the targets are [2, 12]",
        ),
        (("--seeds", "9-0"), "seeds '9-0': the range 9-0 runs backwards; write 0-9"),
        (("--entry", "{plstm: {tuned: {lr: [0.1, 0.2]}}}"), "tuned.lr must mark the selected value with a star"),
        (("--entry", "{gin: {method: GIN}}"), "entry.gin is of no model in the configuration: plstm"),
        (("--entry", "{plstm: {methud: GIN}}"), "there is no option 'methud' (did you mean method?)"),
        (("--folds", "0-1"), "the task ogbg-molbace has no folds"),
        (("--training.epochs", "0"), "epochs, batch_size and members must be at least 1"),
        (
            ("--output", "held"),
            "held holds a run of another configuration (training.lr is 0.001, was 0.5): give another --name",
        ),
    ],
)
def test_bad_options_start_nothing(workspace, capsys, options, message):
    if "held" in options:
        assert study("--seeds", "0", "--output", "held", "--training.lr", "0.5") == 0
        capsys.readouterr()
    try:
        assert study("--seeds", "0", "--output", "refused", *options) == 2
    except SystemExit as exit:
        assert exit.code == 2
    assert message in capsys.readouterr().err
    assert not (workspace / "refused").exists()


def test_damaged_results_are_named(workspace, capsys):
    assert study("--seeds", "0", "--output", "damaged", "--training.epochs", "1") == 0
    for name in ("result.json", "tests.json"):
        path = workspace / "damaged/plstm/seed_0" / name
        whole = path.read_text()
        for text in (whole[:9], "", "[1]", "[" * 100_000):
            path.write_text(text)
            assert study("--seeds", "0", "--output", "damaged", "--training.epochs", "1") == 2
            message = capsys.readouterr().err
            assert f"seed_0/{name} is damaged" in message and "remove it to have it made anew" in message
        path.unlink()
        assert study("--seeds", "0", "--output", "damaged", "--training.epochs", "1") == 0
        assert path.exists()


def test_seeds():
    assert parse_numbers("0-9", "seeds", 2**32) == list(range(10))
    assert parse_numbers("5, 0-2,1", "seeds", 2**32) == [0, 1, 2, 5]
    with pytest.raises(ValueError, match="such as 0-9"):
        parse_numbers("ten", "seeds", 2**32)
