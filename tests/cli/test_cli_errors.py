"""Bad input gets a message that names it, exit status 2, and costs nothing that was there before."""

import pickle
import resource

import pytest
import torch

from plstm_graph.cli import main
from tests.cli.conftest import BEST

pytestmark = pytest.mark.slow
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
        (("--training.batchsize", "3"), "batchsize"),
        (("--training.batch_size", "many"), "many"),
        (("--training.batch_size", "0"), "epochs, batch_size and members must be at least 1"),
        (("--threads", "0"), "threads"),
        (("--task.path", "none.csv"), "none.csv"),
        (
            ("--task.target_columns", "[acivity]"),
            "no column 'acivity'; its columns are name, smiles, activity. Did you",
        ),
        (("--task.smiles_column", "SMILES"), "no column 'SMILES'"),
        (("--task.kind", "numbers"), "numbers"),
        (("--models", "{tiny: {class_path: torch.nn.Nothing}}"), "torch.nn.Nothing"),
        (
            ("--models", "{tiny: {class_path: tests.train.tiny_model.TinyModel, init_args: {hidden_channels: -8}}}"),
            "TinyModel cannot be made with {'hidden_channels': -8}: Trying to create tensor with negative dimension",
        ),
        (("--models.tiny.init_args.out_channels", "2"), "the model gives [2, 2] where the targets are [2, 1]"),
        (("--training.lr", "-1"), "lr and clip must be positive"),
        (("--name", "a/b"), "name must be a plain folder name, got 'a/b'"),
        (("--output", "table.csv/run"), "table.csv"),
    ],
)
def test_fit(capsys, workspace, options, message):
    assert message in _fails(capsys, *_FIT, *options)
    assert not (workspace / "runs" / "failing").exists()


def test_fit_with_an_unknown_key_in_the_configuration(capsys, workspace):
    (workspace / "typo.yaml").write_text((workspace / "config.yaml").read_text().replace("split:", "splti:"))
    assert "splti" in _fails(capsys, "fit", "--config", "typo.yaml")
    assert "none.yaml" in _fails(capsys, "fit", "--config", "none.yaml")


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--models.tiny.init_args.hidden_channels", "8"), "models.tiny.init_args.hidden_channels is 8, was None"),
        (("--task.seed", "3"), "task.seed is 3, was None"),
        (("--training.lr", "1.0"), "training.lr is 1.0, was 0.003"),
    ],
)
def test_another_study_in_the_same_folder_changes_nothing(options, message, capsys, workspace):
    run = workspace / "runs" / "small"
    before = _contents(run)
    assert message in _fails(capsys, "fit", "--config", "config.yaml", "--name", "small", *options)
    assert _contents(run) == before


@pytest.mark.parametrize("change", ["a target", "a row", "a split"])
def test_a_study_does_not_go_on_with_data_that_have_changed(change, capsys, workspace):
    """Whether it is finished or not: its numbers would be of two sets."""
    table = [f"{line},train" for line in (workspace / "table.csv").read_text().splitlines()]
    table = [table[0].replace("train", "part"), *table[1:11], table[11].replace("train", "valid")]
    table.append(table[11].replace("valid", "test"))
    (workspace / "changing.csv").write_text("\n".join(table) + "\n")
    name = f"changing {change}"
    options = ("fit", "--config", "config.yaml", "--name", name, "--training.epochs", "1", "--baselines", "false")
    options = (*options, "--task.path", "changing.csv", "--task.split", "part")
    assert main([*options, "--allow", "tests"]) == 0
    before = _contents(workspace / "runs" / name)
    changed = {
        "a target": [*table[:-1], table[-1].replace("C", "CC", 1)],
        "a row": [*table, table[-1]],
        "a split": [*table[:3], table[3].replace("train", "valid"), *table[4:]],
    }[change]
    (workspace / "changing.csv").write_text("\n".join(changed) + "\n")
    message = _fails(capsys, *options)
    assert f"the data have changed since runs/{name} began" in message and "another --name" in message
    assert _contents(workspace / "runs" / name) == before
    (workspace / "changing.csv").write_text("\n".join(table) + "\n")
    assert main([*options, "--allow", "tests"]) == 0


def test_damaged_and_foreign_checkpoints(capsys, workspace):
    content = (workspace / BEST).read_bytes()
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
    (workspace / "molecules.csv").write_text("mol\nC\n")
    (workspace / "empty.csv").write_text("")
    (workspace / "header.csv").write_text("smiles\n")
    for inputs, message in {
        ("none.csv",): "none.csv",
        ("molecules.csv",): "no column 'smiles', nor one whose cells are molecules; its columns are mol",
        ("empty.csv",): "empty.csv is empty",
        ("header.csv",): "no rows",
        ("CCO", "--output", "table.csv/out.csv"): "table.csv",
        ("CCO", "--device", "toaster"): "device 'toaster' cannot be used",
    }.items():
        assert message in _fails(capsys, "predict", "--ckpt_path", BEST, *inputs)
    assert main(["predict", "--ckpt_path", BEST, "molecules.csv", "--smiles_column", "mol", "--allow", "tests"]) == 0


def test_test(capsys, workspace):
    (workspace / "unmeasured.csv").write_text("smiles,other\nCCO,1\n")
    assert "no column 'activity'" in _fails(capsys, "test", "--ckpt_path", BEST, "--data", "unmeasured.csv")
    assert "none.csv" in _fails(capsys, "test", "--ckpt_path", BEST, "--data", "none.csv")
    assert "invalid choice: 'tset'" in _fails(capsys, "test", "--ckpt_path", BEST, "--split", "tset")


def test_the_traceback_is_there_for_those_who_want_it(monkeypatch):
    monkeypatch.setenv("PLSTM_GRAPH_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt"):
        main(["test", "--ckpt_path", "none.ckpt"])


def test_a_run_that_stopped_early_stays_stopped_and_another_seed_keeps_the_first(capsys, workspace):
    options = ("fit", "--config", "config.yaml", "--name", "early", "--baselines", "false", "--training.patience", "1")
    options = (*options, "--training.lr", "1.0e-9", "--training.epochs", "50", "--allow", "tests")
    assert main(options) == 0
    epochs = workspace / "runs" / "early" / "tiny" / "seed_0" / "epochs.jsonl"
    before = epochs.read_bytes()
    assert 2 <= len(before.splitlines()) < 50
    capsys.readouterr()
    assert main(options) == 0
    assert epochs.read_bytes() == before and "epoch" not in capsys.readouterr().err
    assert main([*options, "--seeds", "1"]) == 0
    assert epochs.read_bytes() == before
    shown = capsys.readouterr()
    assert "seed 1, epoch 1/50" in shown.err and "seed 0, epoch" not in shown.err
    assert "| tiny | 0 |" in shown.out and "| tiny | 1 |" in shown.out


def test_a_full_disk(capsys, workspace):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limits[1]))  # longer files fail as on a full disk
    try:
        message = _fails(capsys, *_FIT[:-1], "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "runs/full/tiny/seed_0/last.ckpt could not be written; is the disk full?" in message


def test_a_prediction_of_nothing_is_no_success(capsys, workspace):
    (workspace / "bad.csv").write_text("smiles\nC1CC\n[Q]\n")
    for inputs in (("C1CC",), ("bad.csv",), ("C1CC", "bad.csv", "x(")):
        assert main(["predict", "--ckpt_path", BEST, *inputs, "--output", "none.csv", "--allow", "tests"]) == 1
        assert "have no prediction" in capsys.readouterr().err
    assert len((workspace / "none.csv").read_text().splitlines()) == 5, "rows stay, with the reason of each"
    assert main(["predict", "--ckpt_path", BEST, "C1CC", "CCO", "--output", "some.csv", "--allow", "tests"]) == 0
