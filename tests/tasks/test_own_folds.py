"""Folds of tables and folders of one's own, in a task and by the command."""

import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from plstm_graph.cli import main
from plstm_graph.tasks.registry import load_task
from plstm_graph.train.command import parse
from tests.made_sets import make_folder

SMILES = (
    "CCO CCN CCC CCCl CCBr c1ccccc1 c1ccccc1C c1ccccc1O C1CCCCC1 C1CCCC1 CC(C)C CC(=O)O CCOC CCS OCC=O NCC=O c1ccncc1 "
    "c1ccoc1 C1CCNCC1 CC#N CCCC C1CC1 C1CCC1 C1CCOC1"
).split()


def _table(path):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", "size", "heavy", "batch", "empty", "one"])
        for number, text in enumerate(SMILES):
            cells = [f"g{number % 6}", "" if number == 2 else f"g{number}", "same"]
            writer.writerow([text, len(text) + number / 100, int(len(text) > 4), *cells])
    return str(path)


def _tested(task):
    return [graph.smiles for graph in task.parts["test"]]


@pytest.mark.parametrize("split", ["random", "stratified", "scaffold", "group"])
def test_each_molecule_is_tested_once(tmp_path, split):
    common = {"path": _table(tmp_path / "t.csv"), "root": str(tmp_path / "root"), "target_columns": ["size"]}
    common |= {"split": split, "num_folds": 4} | ({"group_column": "batch"} if split == "group" else {})
    tasks = [load_task("molecules", **common, fold=fold) for fold in range(4)]
    assert sorted(text for task in tasks for text in _tested(task)) == sorted(SMILES)
    groups = {text: f"g{number % 6}" for number, text in enumerate(SMILES)}
    for task in tasks:
        assert task.num_folds == 4
        parts = [{graph.smiles for graph in task.parts[part]} for part in ("train", "valid", "test")]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(SMILES)
        if split == "group":
            found = [{groups[text] for text in part} for part in parts]
            assert sum(map(len, found)) == 6
    assert _tested(tasks[0]) == _tested(load_task("molecules", **common, fold=0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "group"}, "needs group_column"),
        ({"group_column": "batch"}, "goes with split: group or split: stratified, not with 'scaffold'"),
        ({"split": "group", "group_column": "bacth"}, "has no column 'bacth'.*Did you mean 'batch'"),
        ({"split": "batch", "num_folds": 3}, "says the parts itself, so there are no folds"),
        ({"fold": 1}, "num_folds says so"),
        ({"split": "group", "group_column": "empty"}, "t.csv, line 4: column 'empty' is empty"),
        ({"split": "group", "group_column": "one"}, "three parts need as many groups, and the number is 1"),
        ({"num_folds": 3, "fold": 3}, "folds are numbered from 0 to 2, got 3"),
        ({"num_folds": 2}, "at least 3"),
        (
            {"split": "group", "group_column": "batch", "num_folds": 7},
            "7 folds need as many groups",
        ),
        ({"split": "stratified", "target_columns": ["size", "heavy"]}, "is by one target, and there are size, heavy"),
    ],
)
def test_what_does_not_go_together(tmp_path, options, message):
    given = {"path": _table(tmp_path / "t.csv"), "root": str(tmp_path / "root"), "target_columns": ["size"]}
    with pytest.raises(ValueError, match=message):
        load_task("molecules", **given | options)


@pytest.mark.parametrize("split", [{}, {"group": "family"}, {"stratified": True}])
def test_each_dag_of_a_folder_is_tested_once_and_its_own_split_is_no_feature(tmp_path, split):
    folder = make_folder(tmp_path / "dags", "graph", "regression")
    rows = list(csv.DictReader((folder / "graphs.csv").read_text().splitlines()))
    with (folder / "graphs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "family"])
        writer.writeheader()
        for number, row in enumerate(rows):
            writer.writerow(row | {"family": f"f{number % 5}"})
    tasks = [load_task("dag_folder", path=str(folder), split=split, num_folds=3, fold=fold) for fold in range(3)]
    by_fold = [[graph.graph_id for graph in task.parts["test"]] for task in tasks]
    assert sorted(name for fold in by_fold for name in fold) == sorted(row["graph"] for row in rows)
    for task in tasks:
        assert [column.name for column in task.labelled.encoding.columns] == ["op", "size"]
    if "group" in split:
        family = {row["graph"]: f"f{number % 5}" for number, row in enumerate(rows)}
        assert sum(len({family[name] for name in fold}) for fold in by_fold) == 5


def test_the_command_trains_models_over_folds_and_seeds_and_reports_each_target(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)  # how good they are is not asked here
    monkeypatch.setattr("plstm_graph.report.labelled._draw", lambda *_: None)  # one picture for each of 12 trainings
    model = {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": {"hidden_channels": 4, "num_layers": 1}}
    plstm = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"hidden_channels": 4, "num_layers": 1, "heads": 1}}
    targets = {"target_columns": ["size", "heavy"]}
    config = {
        "task": {"name": "molecules", "path": _table(tmp_path / "t.csv"), "root": str(tmp_path / "root")} | targets,
        "models": {"plstm": plstm, "gin": model},
        "training": {"epochs": 1, "batch_size": 8},
        "threads": 1,
        "device": "cpu",
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    command = ["fit", "--config", str(tmp_path / "c.yaml"), "--output", str(tmp_path / "run")]
    assert main([*command, "--folds", "3", "--seeds", "0-1"]) == 0
    printed = capsys.readouterr().out
    assert "| folds x seeds |" in printed and "| 3 x 2 |" in printed and "Morgan + ridge" in printed
    assert "| plstm | heavy |" in printed and "| gin | size |" in printed
    report = json.loads((tmp_path / "run/report.json").read_text())
    rows = report["models"]["gin"]["seeds"]
    assert sorted((row["fold"], row["seed"]) for row in rows) == [(fold, seed) for fold in range(3) for seed in (0, 1)]
    for metric in ("rmse of size", "rmse of heavy", "standardised_rmse"):
        mean = sum(row["tests"]["test"][metric] for row in rows) / 6
        assert report["models"]["gin"]["tests"][f"test/{metric}"]["mean"] == pytest.approx(mean, rel=1e-9)
    assert report["monitor"] == {"standardised_rmse": "min"}  # targets may be of different units
    assert main([*command, "--folds", "4", "--seeds", "0"]) == 2
    assert "num_folds" in capsys.readouterr().err


@pytest.mark.parametrize(
    "choose", [{"task.split": ["random", "scaffold"]}, {"task.seed": [0, 1]}, {"task.num_folds": [3, 4]}]
)
def test_what_changes_the_samples_that_are_compared_is_no_choice(tmp_path, capsys, choose):
    task = {"name": "molecules", "path": _table(tmp_path / "t.csv"), "root": str(tmp_path / "root"), "split": "random"}
    gin = {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": {"hidden_channels": 4, "num_layers": 1}}
    config = {
        "task": task | {"target_columns": ["size"]},
        "model": gin,
        "choose": choose,
        "device": "cpu",
        "threads": 1,
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", str(tmp_path / "c.yaml"), "--output", str(tmp_path / "run")]) == 2
    assert "changes the samples of valid, test" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_fold_that_cannot_be_trained_is_named_before_the_others_are(tmp_path, capsys):
    path = tmp_path / "t.csv"
    rows = [f"{text},{'yes' if number % 6 == 0 else 'no'},g{number % 6}" for number, text in enumerate(SMILES)]
    path.write_text("\n".join(["smiles,label,group", *rows]) + "\n")
    task = {"name": "molecules", "path": str(path), "root": str(tmp_path / "root"), "target_columns": ["label"]}
    task |= {"kind": "binary", "split": "group", "group_column": "group"}
    gin = {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": {"hidden_channels": 4, "num_layers": 1}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"task": task, "model": gin, "device": "cpu", "threads": 1}))
    command = ["fit", "--config", str(tmp_path / "c.yaml"), "--folds", "6", "--output", str(tmp_path / "run")]
    assert main(command) == 2
    assert re.search(r"fold \d: .*only 'no'", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_models_of_a_second_file_stand_beside_the_only_one(tmp_path):
    gin = {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": {"hidden_channels": 4, "num_layers": 1}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"task": {"name": "enas"}, "model": gin}))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({"models": {"wide": gin | {"init_args": {"hidden_channels": 8}}}}))
    study = parse(["--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml"), "--device=cpu"]).study
    assert list(study.models) == ["ogbgnn", "wide"]
    with pytest.raises(ValueError, match=r"give --models\.wide\.init_args\.KEY"):
        parse(["--config", str(tmp_path / "b.yaml"), "--task.name=enas", "--model.hidden_channels=4", "--device=cpu"])


def test_parts_of_data_that_have_changed_are_not_tested(tmp_path, capsys):
    """A row that moves may come from training into the test part, and nobody would see it."""
    path = Path(_table(tmp_path / "t.csv"))
    gin = {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": {"hidden_channels": 4, "num_layers": 1}}
    task = {"name": "molecules", "path": str(path), "root": str(tmp_path / "root"), "target_columns": ["size"]}
    config = {"task": task | {"split": "random"}, "model": gin, "training": {"epochs": 1}, "seeds": 0, "device": "cpu"}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", str(tmp_path / "c.yaml"), "--output", str(tmp_path / "run")]) == 0
    checkpoint = ["--ckpt_path", str(tmp_path / "run/best.ckpt"), "--device", "cpu"]
    assert main(["test", *checkpoint]) == 0
    before = path.read_bytes()
    header, *rows = before.decode().splitlines()
    for changed in (rows[1:] + rows[:1], rows[1:], [rows[0].replace("3.0", "4.0"), *rows[1:]]):
        path.write_text("\n".join([header, *changed]) + "\n")
        capsys.readouterr()
        assert main(["test", *checkpoint]) == 2
        assert "have changed since" in capsys.readouterr().err
    assert main(["test", *checkpoint, "--data", str(path)]) == 0
    path.write_bytes(before)
    assert main(["test", *checkpoint]) == 0


def test_a_search_does_not_go_on_with_other_data(tmp_path, capsys):
    path = Path(_table(tmp_path / "t.csv"))
    gin = {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": {"hidden_channels": 4, "num_layers": 1}}
    task = {"name": "molecules", "path": str(path), "root": str(tmp_path / "root"), "target_columns": ["size"]}
    config = {"task": task, "model": gin, "training": {"epochs": 1}, "seeds": 0, "device": "cpu"}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config | {"choose": {"training.batch_size": [4, 8]}}))
    command = ["tune", "--config", str(tmp_path / "c.yaml"), "--output", str(tmp_path / "run")]
    assert main([*command, "--trials", "1"]) == 0
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:-4]) + b"\n")
    assert main([*command, "--trials", "2"]) == 2
    assert "the data have changed since" in capsys.readouterr().err
