import importlib.util
import json
import sys
from pathlib import Path

import pytest
from plstm_graph.train.crossval.report import summarise
from plstm_graph.train.leaderboard.options import Entry, Options
from plstm_graph.train.leaderboard.report import make_report

from plstm_graph.datasets.benchmark import Benchmark
from plstm_graph.train.options import repeatable_command

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "results.py"


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("results", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(module, "KEPT", tmp_path / "docs" / "results")
    return module


def crossval_run(folder, seed, local=False, name="MUTAG", accuracy=0.8, valid=0.9):
    config = {
        "data": {"name": name, "root": "/somewhere/data", "source": None},
        "model": {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"local": local}},
        "training": {"seed": seed},
    }
    row = {"valid_accuracy": valid, "best_epoch": 2, "parameters": 1000, "seconds": 30.0}
    folds = [{**row, "fold": fold, "test_accuracy": accuracy + fold / 100} for fold in range(10)]
    command = repeatable_command(["crossval", "--config", "configs/tu/mutag.yaml", "--data.root", "/somewhere/data"])
    write(folder, summarise(folds, config, command), {f"folds/fold-{fold}.jsonl": "accuracy" for fold in range(10)})


def leaderboard_run(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["plstm-graph", "leaderboard", "--data.source=/somewhere/ogb", "--seeds", "0-1"])
    benchmark = Benchmark("ogbg-molhiv", {}, "classification", ["HIV"], "rocauc", "max", lambda *_: 0.0, "ogb 1.3.6")
    data = {"name": "ogbg-molhiv", "source": "/somewhere/ogb"}
    options = Options({"device": "cpu", "data": data, "model": {"class_path": "plstm_graph.nn.PLSTM"}}, [0, 1], Entry())
    machine = {"processor": "p", "cores": 2, "memory_gib": 8, "revision": "abc", "packages": {}}
    row = {"valid": 0.8, "best_epoch": 1, "epochs": 2, "seconds": 90.0, "parameters": 5, "peak_memory_mib": 7}
    rows = [{**row, "seed": seed, "test": 0.7 + seed / 10, "revision": "abc"} for seed in (0, 1)]
    report = make_report(options, benchmark, rows, machine)
    write(folder, report, {f"seed_{seed}/epochs.jsonl": "rocauc" for seed in (0, 1)})


def write(folder, report, curves):
    for path, metric in curves.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        rows = [{"epoch": epoch, "valid/loss": 1.0, f"valid/{metric}": 0.5 + epoch / 10} for epoch in range(3)]
        (folder / path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "report.json").write_text(json.dumps(report))


def test_page_of_runs(script, tmp_path, monkeypatch):
    crossval_run(tmp_path / "a", seed=0)
    crossval_run(tmp_path / "b", seed=1, accuracy=0.82)
    crossval_run(tmp_path / "c", seed=0, local=True, valid=0.91)
    leaderboard_run(tmp_path / "d", monkeypatch)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/results_reading.md").write_text("## Reading\n\nTwenty graphs a fold.\n")
    script.main([tmp_path / name for name in "abcd"])
    page = (tmp_path / "docs/results.md").read_text()
    # Of pLSTM with and without local aggregation, the one with the better validation.
    assert "| pLSTM | 0.8450 ± 0.03 local |  |" in page
    # Two seeds of .845 and .865: their mean, the spread over folds, the spread over seeds.
    assert "| pLSTM | 0.8550 ± 0.03 (0.0141) |  | 1,000 | 10 |" in page
    assert "| pLSTM + local | 0.8450 ± 0.03 |" in page
    assert "| *GIN, pLSTM paper (arXiv 2506.11997)* | 0.8251 | 0.7468 | | |" in page
    assert "| pLSTM | 0.7500 ± 0.0707 | 0.8000 ± 0.0000 | 2 | 5 | 3 |" in page
    assert "| *GIN + virtual node, OGB's example, on its leaderboard* | 0.7707 ± 0.0149 |" in page
    assert "Twenty graphs a fold." in page
    for picture in ("mutag.png", "ogbg-molhiv.png"):
        assert (tmp_path / "docs/results" / picture).stat().st_size > 10_000 and f"(results/{picture})" in page
    kept = sorted(path.name for path in (tmp_path / "docs/results").glob("*.json"))
    assert kept == ["mutag-plstm-local-seed-0.json", "mutag-plstm-seed-0.json", "mutag-plstm-seed-1.json",
                    "ogbg-molhiv-plstm.json"]  # fmt: skip
    assert not any("/somewhere" in path.read_text() for path in (tmp_path / "docs/results").glob("*.json"))
    # The page alone, from what was kept.
    (tmp_path / "docs/results.md").unlink()
    script.main([])
    assert (tmp_path / "docs/results.md").read_text() == page


def test_unfinished_run_is_named(script, tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    script.main([tmp_path / "nothing"])
    assert "nothing has no report.json: the run is not finished" in capsys.readouterr().err
