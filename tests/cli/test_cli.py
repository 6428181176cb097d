"""Every command as a user runs it, on a few molecules."""

import csv
import io
import itertools
import json
import signal

import pytest
import torch

from tests.cli.conftest import command


def _read(text):
    return list(csv.DictReader(io.StringIO(text)))


def _weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.slow
def test_fit_shows_its_plan_and_leaves_a_report(workspace, fitted):
    for text in (
        "run       runs/small\n",
        "table.csv, 32 molecules, 2 bad rows left out",
        "left out, line 3: invalid SMILES 'C1CC'",
        "left out, line 35: target 'activity' is 'much'",
        "random: 25 train, 3 valid, 4 test",
        "TinyModel, 2,465 parameters",
        "at most 3 epochs of 5 steps",
        "CPU, 1 process, 1 threads",
        "mean predictor",
        "Morgan + ridge",
    ):
        assert text in fitted.stdout
    assert "epoch 3/3" in fitted.stderr
    assert "arning" not in fitted.stderr
    assert "Tip" not in fitted.stderr
    run = workspace / "runs" / "small"
    found = {path.name for path in run.iterdir()}
    assert found == {
        *("config.yaml", "checkpoints", "tensorboard", "metrics.csv"),
        *("results.json", "results.md", "curves.png", "test_predictions.csv"),
    }
    results = json.loads((run / "results.json").read_text())
    assert set(results["test"]) == {"TinyModel", "mean predictor", "Morgan + ridge", "Morgan + random forest"}
    assert len(_read((run / "metrics.csv").read_text())) == 3
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    rows = _read((run / "test_predictions.csv").read_text())
    squared = [(float(row["activity"]) - float(row["predicted_activity"])) ** 2 for row in rows]
    assert (sum(squared) / len(squared)) ** 0.5 == pytest.approx(results["test"]["TinyModel"]["rmse"], rel=1e-4)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(workspace, fitted):
    options = ("fit", "--config", "config.yaml", "--name", "killed", "--baselines", "false")
    kill = ("--trainer.callbacks", "tests.train.tiny_model.KillInEpoch", "--trainer.callbacks.epoch", "1")
    killed = command(workspace, *options, *kill, check=False)
    assert killed.returncode == -signal.SIGKILL
    run = workspace / "runs" / "killed"
    assert not (run / "results.json").exists()
    resumed = command(workspace, *options, "--ckpt_path", "last")
    assert "resumed from runs/killed/checkpoints/last.ckpt" in resumed.stdout
    whole = workspace / "runs" / "small"
    for name in ("last.ckpt", "best.ckpt"):
        expected, found = (_weights(folder / "checkpoints" / name) for folder in (whole, run))
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    histories = [_read((folder / "metrics.csv").read_text()) for folder in (whole, run)]
    for row in itertools.chain(*histories):
        del row["seconds"]
    assert histories[0] == histories[1]


@pytest.mark.slow
def test_predict_keeps_every_row(workspace, fitted):
    table = 'id,smiles,activity\na,CCO,1\nb,"C1CC",2\n\nc,CCN\nd,CCCN,4\n'
    (workspace / "new.csv").write_text(table)
    checkpoint = "runs/small/checkpoints/best.ckpt"
    done = command(workspace, "predict", "--ckpt_path", checkpoint, "CCO", "new.csv", "xyz")
    rows = _read(done.stdout)
    assert [row["source"] for row in rows] == ["argument 1", *(f"new.csv:{i}" for i in (2, 3, 5, 6)), "argument 3"]
    assert [row["id"] for row in rows] == ["", "a", "b", "", "d", ""]
    assert [bool(row["predicted_activity"]) for row in rows] == [True, True, False, False, True, False]
    assert [bool(row["error"]) for row in rows] == [False, False, True, True, False, True]
    assert rows[0]["predicted_activity"] == rows[1]["predicted_activity"]
    assert "new.csv:3: invalid SMILES 'C1CC'" in done.stderr
    assert "3 of 6 molecules have no prediction" in done.stderr


@pytest.mark.slow
def test_explain_draws_a_molecule_and_says_what_it_cannot(workspace, fitted):
    checkpoint = ("--ckpt_path", "runs/small/checkpoints/best.ckpt")
    failed = command(workspace, "explain", *checkpoint, "CCO", check=False)
    assert failed.returncode == 2
    assert "there is no GraphModel of this package in GraphModule" in failed.stderr
    options = ("--model.model", "plstm_graph.nn.PLSTM", "--model.model.init_args.out_channels", "1")
    command(workspace, "fit", "--config", "config.yaml", "--name", "plstm", "--baselines", "false", *options)
    done = command(workspace, "explain", "--ckpt_path", "runs/plstm/checkpoints/best.ckpt", "CC(C)CO")
    assert "4 O" in done.stdout
    assert (workspace / "explain.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_test_gives_the_metrics_of_the_report(workspace, fitted):
    checkpoint = "runs/small/checkpoints/best.ckpt"
    done = command(workspace, "test", "--ckpt_path", checkpoint, "--output", "metrics.json")
    found = json.loads((workspace / "metrics.json").read_text())
    report = json.loads((workspace / "runs" / "small" / "results.json").read_text())
    assert {name: found[name] for name in ("rmse", "mae", "r2")} == pytest.approx(report["test"]["TinyModel"])
    assert "4 molecules (test)" in done.stdout
    assert "left out, line 3" in done.stderr


@pytest.mark.slow
def test_two_processes_train_as_one_and_see_each_molecule_once(workspace):
    recording = ("--trainer.callbacks", "tests.train.tiny_model.Record", "--trainer.callbacks.folder", "records")
    options = ("fit", "--config", "config.yaml", "--name", "ddp", "--baselines", "false", *recording)
    # Dropout differs between processes, so that only without it one and two processes can agree.
    options = (*options, "--model.model.init_args.dropout", "0", "--trainer.max_epochs", "2")
    # 25 molecules: batches of 10, 10 and 5, the last of which two processes share unevenly.
    (workspace / "records").mkdir()
    command(workspace, *options, "--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.batch_size", "5")
    command(workspace, *options, "--data.batch_size", "10")
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
    assert sorted(path.name for path in (workspace / "runs").glob("ddp*")) == ["ddp", "ddp-2"]


def test_help_and_info(workspace):
    shown = command(workspace, "--help").stdout
    assert all(text in shown for text in ("fit", "test", "predict", "info", "--config configs/chembl.yaml"))
    done = command(workspace, "info")
    assert f"torch            {torch.__version__}" in done.stdout
    assert "torch_scatter" in done.stdout
    assert done.stderr == ""
