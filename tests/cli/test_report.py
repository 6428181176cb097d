"""What a run says of itself: data, split, seeds, time, command and pictures; and the simple models beside it."""

import json

import pytest

from plstm_graph.train import run_study
from tests.cli.real_rows import fit, real_rows, report_of, write_rows


@pytest.fixture
def table(real_data, tmp_path):
    return write_rows(tmp_path / "t.csv", real_rows(real_data, "freesolv", 60))


EXPT = ("--task.target_columns", "[expt]")


def test_the_report_says_what_was_done_and_shows_pictures(table, tmp_path):
    sizes = {"hidden_channels": 4, "num_layers": 1}
    model = {"class_path": "plstm_graph.nn.PLSTM", "init_args": sizes | {"heads": 1}}
    models = ("--models", json.dumps({"plstm": model}), "--only", "plstm")
    run = fit(tmp_path, table, *EXPT, *models, "--baselines", "false", "--training.members", "2")
    text = (run / "report.md").read_text()
    assert "Samples: train 48, valid 6, test 6; split: random" in text
    assert "- Selected by valid/rmse (less is better)" in text
    assert "- Seeds 0; 1 training in " in text
    assert "Each of the 2 members of a model keeps its own best epoch" in text
    assert "Command: `plstm-graph fit" in text
    for picture in run.glob("*.png"):
        assert f"]({picture.name})" in text
    assert "](curves.png)" in text


def test_the_report_is_written_before_baselines_which_are_shown_as_they_run(table, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)
    seen = {}
    whole = run_study.fit_baselines

    def look(study, task, console):
        seen["report"] = json.loads((study.folder / "report.json").read_text())
        seen["best"] = (study.folder / "best.ckpt").is_file()
        whole(study, task, console)

    monkeypatch.setattr(run_study, "fit_baselines", look)
    run = fit(tmp_path, table, *EXPT, "--baselines", "true", "--seeds", "0-1")
    assert seen["best"] and seen["report"]["beside"] == {} and "tiny" in seen["report"]["models"]
    assert set(report_of(run)["beside"]) == {"mean predictor", "Morgan + ridge", "Morgan + random forest"}
    shown = capsys.readouterr().err
    for number, name in enumerate(["mean predictor", "Morgan + ridge", "Morgan + random forest"], start=1):
        for seed in (0, 1):
            assert f"baseline {name} ({number} of 3, seed {seed}) ..." in shown
            assert f"baseline {name} ({number} of 3, seed {seed}): test/rmse" in shown
    before = (run / "baselines.json").read_text()
    fit(tmp_path, table, *EXPT, "--baselines", "true", "--seeds", "0-1")  # goes on, and has nothing left to do
    assert "baseline Morgan" not in capsys.readouterr().err and (run / "baselines.json").read_text() == before


def test_what_was_cut_of_baselines_for_want_of_time_stands_in_the_table(table, tmp_path, capsys):
    run = fit(tmp_path, table, *EXPT, "--baselines", "true", "--baselines_seconds", "0")
    text = (run / "report.md").read_text()
    assert "| Morgan + random forest (1 of 10 trees: time limit) |" in text
    assert "| Morgan + ridge (1 of 5 penalties: time limit) |" in text
    assert "| mean predictor |" in text
    assert "s (1 of 10 trees: time limit)" in capsys.readouterr().err


def test_baselines_that_were_stopped_go_on(table, tmp_path, monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)
    run = fit(tmp_path, table, *EXPT, "--baselines", "true")
    found = json.loads((run / "baselines.json").read_text())
    del found["seed_0"]["Morgan + ridge"]
    found["seed_0"]["mean predictor"]["rmse"] = 123.0
    (run / "baselines.json").write_text(json.dumps(found))
    fit(tmp_path, table, *EXPT, "--baselines", "true")
    beside = report_of(run)["beside"]
    assert "Morgan + ridge" in beside
    assert beside["mean predictor"]["test/rmse"]["mean"] == 123.0  # is not fitted again


def test_confused_classes_stand_in_tests_json(real_data, tmp_path):
    table = write_rows(tmp_path / "t.csv", real_rows(real_data, "solubility", 90))
    run = fit(tmp_path, table, "--task.kind", "multiclass", "--task.target_columns", "[class]")
    found = json.loads((run / "tiny" / "seed_0" / "tests.json").read_text())
    assert set(found) == {"test", "confusion"}
    counts = found["confusion"]["class"]["counts"]
    assert found["confusion"]["class"]["classes"] == ["(A) low", "(B) medium", "(C) high"]
    assert sum(map(sum, counts)) == report_of(run)["samples"]["test"]
    right = sum(counts[code][code] for code in range(3))
    assert right / sum(map(sum, counts)) == pytest.approx(found["test"]["accuracy"])
    assert set(report_of(run)["models"]["tiny"]["seeds"][0]["tests"]) == {"test"}
    fit(tmp_path, table, "--task.kind", "multiclass", "--task.target_columns", "[class]")  # reads it again


def test_labels_of_tox21_have_a_matrix_each(real_data, tmp_path):
    table = write_rows(tmp_path / "t.csv", real_rows(real_data, "tox21", 200))
    labels = ("--task.kind", "multilabel", "--task.allow_missing", "true", "--task.target_columns", "[NR-AhR, SR-MMP]")
    run = fit(tmp_path, table, *labels)
    found = json.loads((run / "tiny" / "seed_0" / "tests.json").read_text())["confusion"]
    assert list(found) == ["NR-AhR", "SR-MMP"] and all(each["classes"] == ["0", "1"] for each in found.values())
    assert (run / "curves.png").stat().st_size > 10_000


def test_targets_of_different_units_stand_in_one_picture(real_data, tmp_path):
    rows = [row | {"joules": str(4184 * float(row["calc"]))} for row in real_rows(real_data, "freesolv", 60)]
    run = fit(tmp_path, write_rows(tmp_path / "t.csv", rows), "--task.target_columns", "[expt, joules]")
    assert (run / "curves.png").stat().st_size > 10_000
