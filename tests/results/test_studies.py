import json
import shutil

import pytest

from plstm_graph.report.ogb_form import Circumstances, Entry, write_forms
from plstm_graph.report.study import summarise, write_report
from plstm_graph.train.arguments import repeatable_command
from plstm_graph.train.study import Repeat, Study
from results import DOCS, NUMBERS, studies


@pytest.fixture
def script(tmp_path, monkeypatch):
    """With folders of its own."""
    monkeypatch.setattr(studies, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(studies, "NUMBERS", tmp_path / "results")
    return studies


def over_folds(folder, seed, local=False, name="MUTAG", accuracy=0.8, valid=0.9):
    row = {"valid": {"accuracy": valid}, "epoch": 2, "epochs": 3, "parameters": 1000, "seconds": 30.0}
    rows = [
        row | {"fold": fold, "seed": seed, "tests": {"test": {"accuracy": accuracy + fold / 100}}} for fold in range(10)
    ]
    write(folder, {"name": "tu", "set": name}, rows, "accuracy", {"local": local})


def over_seeds(folder):
    row = {"valid": {"rocauc": 0.8}, "epoch": 1, "epochs": 2, "seconds": 90.0, "parameters": 5, "peak_memory_mib": 7}
    row |= {"fold": None, "revision": "abc"}
    rows = [row | {"seed": seed, "tests": {"test": {"rocauc": 0.7 + seed / 10}}} for seed in (0, 1)]
    report = write(folder, {"name": "benchmark", "set": "ogbg-molhiv"}, rows, "rocauc", {})
    entry = Entry(method="pLSTM")
    write_forms(folder, report, {"plstm": entry}, Circumstances("ogb 1.3.6", "cpu", 1, 1))


def write(folder, task, rows, metric, arguments):
    rows = [row | {"choice": {}, "seconds_per_epoch": 1.0} for row in rows]
    summary = summarise(task["set"], {"plstm": rows}, {metric: "max"})
    arguments_given = [
        "dags",
        "--config",
        "configs/x.yaml",
        "--task.root",
        "/somewhere",
        "--task.source=/somewhere/ogb",
    ]
    config = {
        "task": task | {"root": "/somewhere/data", "source": None},
        "models": {"plstm": {"class_path": "plstm_graph.nn.PLSTM", "init_args": arguments}},
        "training": {"epochs": 3},
        "choose": {},
    }
    machine = {"processor": "p", "cores": 2, "memory_gib": 8, "revision": "abc", "packages": {}}
    report = summary | {"command": repeatable_command(arguments_given), "machine": machine, "config": config}
    for row in rows:
        trial = Study(config, ["plstm"], [0], folder).trial("plstm", {}, Repeat(row["seed"], row["fold"]))
        trial.folder.mkdir(parents=True)
        epochs = [{"epoch": epoch, "valid/loss": 1.0, f"valid/{metric}": 0.5 + epoch / 10} for epoch in range(3)]
        (trial.folder / "epochs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in epochs))
    write_report(folder, report)
    return report


def test_page_of_runs(script, tmp_path):
    over_folds(tmp_path / "a", seed=0)
    over_folds(tmp_path / "b", seed=1, accuracy=0.82)
    over_folds(tmp_path / "c", seed=0, local=True, valid=0.91)
    over_seeds(tmp_path / "d")
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
    kept = sorted((tmp_path / "results").rglob("*.json"))
    assert [path.relative_to(tmp_path / "results").as_posix() for path in kept] == [
        *("ogb/ogbg-molhiv-plstm.json", "tu/mutag-plstm-local-seed-0.json"),
        *("tu/mutag-plstm-seed-0.json", "tu/mutag-plstm-seed-1.json"),
    ]
    assert not any("/somewhere" in path.read_text() for path in kept)
    # The page alone, from what was kept.
    (tmp_path / "docs/results.md").unlink()
    script.main([])
    assert (tmp_path / "docs/results.md").read_text() == page


def test_the_published_page_is_made_of_what_is_kept(script, tmp_path):
    for place in ("tu", "ogb", "lrgb"):
        shutil.copytree(NUMBERS / place, tmp_path / "results" / place)
    (tmp_path / "docs").mkdir()
    shutil.copyfile(DOCS / "results_reading.md", tmp_path / "docs" / "results_reading.md")
    script.main([])
    assert (tmp_path / "docs" / "results.md").read_text() == (DOCS / "results.md").read_text()
    pictures = [{path.name for path in (docs / "results").glob("*.png")} for docs in (DOCS, tmp_path / "docs")]
    assert pictures[0] == pictures[1]


def test_unfinished_run_is_named(script, tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    script.main([tmp_path / "nothing"])
    assert "nothing has no report.json: the run is not finished" in capsys.readouterr().err
