import json
import resource
import statistics

import pytest
import torch
import yaml

from plstm_graph.cli import main
from plstm_graph.datasets.benchmark import load_benchmark
from plstm_graph.train.leaderboard.options import Entry, Options
from plstm_graph.train.leaderboard.report import make_report, write_report
from plstm_graph.train.leaderboard.seed_run import run_seed
from plstm_graph.train.options import parse_seeds
from plstm_graph.transforms import ToDAG
from tests.tiny_sets import tiny_ogb

_CONFIG = {
    "model": {
        "class_path": "plstm_graph.nn.PLSTM",
        "init_args": {"out_channels": 1, "hidden_channels": 8, "num_layers": 1, "heads": 2, "dropout": 0.2},
    },
    "training": {"epochs": 3, "batch_size": 16},
    "tuned": {"lr": ["0.001*", 0.01]},
    "device": "cpu",
}
_TO_DAG = {"class_path": "plstm_graph.transforms.ToDAG"}


@pytest.fixture(scope="module")
def workspace(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("leaderboard")
    for name in ("ogbg_molbace", "ogbg_moltox21", "ogbg_molfreesolv"):
        tiny_ogb(real_data, folder / "source", name)
    data = {"name": "ogbg-molbace", "source": "source", "pre_transform": _TO_DAG}
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": data, **_CONFIG}))
    return folder


@pytest.fixture(autouse=True)
def _there(monkeypatch, request):
    if "workspace" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("workspace"))


def leaderboard(*options):
    return main(["leaderboard", "--config", "config.yaml", *options])


def plain(name="ogbg-molbace", out_channels=1):
    data = {"name": name, "root": "datasets", "source": "source", "pre_transform": _TO_DAG}
    model = {**_CONFIG["model"], "init_args": {**_CONFIG["model"]["init_args"], "out_channels": out_channels}}
    return {"data": data, "model": model, "training": dict(_CONFIG["training"]), "device": "cpu"}


def test_seeds_in_processes_then_one_more(workspace, capsys):
    assert leaderboard("--seeds", "0-1", "--jobs", "2", "--output", "both") == 0
    epochs = (workspace / "both/seed_1/epochs.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in epochs] == [0, 1, 2]
    times = {path: path.stat().st_mtime_ns for path in workspace.glob("both/seed_*/*")}
    assert leaderboard("--seeds", "0-2", "--output", "both") == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    report = json.loads((workspace / "both/report.json").read_text())
    tests = [row["test"] for row in report["seeds"]]
    assert [row["seed"] for row in report["seeds"]] == [0, 1, 2] and len(set(tests)) > 1
    assert report["test"]["std"] == pytest.approx(statistics.stdev(tests), abs=1e-12)
    assert report["test"]["mean"] == pytest.approx(statistics.mean(tests), abs=1e-12)
    best = max(json.loads(line)["valid/rocauc"] for line in epochs)
    assert report["seeds"][1]["valid"] == best
    assert (report["external_data"], report["official"], report["kind"]) == (False, False, "preliminary")
    assert report["tuned_hyperparameters"] == "lr: [0.001*, 0.01]"
    page = (workspace / "both/report.md").read_text()
    assert "preliminary, 3 of 10 seeds" in page and "submission" not in page.lower()
    capsys.readouterr()
    assert main(["predict", "--ckpt_path", "both/best.ckpt", "CCO", "c1ccccc1"]) == 0
    header, first, _ = capsys.readouterr().out.splitlines()
    assert header == "source,smiles,predicted_Class,error" and 0 < float(first.split(",")[2]) < 1


def test_exported_model_predicts_what_it_did_on_the_benchmark(workspace):
    import pandas as pd

    from plstm_graph.datasets import smiles_to_data
    from plstm_graph.train.inference import load_module, load_transform, predict
    from plstm_graph.transforms import ToDAG

    assert leaderboard("--seeds", "0", "--data.name", "ogbg-molfreesolv", "--export", "out/free.ckpt") == 0
    module = load_module("out/free.ckpt")
    benchmark = load_benchmark("ogbg-molfreesolv", pre_transform=ToDAG())
    smiles = pd.read_csv("source/ogbg_molfreesolv/mapping/mol.csv.gz")["smiles"]
    rows = list(benchmark.parts["test"].indices())
    transform = load_transform(module.recipe, ToDAG())
    expected = predict(module, list(benchmark.parts["test"]))
    found = predict(module, [transform(smiles_to_data(smiles[row])) for row in rows])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    score = benchmark.evaluate(torch.cat([graph.y for graph in benchmark.parts["test"]]), expected)
    report = json.loads((workspace / "runs/leaderboard/ogbg-molfreesolv-plstm/report.json").read_text())
    assert report["seeds"][0]["test"] == pytest.approx(score, abs=1e-5)


def test_interrupted_seed_goes_on_as_if_it_had_not_stopped(workspace):
    def stop(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_seed(plain(), 7, workspace / "stopped", stop)
    assert not (workspace / "stopped/result.json").exists()
    seen = []
    resumed = run_seed(plain(), 7, workspace / "stopped", lambda row: seen.append(row["epoch"]))
    whole = run_seed(plain(), 7, workspace / "whole", lambda row: None)
    assert seen == [0, 1, 2]
    # Exact: the same operations in the same order on one machine. A tolerance would hide what was not restored,
    # and is no use either: where a gradient is nothing but rounding, Adam makes full steps of it.
    for name in ("test", "valid", "best_epoch", "epochs"):
        assert resumed[name] == whole[name]
    first, second = (torch.load(workspace / name / "best.pt", weights_only=True) for name in ("stopped", "whole"))
    assert first.pop("_extra_state") == second.pop("_extra_state")  # mean and std of the same targets
    assert all(torch.equal(first[name], second[name]) for name in second)
    assert not (workspace / "stopped/state.pt").exists()


def test_many_tasks_with_missing_labels(workspace):
    result = run_seed(plain("ogbg-moltox21", 12), 0, workspace / "tox", lambda row: None)
    assert 0 < result["test"] < 1 and result["metric"] == "rocauc"


def test_failed_seed_costs_no_other(workspace, capsys):
    assert leaderboard("--seeds", "0", "--output", "failing", "--training.epochs", "1") == 0
    (workspace / "failing/seed_1").write_text("in the way")
    capsys.readouterr()
    assert leaderboard("--seeds", "0-2", "--output", "failing", "--training.epochs", "1") == 2
    message = capsys.readouterr().err
    assert "1 of 3 seeds failed (seed 1: " in message and "failing/seed_1" in message
    assert (workspace / "failing/seed_0/result.json").exists() and (workspace / "failing/seed_2/result.json").exists()
    (workspace / "failing/seed_1").unlink()
    assert leaderboard("--seeds", "0-2", "--output", "failing", "--training.epochs", "1") == 0


def test_full_disk_is_named_and_leaves_no_half_file(workspace, capsys):
    load_benchmark("ogbg-molbace", source="source", pre_transform=ToDAG())  # there is room for the graphs
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # longer files fail as on a full disk
    try:
        assert leaderboard("--seeds", "0", "--output", "full") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "full/seed_0/state.pt could not be written; is the disk full?" in capsys.readouterr().err
    assert not any((workspace / "full/seed_0").iterdir())
    assert leaderboard("--seeds", "0", "--output", "full") == 0


def test_baseline_takes_bonds_in_both_directions_and_a_last_batch_of_one(workspace, capsys):
    arguments = {"hidden_channels": 8, "num_layers": 2, "virtual_node": True}
    model = {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": arguments}
    change = {"data": {"pre_transform": None}, "model": model, "entry": {"method": "GIN, small"}}
    (workspace / "gin.yaml").write_text(yaml.safe_dump(change))
    assert leaderboard("--config", "gin.yaml", "--seeds", "0", "--training.batch_size", "59") == 0
    exported = ["--ckpt_path", "runs/leaderboard/ogbg-molbace-gin-small/best.ckpt"]
    assert main(["predict", *exported, "CCO"]) == 0
    capsys.readouterr()
    assert main(["test", *exported]) == 2
    assert "ogbg-molbace, which" in (message := capsys.readouterr().err) and "give one with --data" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data.name", "ogbg-molbce"), "did you mean 'ogbg-molbace'?"),
        (("--data.name", "ogbg-molesol"), "no raw files of ogbg-molesol in source"),
        (("--data.name", "ogbg-moltox21"), "the model gives [2, 1] where the targets are [B, T] = [2, 12]"),
        (("--seeds", "9-0"), "seeds '9-0': the range 9-0 runs backwards; write 0-9"),
        (("--tuned", "{lr: [0.1, 0.2]}"), "tuned.lr must mark the selected value with a star"),
        (("--training.epochs", "0"), "epochs and batch_size must be at least 1"),
        (
            ("--output", "held"),
            "held holds a run of another configuration (training.lr is 0.001, was 0.5): give another --output",
        ),
    ],
)
def test_bad_options_start_nothing(workspace, capsys, options, message):
    if "held" in options:
        assert leaderboard("--seeds", "0", "--output", "held", "--training.lr", "0.5") == 0
        capsys.readouterr()
    try:
        assert leaderboard("--seeds", "0", "--output", "refused", *options) == 2
    except SystemExit as exit:
        assert exit.code == 2
    assert message in capsys.readouterr().err
    assert not (workspace / "refused").exists()


def test_ten_seeds_of_ogb_are_a_submission(tmp_path):
    from plstm_graph.datasets.benchmark import Benchmark

    options = Options({"device": "cpu"}, list(range(10)), Entry())
    machine = {"processor": "p", "cores": 2, "memory_gib": 8, "revision": "abc+", "packages": {"torch": "2"}}
    row = {"valid": 0.8, "best_epoch": 1, "epochs": 2, "seconds": 3.0, "parameters": 5, "peak_memory_mib": 7}
    rows = [{**row, "seed": seed, "test": 0.7 + seed / 100, "revision": "abc+"} for seed in range(10)]
    for name, kind in {"ogbg-molhiv": "submission", "Peptides-func": "preliminary"}.items():
        benchmark = Benchmark(name, {}, "classification", ["a"], "rocauc", "max", lambda *_: 0.0, "ogb 1.3.6")
        report = make_report(options, benchmark, rows, machine)
        write_report(tmp_path, report)
        page = (tmp_path / "report.md").read_text()
        assert report["kind"] == kind and ("submission" in page) == (kind == "submission")
        assert "0.7450 ± 0.0303 (mean and unbiased" in page and "abc with changes" in page


def test_seeds():
    assert parse_seeds("0-9") == list(range(10))
    assert parse_seeds("5, 0-2,1") == [0, 1, 2, 5]
    with pytest.raises(ValueError, match="such as 0-9"):
        parse_seeds("ten")
