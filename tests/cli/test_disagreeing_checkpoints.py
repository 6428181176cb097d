"""Checkpoints whose targets, classes and outputs disagree: an error that says so, never a column of another name."""

import pytest

from plstm_graph.cli import main
from tests.made_checkpoints import SIZES, write_checkpoint


def checkpoint(folder, outputs=1, names=("y",), kind="regression", classes=None, model=None, given=None):
    """A checkpoint of a model of so many columns that says what it likes of them."""
    sizes = SIZES | {"out_channels": outputs}
    spec = {"class_path": "plstm_graph.nn.PLSTM", "init_args": sizes | (model or {})}
    return str(
        write_checkpoint(
            folder / "a.ckpt",
            sizes,
            model=spec,
            kind=kind,
            target_names=list(names),
            reading={} if classes is None else {"classes": classes},
            given={"smiles_column": "smiles"} | (given or {}),
        )
    )


@pytest.mark.parametrize(
    ("outputs", "names", "kind", "classes", "message"),
    [
        (1, ["a", "b"], "regression", None, "the model gives 1 columns, but there are 2 targets (a, b)"),
        (3, ["a"], "regression", None, "the model gives 3 columns, but there are 1 targets (a)"),
        (1, [], "regression", None, "the model gives 1 columns, but there are no targets"),
        (3, ["a", "b", "a"], "multilabel", None, "two columns of predictions would be called 'a'"),
        (3, ["y"], "multiclass", [["u", "v"]], "the model gives 3 columns, but there are 2 classes (u, v)"),
        (2, ["y"], "multiclass", [["u", "u"]], "two columns of predictions would be called 'u'"),
        (3, ["y", "z"], "multiclass", None, "a multiclass model has one target, but there are 2 targets (y, z)"),
        (1, ["y"], "binary", [["only"]], "has two classes, but there are 1 classes (only)"),
        (1, ["y"], "multilabel", [["a", "b"], ["c", "d"]], "classes of 2 targets, but 1 targets (y)"),
        (1, ["y"], "multilabel", [[0, 1]], "has classes that are no names"),
        (1, ["y"], "multilabel", {"0": ["a", "b"]}, "has classes that are no names"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "explain"])
def test_columns_that_do_not_line_up(command, outputs, names, kind, classes, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = checkpoint(tmp_path, outputs, names, kind, classes)
    assert main([command, "--ckpt_path", path, "CCO"]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and "Traceback" not in shown.err and not shown.out


def test_metrics_of_no_target(tmp_path, capsys):
    (tmp_path / "table.csv").write_text("smiles,y\nCCO,1\nCCN,2\n")
    assert main(["test", "--ckpt_path", checkpoint(tmp_path, names=[]), "--data", str(tmp_path / "table.csv")]) == 2
    assert "the model gives 1 columns, but there are no targets" in capsys.readouterr().err


def test_names_of_columns_that_two_targets_and_their_classes_make_alike(tmp_path, capsys):
    path = checkpoint(tmp_path, 2, ["a", "a: b"], "multilabel", [["x", "b: c"], ["c", "d"]])
    assert main(["predict", "--ckpt_path", path, "CCO"]) == 2
    assert "two columns of predictions would be called 'probability_a: b: c'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("classes", [None, [["a,b", "[b]é", "c|d"]]])
def test_explain_knows_the_classes_of_molecules(classes, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = checkpoint(tmp_path, 3, ["y"], "multiclass", classes)
    for name in classes[0] if classes else ["0", "1", "2"]:
        assert main(["explain", "--ckpt_path", path, "CCO", "--target", name, "--output", "a.png"]) == 0
        assert f"y: {name} = " in " ".join(capsys.readouterr().out.split())
    assert main(["explain", "--ckpt_path", path, "CCO", "--target", "none"]) == 2
    assert "there is no target called 'none'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ({"hidden_channels": -8}, {}, "cannot be made: Trying to create tensor with negative dimension -8"),
        ({"pool": "os.system"}, {}, "os.system"),
        ({"hidden_channels": 8, "heads": 3}, {}, "heads"),
        ({}, "SVDFeatureReduction", "the pre-transform SVDFeatureReduction of the checkpoint cannot be applied"),
        ({}, "TargetIndegree", "the pre-transform TargetIndegree of the checkpoint cannot be applied"),
        ({}, "LinearTransformation", "the pre-transform LinearTransformation of the checkpoint cannot be applied"),
    ],
)
def test_models_and_transforms_that_do_not_work(model, data, message, tmp_path, capsys):
    arguments = {"SVDFeatureReduction": {"out_channels": 2}, "TargetIndegree": {"max_value": "x"}}
    transform = {
        "class_path": f"torch_geometric.transforms.{data}",
        "init_args": arguments.get(str(data), {"matrix": [[1.0]]}),
    }
    path = checkpoint(tmp_path, model=model, given={"pre_transform": transform} if data else {})
    status = main(["predict", "--ckpt_path", path, "CCO"])
    error = capsys.readouterr().err
    assert status == 2 and (message in error or "cannot be made" in error), error


@pytest.mark.parametrize("argument", ["no/such/folder", "table.csv", "a_folder", "../x.y"])
def test_arguments_that_were_meant_as_paths(argument, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_folder").mkdir()
    (tmp_path / "table.csv").write_text("smiles\nCCO\n")
    path = checkpoint(tmp_path)
    assert main(["explain", "--ckpt_path", path, argument]) == 2
    there = argument in ("table.csv", "a_folder")
    expected = f"{argument} is a file or folder" if there else "there is no such file or folder either"
    assert expected in capsys.readouterr().err
    if not there:
        assert main(["predict", "--ckpt_path", path, argument]) == 1
        assert expected in capsys.readouterr().err
