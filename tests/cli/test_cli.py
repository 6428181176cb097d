"""Every command as a user runs it, on a few molecules."""

import csv
import gc
import io
import json
import signal

import pytest
import torch

from plstm_graph.cli import main
from tests.cli.conftest import BEST, TRIAL
from tests.processes import Command

_ALLOW = ("--allow", "tests")
_BASE = ("fit", "--config", "config.yaml", "--baselines", "false")


@pytest.fixture(autouse=True)
def _in_workspace(workspace, monkeypatch):
    monkeypatch.chdir(workspace)


def _read(text):
    return list(csv.DictReader(io.StringIO(text)))


def _weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def _epochs(folder):
    rows = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.slow
def test_fit_shows_its_plan_and_leaves_a_report(workspace, fitted):
    for text in (
        "table.csv, 32 molecules, 2 bad rows left out",
        "left out, line 3: invalid SMILES 'C1CC'",
        "left out, line 35: target 'activity' is 'much'",
        "random: 25 train, 3 valid, 4 test",
        "regression: activity",
        "tiny 2,465 parameters, results in runs/small\n",
        "tiny, seed 0, epoch 3/3",
    ):
        assert text in fitted.stderr
    assert "arning" not in fitted.stderr
    assert "Tip" not in fitted.stderr
    run = workspace / "runs" / "small"
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    of_trial = ("epochs.jsonl", "best.ckpt", "result.json", "tests.json", "test_predictions.csv")
    pictures = ("curves.png", "calibration.png")
    assert files == {
        *("config.yaml", "data.json", "split.csv", "baselines.json", "best.ckpt"),
        *(*pictures, "report.json", "report.md", "results.jsonl"),
        *(f"tiny/seed_0/{name}" for name in (*of_trial, *pictures)),
    }
    shown = "\n".join(f"\n![{picture.removesuffix('.png')}]({picture})" for picture in sorted(pictures))
    assert fitted.stdout + shown + "\n" == (run / "report.md").read_text()
    for text in ("| tiny |", "| mean predictor |", "| Morgan + ridge |", "train 25, valid 3, test 4"):
        assert text in fitted.stdout
    report = json.loads((run / "report.json").read_text())
    assert set(report["models"]) == {"tiny"}
    assert set(report["beside"]) == {"mean predictor", "Morgan + ridge", "Morgan + random forest"}
    assert len(_epochs(workspace / TRIAL)) == 3
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    rows = _read((workspace / TRIAL / "test_predictions.csv").read_text())
    squared = [(float(row["activity"]) - float(row["predicted_activity"])) ** 2 for row in rows]
    reported = report["models"]["tiny"]["tests"]["test/rmse"]["mean"]
    assert (sum(squared) / len(squared)) ** 0.5 == pytest.approx(reported, rel=1e-4)


@pytest.mark.slow
def test_a_study_over_folds_shows_all_of_them_and_says_whose_weights_it_keeps(workspace, monkeypatch, capsys):
    monkeypatch.chdir(workspace)
    rows = (workspace / "table.csv").read_text().splitlines()
    (workspace / "twice.csv").write_text("\n".join([*rows, rows[1], rows[4]]) + "\n")
    options = ("fit", "--config", "config.yaml", "--task.path", "twice.csv", "--name", "folds", "--allow", "tests")
    other = ("--models.other", "{class_path: tests.train.tiny_model.TinyModel, init_args: {hidden_channels: 4}}")
    assert main([*options, *other, "--folds", "3", "--training.epochs", "2"]) == 0
    run, shown = workspace / "runs" / "folds", capsys.readouterr()
    report, text = json.loads((run / "report.json").read_text(), parse_constant=pytest.fail), shown.out
    for name, row in report["beside"].items():
        assert row["test/rmse"]["std"] > 0 and f"| {name} | {row['test/rmse']['mean']:.4f} ± " in text
    best = min(report["models"], key=lambda name: report["models"][name]["valid"]["valid/rmse"]["mean"])
    of_best = torch.load(run / "best.ckpt", weights_only=True)["state_dict"]
    first = torch.load(run / best / "fold_0" / "seed_0" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(of_best[name], values) for name, values in first.items())
    for said in (text, shown.err):
        assert f"best.ckpt, which predict should use, is of {best}, fold 0, seed 0: {best} has the best mean" in said
        assert "2 molecules stand in several rows (4 rows)" in said and "left out, line 3: invalid SMILES" in said
    assert "learning curves of all trainings: runs/folds/curves.png" in shown.err
    of_trials = [path.read_bytes() for path in run.glob("*/*/*/curves.png")]
    assert len(of_trials) == 6 and (run / "curves.png").read_bytes() not in of_trials


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights_and_is_then_finished(workspace, fitted, capsys):
    kill = {"class_path": "tests.train.tiny_model.KillInEpoch", "init_args": {"epoch": 1, "marker": "killed"}}
    options = (*_BASE, "--name", "killed", "--trainer.callbacks", json.dumps([kill]))
    killed = Command([*options, *_ALLOW], workspace)
    assert killed.wait(240) == -signal.SIGKILL
    run = workspace / "runs" / "killed"
    assert not (run / "report.json").exists()
    assert main([*options, *_ALLOW]) == 0
    shown = capsys.readouterr()
    assert "epoch 1/3" not in shown.err and "epoch 2/3" in shown.err
    whole, trial = workspace / TRIAL, run / "tiny" / "seed_0"
    torch.testing.assert_close(_weights(trial / "best.ckpt"), _weights(whole / "best.ckpt"), rtol=0, atol=0)
    assert _epochs(trial) == _epochs(whole)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.suffix in (".ckpt", ".jsonl")}
    assert main([*options, *_ALLOW]) == 0
    again = capsys.readouterr()
    assert "epoch" not in again.err and again.out == shown.out
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_predict_keeps_every_row(workspace, fitted, capsys):
    table = 'id,smiles,activity\na,CCO,1\nb,"C1CC",2\n\nc,CCN\nd,CCCN,4\n'
    (workspace / "new.csv").write_text(table)
    assert main(["predict", "--ckpt_path", BEST, "CCO", "new.csv", "xyz", *_ALLOW]) == 0
    done = capsys.readouterr()
    rows = _read(done.out)
    assert [row["source"] for row in rows] == ["argument 1", *(f"new.csv:{i}" for i in (2, 3, 5, 6)), "argument 3"]
    assert [row["id"] for row in rows] == ["", "a", "b", "", "d", ""]
    assert [bool(row["predicted_activity"]) for row in rows] == [True, True, False, False, True, False]
    assert [bool(row["error"]) for row in rows] == [False, False, True, True, False, True]
    assert rows[0]["predicted_activity"] == rows[1]["predicted_activity"]
    assert "new.csv:3: invalid SMILES 'C1CC'" in done.err
    assert "3 of 6 molecules have no prediction" in done.err


@pytest.mark.slow
def test_explain_draws_a_molecule_and_says_what_it_cannot(workspace, fitted, capsys):
    assert main(["explain", "--ckpt_path", BEST, "CCO", *_ALLOW]) == 2
    assert "there is no GraphModel of this package in" in capsys.readouterr().err
    plstm = {"plstm": {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"hidden_channels": 8, "num_layers": 1}}}
    options = ("--name", "plstm", "--models", json.dumps(plstm), "--training.epochs", "1")
    assert main([*_BASE, *options]) == 0
    capsys.readouterr()
    assert main(["explain", "--ckpt_path", "runs/plstm/best.ckpt", "CC(C)CO"]) == 0
    assert "4 O" in capsys.readouterr().out
    assert (workspace / "explain.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_test_gives_the_metrics_of_the_report(workspace, fitted, capsys):
    assert main(["test", "--ckpt_path", BEST, "--output", "metrics.json", *_ALLOW]) == 0
    done = capsys.readouterr()
    found = json.loads((workspace / "metrics.json").read_text())
    report = json.loads((workspace / "runs" / "small" / "report.json").read_text())["models"]["tiny"]["tests"]
    for name in ("rmse", "mae", "r2"):
        assert found[name] == pytest.approx(report[f"test/{name}"]["mean"])
    assert "4 molecules (test)" in done.out
    assert "left out, line 3" in done.err


@pytest.mark.slow
def test_two_processes_train_as_one_and_see_each_molecule_once(workspace):
    record = {"class_path": "tests.train.tiny_model.Record", "init_args": {"folder": "records"}}
    tiny = {"tiny": {"class_path": "tests.train.tiny_model.TinyModel", "init_args": {"dropout": 0.0}}}
    # Dropout differs between processes, so that only without it one and two processes can agree.
    options = (*_BASE, "--models", json.dumps(tiny), "--training.epochs", "2", "--training.batch_size", "10")
    options = (*options, "--trainer.callbacks", json.dumps([record]))
    # 25 molecules: batches of 10, 10 and 5, the last of which two processes share unevenly.
    (workspace / "records").mkdir()
    both = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--name", "ddp")
    shared = Command([*options, *both, *_ALLOW], workspace)
    assert shared.wait(240) == 0, shared.err
    assert main([*options, "--name", "as-one", *_ALLOW]) == 0
    first, second, single = (
        torch.load(workspace / "records" / name, weights_only=True) for name in ("2-0.pt", "2-1.pt", "1-0.pt")
    )
    torch.testing.assert_close(first["weights"], second["weights"], rtol=0, atol=0)
    torch.testing.assert_close(first["weights"], single["weights"])
    for split in ("train", "valid"):
        for one, other, all_of_them in zip(
            first["seen"][split], second["seen"][split], single["seen"][split], strict=True
        ):
            assert sorted(one + other) == sorted(all_of_them)
            assert len(set(all_of_them)) == len(all_of_them)


def test_garbage_is_collected_again_once_all_is_imported(capsys):
    assert main(["predict", "--ckpt_path", "nowhere.ckpt", "CCO"]) == 2
    assert gc.isenabled()


def test_help_and_info(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("fit", "test", "predict", "info", "--config configs/chembl.yaml"))
    assert main(["info"]) == 0
    done = capsys.readouterr()
    assert f"torch            {torch.__version__}" in done.out
    assert "torch_scatter" in done.out and "\nnative code      " in done.out
    assert done.err == ""
