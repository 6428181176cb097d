"""Checkpoints, run folders and configurations by strangers, given to the commands: nothing of them runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest
import torch

from plstm_graph.cli import main
from plstm_graph.datasets import from_networkx
from plstm_graph.predict.predictor import load_predictor
from plstm_graph.train.checkpoint import CheckpointError, read_checkpoint
from plstm_graph.train.checkpoint_io import SafeCheckpointIO
from tests.datasets.storage.test_plain_values import LAUGHS
from tests.made_checkpoints import MODEL, write_checkpoint
from tests.processes import ROOT

EVIL = """
import pathlib
pathlib.Path("made").touch()
import torch
from plstm_graph.nn import PLSTM
from plstm_graph.transforms import ToDAG
from plstm_graph.tasks.graph_task import GraphTask
from lightning.pytorch import Callback

class Model(PLSTM):
    pass

class Transform(ToDAG):
    pass

class Data(GraphTask):
    pass

class Call(Callback):
    pass

def run(*arguments, **more):
    raise SystemExit("it ran")
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A working folder with a module that leaves a file behind when it is imported."""
    (tmp_path / "evil.py").write_text(EVIL)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path
    for name in [name for name in sys.modules if name == "evil" or name.startswith("evil.")]:
        del sys.modules[name]


def checkpoint(path, model=MODEL, given=None, **changes):
    return write_checkpoint(path, model=model, given={"smiles_column": "smiles"} | (given or {}), **changes)


def spec(name, **arguments):
    return {"class_path": name, "init_args": arguments}


EVIL_MODELS = [
    spec("os.system", command="touch made"),
    spec("subprocess.run", args=["touch", "made"]),
    spec("builtins.exec", source="open('made', 'w')"),
    spec("torch.hub.load", repo_or_dir=".", model="evil", source="local"),
    spec("evil.Model", **MODEL["init_args"]),
    spec("evil.run"),
    spec("torch_geometric.nn.Sequential", input_args="x: open('made', 'w')", modules=[]),
    spec("plstm_graph.nn.Ensemble", model=spec("evil.Model", **MODEL["init_args"]), members=1),
    spec("plstm_graph.predict.predictor.load_predictor", path="other.ckpt"),
    "os.system",
    "evil.Model",
]


@pytest.mark.parametrize(
    "model", EVIL_MODELS, ids=lambda model: model if isinstance(model, str) else model["class_path"]
)
@pytest.mark.parametrize("command", [("predict", "CCO"), ("explain", "CCO"), ("test",)], ids=lambda command: command[0])
def test_models_of_checkpoints(stranger, capsys, model, command):
    path = checkpoint(stranger / "a.ckpt", model)
    assert main([command[0], "--ckpt_path", str(path), *command[1:]]) == 2
    message = capsys.readouterr().err
    expected = ("may not be named by a file", "cannot be made", "has something else for model")
    assert any(text in message for text in expected)
    assert not (stranger / "made").exists() and "evil" not in sys.modules


@pytest.mark.parametrize(
    "model",
    [
        {"num_layers": 10**9},
        {"hidden_channels": 2**40},
        {"in_channels": [10**12]},
        {"ffn_ratio": 2.0, "readout_channels": 10**10},
        {"num_layers": -(10**9)},
        {"ffn_ratio": 1e9},
        {"ffn_ratio": float("inf")},
    ],
)
def test_models_larger_than_their_weights_are_not_made(stranger, capsys, model):
    *_, (name, value) = model.items()
    for whole in (MODEL, spec("plstm_graph.nn.Ensemble", model=MODEL, members=2)):
        inner = MODEL | {"init_args": MODEL["init_args"] | model}
        path = checkpoint(
            stranger / "a.ckpt", inner if whole is MODEL else spec(whole["class_path"], model=inner, members=2)
        )
        assert main(["predict", "--ckpt_path", str(path), "CCO"]) == 2
        shown = value[0] if isinstance(value, list) else value
        assert f"too few for a model of {name} = {shown}" in capsys.readouterr().err
    path = checkpoint(stranger / "a.ckpt", spec("plstm_graph.nn.Ensemble", model=MODEL, members=10**9))
    assert main(["predict", "--ckpt_path", str(path), "CCO"]) == 2
    assert "too few for a model of members = 1000000000" in capsys.readouterr().err


def test_transforms_and_data_of_checkpoints(stranger, capsys):
    (stranger / "table.csv").write_text("smiles,y\nCCO,1\nCC,2\nCCC,3\n")
    compose = "torch_geometric.transforms.Compose"
    transforms = [spec("evil.Transform"), "evil.Transform", spec(compose, transforms=["os.system"])]
    transforms += [spec(compose, transforms=[spec("evil.run")]), spec("os.system", command="touch made")]
    molecules = {"name": "molecules", "path": "table.csv"}
    for transform in transforms:
        again = {"pre_transform": transform}
        path = checkpoint(stranger / "a.ckpt", given=again, task=molecules | again)
        for command in (["predict", "CCO"], ["explain", "CCO"], ["test"]):
            assert main([command[0], "--ckpt_path", str(path), *command[1:]]) == 2, transform
    for name in ("evil.Data", "os.system", "plstm_graph.cli.main", "torch.nn.Linear"):
        path = checkpoint(stranger / "a.ckpt", data=name, task={"name": name})
        for command in (["predict", "CCO"], ["explain", "CCO"], ["test"]):
            assert main([command[0], "--ckpt_path", str(path), *command[1:]]) == 2, name
    for task in (7, None, [], {}, {"name": 7}, {"name": ["x"]}, molecules | {"evil": 1}, molecules | {"kind": "evil"}):
        path = checkpoint(stranger / "a.ckpt", task=task)
        assert main(["test", "--ckpt_path", str(path)]) == 2, task
    capsys.readouterr()
    assert not (stranger / "made").exists() and "evil" not in sys.modules


def test_recipes_that_are_none(stranger, capsys):
    many = [0]
    for _ in range(60):
        many = [many, many]
    changes = [
        {"model": None},
        {"model": []},
        {"data": 7},
        {"given": 7},
        {"target_names": "y"},
        {"target_names": [7]},
        {"kind": "evil"},
        {"kind": ["regression"]},
        {"scale": {"kind": "standard", "mean": "evil", "std": [1.0]}},
        {"scale": {"kind": "evil", "mean": [0.0], "std": [1.0]}},
    ]
    changes += [
        {"reading": many},
        {"reading": {"x": torch.ones(2)}},
        {"reading": {"classes": many}},
        {"format": 1},
        {"format": "2"},
        {"model": {}},
        {"model": {"modle": MODEL}},
    ]
    changes += [
        {"model": MODEL | {"init_args": many}},
        {"model": {"class_path": many}},
    ]
    for change in changes:
        path = write_checkpoint(stranger / "a.ckpt", **change)
        assert main(["predict", "--ckpt_path", str(path), "CCO"]) == 2, change.keys()
        assert len(capsys.readouterr().err) < 5000
    for content in ({"plstm_graph": 7, "state_dict": {}}, {"plstm_graph": {}, "state_dict": 7}, {"plstm_graph": {}}):
        torch.save(content, stranger / "a.ckpt")
        with pytest.raises(CheckpointError):
            load_predictor(stranger / "a.ckpt")
    assert "Traceback" not in capsys.readouterr().err


def _other_kinds(weight):
    return weight.to_sparse(), weight.to_sparse_csr(), weight.to(torch.complex64)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state")
def test_weights_that_are_none(stranger):
    path = checkpoint(stranger / "a.ckpt")
    whole = read_checkpoint(path)
    first = next(iter(whole["state_dict"]))
    for value in (
        7,
        None,
        [1.0],
        "x",
        torch.ones(1, 2, 3, 4),
        torch.zeros(1).expand(1 << 40),
        *_other_kinds(whole["state_dict"][first]),
    ):
        torch.save(whole | {"state_dict": whole["state_dict"] | {first: value}}, path)
        with pytest.raises(CheckpointError):
            load_predictor(path)


@pytest.mark.parametrize("installed", [True, False])
def test_a_process_of_its_own_in_the_folder_of_a_stranger(stranger, installed):
    # The names of packages that torch_geometric and this package import if they are there.
    for name in ("torch_scatter", "pyarrow", "kornia", "torch_cluster"):
        (stranger / f"{name}.py").write_text(EVIL.partition("import torch")[0])
    path = checkpoint(stranger / "a.ckpt", spec("evil.Model", **MODEL["init_args"]))
    console = Path(sys.executable).parent / "plstm-graph"
    start = [str(console)] if installed and console.is_file() else [sys.executable, "-P", "-m", "plstm_graph.cli"]
    if sys.version_info < (3, 11) and "-P" in start:
        start.remove("-P")
        for name in ("torch_scatter", "pyarrow", "kornia", "torch_cluster"):
            (stranger / f"{name}.py").unlink()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*start, "predict", "--ckpt_path", str(path), "CCO"],
        env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "evil.Model may not be named by a file" in done.stderr and "--allow evil" in done.stderr
    assert not (stranger / "made").exists()


def test_what_the_user_allows_is_used(stranger, capsys):
    path = checkpoint(
        stranger / "a.ckpt",
        spec("evil.Model", **MODEL["init_args"]),
        given={"pre_transform": spec("evil.Transform")},
    )
    assert main(["predict", "--ckpt_path", str(path), "CCO", "--allow", "evil"]) == 0
    assert capsys.readouterr().out.startswith("source,smiles,predicted_y")
    assert main(["predict", "--allow=evil.Model", "--ckpt_path", str(path), "CCO"]) == 2
    assert "evil.Transform may not be named" in capsys.readouterr().err
    assert main(["predict", "--allow=evil.Model", "--allow", "evil.Transform", "--ckpt_path", str(path), "CCO"]) == 0
    assert main(["predict", "--ckpt_path", str(path), "CCO"]) == 2
    assert main(["predict", "--ckpt_path", str(path), "CCO", "--allow", "os"]) == 2
    assert main(["predict", "--ckpt_path", str(path), "CCO", "--allow"]) == 2


def configuration(stranger, text):
    (stranger / "config.yaml").write_text(text)
    return "config.yaml"


MOLECULES = "task: {name: molecules, path: table.csv, split: random}\nthreads: 1"


@pytest.mark.parametrize(
    "text",
    [
        MOLECULES + "\nmodel: {class_path: os.system, init_args: {command: touch made}}",
        MOLECULES + "\nmodels: {a: {class_path: evil.Model, init_args: {hidden_channels: 8}}}",
        MOLECULES + "\nmodels: {a: {class_path: torch.nn.Sequential, init_args: {a: {class_path: evil.Model}}}}",
        MOLECULES + "\nmodel: evil.Model",
        MOLECULES + "\nmodel: evil.run",
        "task: {name: evil.Data}\nmodel: plstm_graph.nn.PLSTM",
        "task: {name: molecules, path: table.csv, pre_transform: evil.Transform}\nmodel: plstm_graph.nn.PLSTM",
        "task: {name: molecules, path: table.csv, pre_transform: {class_path: os.system}}\nmodel: plstm_graph.nn.PLSTM",
        "task: {name: dag_folder, path: ., pre_transform: {class_path: evil.Transform}}\nmodel: plstm_graph.nn.PLSTM",
        MOLECULES + "\nmodel: plstm_graph.nn.PLSTM\ntrainer: {callbacks: [{class_path: evil.Call}]}",
        MOLECULES + "\nmodel: plstm_graph.nn.PLSTM\ntrainer: {callbacks: evil.Call}",
        MOLECULES + "\nmodel: plstm_graph.nn.PLSTM\ntrainer: {logger: {class_path: os.system}}",
        MOLECULES + "\nmodel: plstm_graph.nn.PLSTM\ntrainer: {plugins: evil.run}",
        MOLECULES + "\nmodel: plstm_graph.nn.PLSTM\ntrainer: {strategy: evil.run}",
        MOLECULES + "\nmodel: plstm_graph.nn.PLSTM\ntrainer: {callbacks: {class_path: "
        "lightning.pytorch.callbacks.LambdaCallback, init_args: {setup: evil.run}}}",
        MOLECULES + "\nmodel: evil.Model\nallow: [evil]",
    ],
)
def test_configurations_of_fit(stranger, capsys, text):
    (stranger / "table.csv").write_text("smiles,y\n" + "".join(f"{'C' * n}O,{n}\n" for n in range(1, 13)))
    name = configuration(stranger, text)
    try:
        status = main(["fit", "--config", name])
    except SystemExit as exit:
        status = exit.code
    message = capsys.readouterr().err
    assert status == 2, message
    assert "evil" not in sys.modules and not (stranger / "made").exists() and not (stranger / "runs").exists()
    others = ("allow", "Lambda", "strategy", "evil.Data", "pre_transform: evil")
    if "evil" in text and not any(word in text for word in others):
        assert "may not be named by a file" in message and "--allow evil" in message


#: Each of the ways to name a model.
NAMED = [
    "name: a\ntask: {name: copy}\nmodels: {a: {class_path: %s}}\n",
    "name: a\ntask: {name: arrows, num_train: 2}\nmodel: {class_path: %s}\n",
    "name: a\ntask: {name: arrows, num_train: 2}\nmodel: %s\n",
]


@pytest.mark.parametrize("text", NAMED)
@pytest.mark.parametrize("name", ["evil.Model", "os.system", "torch.hub.load", "plstm_graph.cli.main"])
def test_models_of_configurations(stranger, capsys, text, name):
    try:
        status = main(["fit", "--config", configuration(stranger, text % name)])
    except SystemExit as exit:
        status = exit.code
    assert status == 2
    assert "may not be named by a file" in capsys.readouterr().err
    assert "evil" not in sys.modules and not (stranger / "made").exists()


def test_configurations_that_are_not_what_they_seem(stranger, capsys):
    for text in (LAUGHS, "x: &x [*x]", "model: " + "[" * 5000, "model: !!python/name:os.system"):
        assert main(["fit", "--config", configuration(stranger, text)]) == 2
        message = capsys.readouterr().err
        assert "config.yaml" in message and "no YAML: " in message and len(message) < 1000


def test_run_folders(stranger, capsys):
    """A folder with the configuration of a stranger, in which a command of the user's would go on."""
    folder = stranger / "run"
    folder.mkdir()
    sizes = "{num_graphs: 4, size: 5}"
    task = f"{{name: copy, train: {sizes}, valid: {sizes}, tests: {{'5': {sizes}}}}}"
    text = f"name: run\ntask: {task}\nmodels: {{a: {{class_path: %s}}}}\ntraining: {{epochs: 1}}\n"
    config = configuration(stranger, text % "plstm_graph.nn.baselines.BagOfNodes")
    for content in ("evil.Model", "os.system"):
        (folder / "config.yaml").write_text(text % content)
        assert main(["fit", "--config", config, "--output", str(folder), "--device", "cpu"]) == 2
        assert "holds a run of another configuration" in capsys.readouterr().err
    for content in (LAUGHS, "[1, 2]", "a: &a [*a]", "!!python/name:os.system"):
        (folder / "config.yaml").write_text(content)
        assert main(["fit", "--config", config, "--output", str(folder), "--device", "cpu"]) == 2
        assert "config.yaml is no configuration" in capsys.readouterr().err
    assert "evil" not in sys.modules and not (stranger / "made").exists()


def test_reports_that_blend_reads(stranger, capsys):
    folder = stranger / "run"
    folder.mkdir()
    row = {"seed": 0, "fold": None, "choice": {}}
    task = {"name": "benchmark", "set": "ogbg-molbace", "pre_transform": spec("evil.Transform")}
    config = {"task": task, "models": {"a": MODEL}, "training": {}, "choose": {}}

    def report_of(row=row, name="a", **changes):
        return {"config": config | changes, "models": {name: {"seeds": [row]}}}

    wrong = [
        report_of(),
        report_of(row | {"seed": "../../x"}),
        report_of(row | {"fold": "../../x"}),
        report_of(row | {"choice": {"training.lr": "../../x"}}),
        report_of(row | {"choice": []}),
        report_of(name="../../x"),
        report_of(models={"../../x": MODEL}, name="../../x"),
        report_of(models={"a": spec("evil.Model")}, task={"name": "benchmark", "set": "ogbg-molbace"}),
        report_of(choose={"training.epochs.x": [1]}, row=row | {"choice": {"training.epochs.x": 1}}),
        report_of(choose={"evil.x": [1]}),
        report_of(choose=7),
        report_of(training={"epochs": "many"}),
        report_of(task={"name": "evil"}),
        report_of(task=[]),
        report_of() | {"config": {}},
        report_of() | {"models": {}},
        report_of() | {"models": 7},
        report_of() | {"models": {"a": {"seeds": 7}}},
        {},
        [],
        7,
    ]
    for report in wrong:
        (folder / "report.json").write_text(json.dumps(report))
        assert main(["blend", str(folder)]) == 2
    (folder / "report.json").write_text("[" * 100_000)
    assert main(["blend", str(folder)]) == 2
    assert "Traceback" not in capsys.readouterr().err and not (stranger / "made").exists()


def test_checkpoints_do_not_say_what_to_delete(tmp_path):
    # Lightning deletes what a resumed checkpoint calls the best so far, if its name begins with the folder of the run.
    kept = [tmp_path / "note.txt", tmp_path / "other.ckpt", tmp_path / "run" / "config.yaml"]
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    for path in kept:
        path.touch()
    folder = tmp_path / "run" / "checkpoints"
    for name in ("../../note.txt", "../../other.ckpt", "../config.yaml"):
        SafeCheckpointIO().remove_checkpoint(folder / name)
    assert all(path.is_file() for path in kept)
    (folder / "best.ckpt").touch()
    SafeCheckpointIO().remove_checkpoint(folder / "best.ckpt")
    assert not (folder / "best.ckpt").exists()


@pytest.mark.slow
def test_a_model_of_ones_own_from_training_to_prediction(stranger, capsys, monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 10)
    graphs = [nx.DiGraph([(0, 1), (1, 2 + number)], graph=f"g{number}", y=float(number)) for number in range(20)]
    from_networkx(graphs, "dags", targets=["y"])
    text = """
name: own
task: {name: dag_folder, path: dags}
models: {own: {class_path: evil.Model, init_args: {hidden_channels: 8, num_layers: 1, heads: 1}}}
training: {epochs: 1}
trainer: {callbacks: [{class_path: evil.Call}]}
seeds: 0
device: cpu
"""
    name = configuration(stranger, text)
    assert main(["fit", "--config", name]) == 2
    assert "--allow evil" in capsys.readouterr().err
    assert main(["fit", "--config", name, "--allow", "evil"]) == 0
    best = ["--ckpt_path", "runs/own/best.ckpt"]
    for command in (["predict", *best, "dags"], ["test", *best], ["explain", *best, "dags", "--output", "a.png"]):
        sys.modules.pop("evil", None)
        assert main(command) == 2
        assert "evil" not in sys.modules
        assert main([*command, "--allow", "evil"]) == 0
    # The folder of the run is a stranger's when somebody goes on in it.
    sys.modules.pop("evil", None)
    more = ["--name", "own", "--seeds", "0-1", "--device", "cpu"]
    assert main(["fit", "--config", "runs/own/config.yaml", *more]) == 2
    assert "evil" not in sys.modules
    capsys.readouterr()
    assert main(["fit", "--config", "runs/own/config.yaml", *more, "--allow", "evil"]) == 0
    assert "own, seed 1, epoch 1/1" in capsys.readouterr().err
