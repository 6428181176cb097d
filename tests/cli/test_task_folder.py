"""Tasks on DAGs as folders: what is written is what the task has, and check, fit, predict and explain take it."""

import math
from pathlib import Path

import pytest
import torch
import yaml
from torch_geometric.data import Data

from plstm_graph.cli import main
from plstm_graph.datasets import DAGFolder
from plstm_graph.train.dag_tasks.folder import write_task
from plstm_graph.train.dag_tasks.task import regression
from plstm_graph.train.dag_tasks.tasks import load_dag_task
from tests.tables import rows_of

ROOT = Path(__file__).parents[2]
TERRAIN = {"name": "terrain", "train": 4, "valid": 2, "test_tiles": 2, "side": 10, "size": 44}
TINY = {"num_graphs": 5, "size": 16}
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:(?s).*JsonargparseDeprecation:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:(?s).*instantiate_classes.* was deprecated:DeprecationWarning"),
]


def synthetic(name):
    return load_dag_task(name, train=TINY, valid=TINY, tests={"16": TINY})


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
    "terrain": lambda: load_dag_task(**TERRAIN),
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


def test_columns_keep_their_kinds_and_names(tmp_path):
    write_task(mixed(), tmp_path / "mixed", ["test_a", "train", "valid"])
    rows = rows_of(tmp_path / "mixed" / "nodes.csv")
    assert (
        set(rows[0]) == {"graph", "node", "kind", "size", "delay"} and rows[1]["kind"] == "2" and rows[0]["delay"] == ""
    )
    spec = yaml.safe_load((tmp_path / "mixed" / "dag.yaml").read_text())
    assert spec["nodes"]["features"] == {"size": "number", "kind": "category"} and spec["targets"] == ["delay"]
    assert set(spec["edges"]["features"].values()) == {"number", "category"} and spec["level"] == "node"
    rows = rows_of(tmp_path / "mixed" / "graphs.csv")
    assert [row["split"] for row in rows] == ["test"] * 2 + ["train"] * 3 + ["valid"] and rows[0]["graph"] == "test_a_0"


@pytest.mark.parametrize(
    ("parts", "message"), [(["half"], "no part half in mixed: train, valid, test_a"), ([], "no part at all")]
)
def test_parts_are_checked(parts, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_task(mixed(), tmp_path / "dags", parts)
    assert not (tmp_path / "dags").exists()


def write(tmp_path, data):
    path = tmp_path / "task.yaml"
    path.write_text(
        yaml.safe_dump(
            {"name": "task", "data": data, "models": {"bag": {"class_path": "plstm_graph.nn.dag_baselines.BagOfNodes"}}}
        )
    )
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "item"),
    [
        (TERRAIN, "12"),
        ({"name": "copy", "train": TINY, "valid": TINY, "tests": {"16": TINY}}, "16"),
        ({"name": "longest_path", "train": TINY, "valid": TINY, "tests": {"16": TINY}}, "3"),
    ],
)
def test_check_fit_predict_and_explain_take_a_task(data, item, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("plstm_graph.train.baselines._TREES", 5)
    assert main(["dags", "--config", write(tmp_path, data), "--folder", "dags"]) == 0
    assert "written to dags; nothing was trained" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert main(["dags", "--config", write(tmp_path, data), "--folder", "dags"]) == 2
    assert "dags is there already, and not empty" in capsys.readouterr().err
    assert main(["check", "dags"]) == 0
    small = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--data.batch_size=4", "--name=run"]
    model = {"hidden_channels": 8, "num_layers": 1, "modes": "P", "transition": "node", "source": "shared"}
    if data["name"] == "terrain":
        model |= {"size_readout": "P", "size_scale": "log", "edge_context": "true", "head_norm": "log"}
    options = [f"--model.model.init_args.{key}={value}" for key, value in model.items()]
    assert main(["fit", "--config", str(ROOT / "configs" / "dag.yaml"), "--data.root=dags", *small, *options]) == 0
    checkpoint = "runs/run/checkpoints/best.ckpt"
    assert main(["predict", "--ckpt_path", checkpoint, "dags", "--output", "predicted.csv"]) == 0
    nodes = rows_of("dags/nodes.csv")
    assert len(rows_of("predicted.csv")) == len(nodes)
    capsys.readouterr()
    assert main(["explain", "--ckpt_path", checkpoint, "dags", "--graph", "train_0", "--item", item]) == 0
    assert (tmp_path / "explain.png").stat().st_size > 1000
