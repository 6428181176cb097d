"""Bad input gets a message that names it, exit status 2, and costs nothing that was there before."""

import pickle
import resource

import pytest
import torch

from plstm_graph.cli import main

pytestmark = [
    # Lightning's command line calls what newer versions of jsonargparse deprecate.
    pytest.mark.filterwarnings(r"ignore:(?s).*JsonargparseDeprecation:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:(?s).*instantiate_classes.* was deprecated:DeprecationWarning"),
    pytest.mark.slow,
]
_BEST = "runs/small/checkpoints/best.ckpt"
_FIT = ("fit", "--config", "config.yaml", "--name", "failing")


@pytest.fixture(autouse=True)
def _in_workspace(workspace, fitted, monkeypatch):
    monkeypatch.chdir(workspace)


def _fails(capsys, *arguments):
    """The message of a command that must fail."""
    try:
        status = main([*arguments, "--allow", "tests"])
    except SystemExit as exit:  # how argparse and jsonargparse leave
        status = exit.code
    message = capsys.readouterr().err
    assert status == 2, message
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data.batchsize", "3"), "batchsize"),
        (("--data.batch_size", "many"), "many"),
        (("--data.batch_size", "0"), "batch_size must be at least 1, got 0"),
        (("--threads", "0"), "threads"),
        (("--data.path", "none.csv"), "none.csv"),
        (
            ("--data.target_columns", "[acivity]"),
            "no column 'acivity'; its columns are name, smiles, activity. Did you",
        ),
        (("--data.smiles_column", "SMILES"), "no column 'SMILES'"),
        (("--model.model", "torch.nn.Nothing"), "torch.nn.Nothing"),
        (("--model.model.init_args.out_channels", "2"), "out_channels=1 is needed"),
        (("--model.lr", "-1"), "lr must be positive"),
        (("--name", "a/b"), "name must be a plain folder name, got 'a/b'"),
        (("--runs_dir", "table.csv/runs"), "table.csv"),
        (("--ckpt_path", "last"), "no run to resume: runs/failing/checkpoints/last.ckpt is not there"),
        (("--ckpt_path", "none.ckpt"), "no checkpoint at none.ckpt"),
        (("--ckpt_path", "table.csv"), "table.csv is no file of tensors"),
    ],
)
def test_fit(capsys, workspace, options, message):
    assert message in _fails(capsys, *_FIT, *options)
    if options[1] != "table.csv":
        assert not (workspace / "runs" / "failing").exists()


def test_fit_with_an_unknown_key_in_the_configuration(capsys, workspace):
    (workspace / "typo.yaml").write_text((workspace / "config.yaml").read_text().replace("split:", "splti:"))
    assert "splti" in _fails(capsys, "fit", "--config", "typo.yaml")
    assert "none.yaml" in _fails(capsys, "fit", "--config", "none.yaml")


def test_resuming_another_model_changes_nothing(capsys, workspace):
    run = workspace / "runs" / "small"
    before = {path.name: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    options = ("--name", "small", "--model.model.init_args.hidden_channels", "8", "--ckpt_path", "last")
    assert "the checkpoint belongs to another model" in _fails(capsys, *_FIT, *options)
    after = {path.name: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert after == before


def test_damaged_and_foreign_checkpoints(capsys, workspace):
    content = (workspace / _BEST).read_bytes()
    (workspace / "short.ckpt").write_bytes(content[: len(content) // 2])
    (workspace / "pickle.ckpt").write_bytes(pickle.dumps({"state_dict": {}}))
    torch.save({"state_dict": {}, "object": torch.nn.Linear(1, 1)}, workspace / "object.ckpt")
    torch.save({"state_dict": {}}, workspace / "other.ckpt")
    for name, message in {
        "short.ckpt": "is no file of tensors, or only a part of one",
        "pickle.ckpt": "is no file of tensors",
        "object.ckpt": "it names torch.nn.modules.linear.Linear, which could run code",
        "other.ckpt": "not a checkpoint of plstm-graph",
        "none.ckpt": "no checkpoint at none.ckpt",
    }.items():
        for command in (("predict", "CCO"), ("test",)):
            found = _fails(capsys, *command, "--ckpt_path", name)
            assert name in found
            assert message in found


def test_predict(capsys, workspace):
    (workspace / "molecules.csv").write_text("mol\nCCO\n")
    (workspace / "empty.csv").write_text("")
    (workspace / "header.csv").write_text("smiles\n")
    for inputs, message in {
        ("none.csv",): "none.csv",
        ("molecules.csv",): "no column 'smiles'; its columns are mol",
        ("empty.csv",): "empty.csv is empty",
        ("header.csv",): "no rows",
        ("CCO", "--output", "table.csv/out.csv"): "table.csv",
        ("CCO", "--device", "toaster"): "device 'toaster' cannot be used",
    }.items():
        assert message in _fails(capsys, "predict", "--ckpt_path", _BEST, *inputs)
    assert main(["predict", "--ckpt_path", _BEST, "molecules.csv", "--smiles_column", "mol", "--allow", "tests"]) == 0


def test_test(capsys, workspace):
    (workspace / "unmeasured.csv").write_text("smiles,other\nCCO,1\n")
    assert "no column 'activity'" in _fails(capsys, "test", "--ckpt_path", _BEST, "--data", "unmeasured.csv")
    assert "none.csv" in _fails(capsys, "test", "--ckpt_path", _BEST, "--data", "none.csv")
    assert "invalid choice: 'tset'" in _fails(capsys, "test", "--ckpt_path", _BEST, "--split", "tset")


def test_the_traceback_is_there_for_those_who_want_it(monkeypatch):
    monkeypatch.setenv("PLSTM_GRAPH_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt"):
        main(["test", "--ckpt_path", "none.ckpt"])


def test_a_run_that_stopped_early_stays_stopped_and_a_second_run_keeps_the_first(capsys, workspace):
    options = ("fit", "--config", "config.yaml", "--name", "early", "--baselines", "false", "--patience", "1")
    options = (*options, "--model.lr", "1.0e-9", "--trainer.max_epochs", "50", "--allow", "tests")
    assert main(options) == 0
    run = workspace / "runs" / "early"
    metrics = (run / "metrics.csv").read_bytes()
    assert 2 <= len(metrics.splitlines()) < 50
    assert main([*options, "--ckpt_path", "last"]) == 0
    assert (run / "metrics.csv").read_bytes() == metrics
    assert main([*options, "--seed_everything", "1"]) == 0
    assert (run / "metrics.csv").read_bytes() == metrics
    assert (workspace / "runs" / "early-2" / "results.json").exists()


def test_a_full_disk(capsys, workspace):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limits[1]))  # longer files fail as on a full disk
    try:
        message = _fails(capsys, *_FIT[:-1], "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "runs/full/checkpoints/best.ckpt could not be written; is the disk full?" in message


def test_a_prediction_of_nothing_is_no_success(capsys, workspace):
    (workspace / "bad.csv").write_text("smiles\nC1CC\n[Q]\n")
    for inputs in (("C1CC",), ("bad.csv",), ("C1CC", "bad.csv", "x(")):
        assert main(["predict", "--ckpt_path", _BEST, *inputs, "--output", "none.csv", "--allow", "tests"]) == 1
        assert "have no prediction" in capsys.readouterr().err
    assert len((workspace / "none.csv").read_text().splitlines()) == 5, "rows stay, with the reason of each"
    assert main(["predict", "--ckpt_path", _BEST, "C1CC", "CCO", "--output", "some.csv", "--allow", "tests"]) == 0
