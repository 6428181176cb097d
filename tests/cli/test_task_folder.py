"""Tasks on DAGs as folders: what is written is what the task has, and check, fit, predict and explain take it."""

import math
from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml
from torch_geometric.data import Data

from plstm_graph.cli import main
from plstm_graph.datasets import DAGFolder
from plstm_graph.datasets.dag_folder.encoding import Encoding
from plstm_graph.datasets.workflows import workflows
from plstm_graph.predict.predictor import load_predictor
from plstm_graph.tasks.graph_task import regression
from plstm_graph.tasks.registry import load_task
from plstm_graph.tasks.scale import TargetKind
from plstm_graph.tasks.task_folder import write_task
from tests.cli.task_folders import CHECKPOINT, config_of, explain, fit, predict
from tests.made_circuits import circuit_folder
from tests.made_workflows import ForksAndJoins
from tests.tables import rows_of

TERRAIN = {"name": "terrain", "train": 4, "valid": 2, "test_tiles": 2, "side": 10, "size": 44}
TINY = {"num_graphs": 5, "size": 16}


def synthetic(name):
    return load_task(name, train=TINY, valid=TINY, tests={"16": TINY})


def mixed():
    """Nodes with a category and a number, edges likewise; some targets are unknown."""
    graphs = [
        Data(
            x=torch.tensor([[0, 0.5], [2, 0.0], [1, -1.5]]),
            edge_index=torch.tensor([[0, 0, 1], [1, 2, 2]]),
            edge_attr=torch.tensor([[0.25, 1], [0.5, 0], [0.75, 1]]),
            y=torch.tensor([[float("nan")], [0.5 + shift], [0.25]]),
            outlet_of=torch.tensor([0, -1, 0]),
        )
        for shift in range(3)
    ]
    task = regression("mixed", {"train": graphs, "valid": graphs[:1], "test_a": graphs[1:]}, "node", [3, 0], [0, 2])
    task.column_names = {"x": ["kind", "size"], "y": ["delay"]}
    return task


MAKERS = {
    "terrain": lambda: load_task(**TERRAIN),
    "mixed": mixed,
    "copy": lambda: synthetic("copy"),
    "longest_path": lambda: synthetic("longest_path"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_folder_has_what_the_task_has(name, tmp_path):
    task = MAKERS[name]()
    first = next(part for part in task.parts if part.startswith("test"))
    assert write_task(task, tmp_path / "dags") == ["train", "valid", first]
    dataset = DAGFolder(str(tmp_path / "dags"))
    target = yaml.safe_load((tmp_path / "dags" / "dag.yaml").read_text())["targets"][0]
    cells = iter([row[target] for row in rows_of(tmp_path / "dags" / "nodes.csv")])
    for part, given in (("train", "train"), ("valid", "valid"), ("test", first)):
        graphs = dataset.part(part)
        assert len(graphs) == len(task.parts[given])
        for read, graph in zip(graphs, task.parts[given], strict=True):
            assert torch.equal(read.edge_index, graph.edge_index)
            y = graph.y.double().log1p() if name == "terrain" else graph.y.double()
            for value in y.view(-1).tolist():
                assert next(cells) == ("" if math.isnan(value) else str(int(value)) if name == "copy" else str(value))
    assert next(cells, None) is None


@pytest.mark.parametrize("kind", get_args(TargetKind))
def test_targets_learnt_as_logarithms_are_written_as_such(kind, tmp_path):
    write_task(mixed().scaled(kind), tmp_path / "dags")
    name = "log_delay" if kind in ("log", "log1p") else "delay"
    written = [row[name] for row in rows_of(tmp_path / "dags" / "nodes.csv")][:3]
    expected = [math.log1p(value) if name == "log_delay" else value for value in (0.5, 0.25)]
    assert written[0] == "" and [float(value) for value in written[1:]] == pytest.approx(expected, rel=1e-15)


def test_columns_keep_their_kinds_and_names(tmp_path):
    write_task(mixed(), tmp_path / "mixed", ["test_a", "train", "valid"])
    rows = rows_of(tmp_path / "mixed" / "nodes.csv")
    assert (
        set(rows[0]) == {"graph", "node", "kind", "size", "delay"} and rows[1]["kind"] == "2" and rows[0]["delay"] == ""
    )
    spec = yaml.safe_load((tmp_path / "mixed" / "dag.yaml").read_text())
    assert spec["nodes"]["features"] == {"size": "raw", "kind": "category"} and spec["targets"] == ["delay"]
    assert set(spec["edges"]["features"].values()) == {"raw", "category"} and spec["level"] == "node"
    rows = rows_of(tmp_path / "mixed" / "graphs.csv")
    assert [row["split"] for row in rows] == ["test"] * 2 + ["train"] * 3 + ["valid"] and rows[0]["graph"] == "test_a_0"


@pytest.mark.parametrize(
    ("parts", "message"), [(["half"], "no part half in mixed: train, valid, test_a"), ([], "no part at all")]
)
def test_parts_are_checked(parts, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_task(mixed(), tmp_path / "dags", parts)
    assert not (tmp_path / "dags").exists()


SYNTHETIC = {"train": TINY, "valid": TINY, "tests": {"16": TINY}}
FAMILY = {"num_graphs": 5, "generations": 2, "size": 8}
SIZE = {"num_graphs": 5, "smallest": 5, "largest": 12}
# Tasks of another application are of no category that training knows.
OTHERS = {"applications": ["blast"], **SIZE}
FLOWS = {"applications": ["bwa", "cycles"], "train": SIZE, "valid": [SIZE], "tests": {"others": OTHERS}}
AMOUNTS = {"modes": "P", "transition": "node", "source": "shared"}
TIMES = {"modes": "M", "direction": "forward", "norm": "none"}

#: Options of a task, of a model for it, and a node to explain.
TASKS = {
    "terrain": (
        TERRAIN,
        AMOUNTS | {"size_readout": "P", "size_scale": "log", "edge_context": "true", "head_norm": "log"},
        12,
    ),
    "copy": ({"name": "copy"} | SYNTHETIC, AMOUNTS, 16),
    "longest_path": ({"name": "longest_path"} | SYNTHETIC, AMOUNTS, 3),
    "timing": ({"name": "timing", "samples": 14, "nodes": 20}, TIMES, 9),
    "timing of driven gates": ({"name": "timing", "samples": 14, "nodes": 20, "delays": "driven"}, TIMES, 9),
    "pedigrees": (
        {"name": "pedigrees", "train": FAMILY, "valid": FAMILY, "tests": {"3": FAMILY}},
        {"modes": "P", "normalization": "row", "decay": "true", "head_norm": "log"},
        23,
    ),
    "makespan": ({"name": "workflows"} | FLOWS, {"modes": "PM", "size_readout": "PM", "local": "none"}, None),
    "finish times": ({"name": "workflows", "target": "critical_path"} | FLOWS, TIMES, 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_check_fit_predict_and_explain_take_a_task(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)
    data, model, item = TASKS[name]
    data = data | {"root": "data"}
    if data["name"] == "timing":
        data["source"] = str(circuit_folder(tmp_path / "source", gates=40))
    write = ["fit", "--config", config_of(data), "--folder", "dags"]
    assert main(write) == 0
    assert "written to dags; nothing was trained" in capsys.readouterr().err
    assert not Path("runs").exists()
    assert main(write) == 2
    assert "dags is there already, and not empty" in capsys.readouterr().err
    assert main(["check", "dags"]) == 0

    task, read = load_task(**data), DAGFolder("dags")
    parts = [
        task.parts["train"],
        task.parts["valid"],
        next(graphs for part, graphs in task.parts.items() if "test" in part),
    ]
    assert [len(read.part(part)) for part in ("train", "valid", "test")] == list(map(len, parts))
    spec = yaml.safe_load(Path("dags/dag.yaml").read_text())
    (target,) = spec["targets"]
    written = rows_of(f"dags/{task.target_level}s.csv")
    told = [float(row[target] or "nan") for row in written]
    given = torch.cat([graph.y for graphs in parts for graph in graphs]).view(-1).double()
    given = given.log1p() if target.startswith("log_") else given
    assert told == pytest.approx(given.tolist(), rel=1e-15, nan_ok=True)  # a number as it is written, and read

    assert fit("dags", model) == 0
    capsys.readouterr()
    if "others" in data.get("tests", ()):
        assert predict("dags") == 2
        assert "feature 'category' is '0', which the model was not trained on" in capsys.readouterr().err
        assert predict("dags", "--allow_unknown") == 0
    else:
        assert predict("dags") == 0
    predicted = rows_of("predicted.csv")
    assert len(predicted) == len(written)
    if task.objective != "cross_entropy":
        assert all(math.isfinite(float(row[f"predicted_{target}"])) for row in predicted)
    assert explain("dags", "train_0", item) == 0
    assert Path("explain.png").stat().st_size > 1000
    # The path that the maxima come from is drawn where there are maxima, and none but them.
    assert ("critical path, " in capsys.readouterr().out) == ("M" in model["modes"])


PLANS = {"class_path": "plstm_graph.nn.MakespanPLSTM", "times": "[runtime_load, reading_load, writing_load]"}
PLANS |= {"features": "[category]", "machines": "[log2_machines]", "scale": "log"}


@pytest.mark.slow
def test_a_model_of_plans_takes_a_folder_and_predicts_what_it_predicts_for_the_task(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)
    task = load_task("workflows", "data", **FLOWS | {"tests": {"same": SIZE}}).scaled("raw")
    write_task(task, "dags")
    study = {"name": "run", "task": {"name": "dag_folder", "path": "dags"}, "training": {"epochs": 1, "batch_size": 4}}
    model = {key: yaml.safe_load(value) for key, value in PLANS.items() if key != "class_path"}
    study["model"] = {"class_path": PLANS["class_path"], "init_args": model | {"hidden_channels": 8}}
    Path("plans.yaml").write_text(yaml.safe_dump(study))
    train = ["fit", "--config", "plans.yaml", "--seeds", "0", "--device=cpu"]
    assert main(train) == 2  # numbers are standardised by default, and this model gives none below zero
    assert "on the scale 'standard': task.target_scale must be log1p or raw" in capsys.readouterr().err
    assert not Path("runs").exists()
    assert main([*train, "--task.target_scale", "log1p"]) == 0
    assert predict("dags") == 0

    # The same graphs, as the task has them: columns in another order, and categories by other numbers.
    predictor = load_predictor(CHECKPOINT)
    words = Encoding.of_plain(predictor.recipe["reading"]["encoding"]).of("nodes")[-1].words
    (table,) = [each for each in predictor.model.encoder.modules() if isinstance(each, torch.nn.Embedding)]
    found = iter(float(row["predicted_makespan"]) for row in rows_of("predicted.csv"))
    sized = task.make_model({"class_path": PLANS["class_path"], "init_args": model | {"hidden_channels": 8}})
    sized.load_state_dict(predictor.model.state_dict())
    (own,) = [each for each in sized.encoder.modules() if isinstance(each, torch.nn.Embedding)]
    with torch.no_grad():
        for code, word in enumerate(words, 1):
            own.weight[int(word)] = table.weight[code]
        for part in ("train", "valid", "test_same"):
            for graph in task.parts[part]:
                # Sums of a few hundred terms in float32.
                expected = float(sized(graph.x, graph.edge_index).expm1())
                assert next(found) == pytest.approx(expected, rel=1e-5)
    assert next(found, None) is None
    assert explain("dags", "train_0") == 0
    path = [line for line in capsys.readouterr().out.splitlines() if line.startswith("critical path, 2 edges: 0 -> ")]
    assert len(path) == 1 and Path("explain.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_critical_path_is_one_of_the_graph(tmp_path, capsys, monkeypatch):
    """Of circuits, whose pieces are as deep as they have gates, and of layers with sums beside the maxima."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)
    source = str(circuit_folder(tmp_path / "source"))
    task = load_task("timing", "data", source, samples=24, nodes=20, delays="driven")
    write_task(task, "pieces")
    assert fit("pieces", TIMES | {"modes": "PM"}, epochs=2) == 0
    for number in (0, 7, 12):
        piece = task.parts["train"][number]
        gate = int(piece.y.nan_to_num().argmax())
        capsys.readouterr()
        assert explain("pieces", f"train_{number}", gate) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("critical path, ")]
        nodes = [int(node) for node in line.partition(": ")[2].split(" -> ") if node != "..."]
        edges = set(map(tuple, piece.edge_index.t().tolist()))
        assert nodes[-1] == gate and (nodes[-2], nodes[-1]) in edges


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ([], "log_y"),
        (["--task.target_scale=raw"], "y"),
        (["--task.target_scale=standard"], "y"),
        (["--choose={task.target_scale: [log1p], training.lr: [0.1, 0.2]}"], "log_y"),
    ],
)
def test_a_folder_has_targets_on_the_scale_that_is_asked_for(given, name, tmp_path, monkeypatch):
    """``fit`` standardises by itself, so that a standard scale is written as the targets themselves."""
    monkeypatch.chdir(tmp_path)
    task = load_task(**TERRAIN)
    assert main(["fit", "--config", config_of(TERRAIN), "--folder", "written", *given]) == 0
    (column,) = [key for key in rows_of(tmp_path / "written" / "nodes.csv")[0] if key.endswith("discharge")]
    assert column == name.replace("y", "discharge")
    found = [float(row[column]) for row in rows_of(tmp_path / "written" / "nodes.csv")][:100]
    y = task.parts["train"][0].y.double().view(-1)
    assert found == pytest.approx((y.log1p() if name == "log_y" else y).tolist(), rel=1e-6)


def test_a_folder_has_one_scale(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["fit", "--config", config_of(TERRAIN), "--folder", "written", "--choose={task.target_scale: [raw, log]}"])
        == 2
    )
    error = capsys.readouterr().err
    assert "a folder holds one task, and choose has several: task.target_scale raw, log" in error
    assert "such as --choose.task.target_scale '[raw]'" in error
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("scale", ["log", "log1p", "standard"])
def test_a_folder_says_how_to_train_on_it(scale, tmp_path, monkeypatch, capsys):
    """The model and the scale of the targets are those of the task."""
    monkeypatch.chdir(tmp_path)
    assert (
        main(["fit", "--config", config_of(TERRAIN | {"root": "data", "target_scale": scale}), "--folder", "dags"]) == 0
    )
    shown = capsys.readouterr().err
    assert "plstm-graph fit --config dags/fit.yaml trains bag on it as the task does" in shown
    assert ("is log(1 + y), on which the task measures errors" in shown) == (scale != "standard")
    written = yaml.safe_load(Path("dags/fit.yaml").read_text())
    assert written["task"]["target_scale"] == {"log": "standard", "log1p": "raw", "standard": "standard"}[scale]
    assert main(["check", "dags"]) == 0
    given = ("--training.epochs", "1", "--baselines", "false", "--device", "cpu")
    assert main(["fit", "--config", "dags/fit.yaml", *given]) == 0
    assert Path("runs/dags/best.ckpt").is_file()
