"""Workflows as a folder of DAGs: written by the command, taken by check, fit, predict and explain."""

from pathlib import Path

import pytest
import yaml

from plstm_graph.cli import main
from plstm_graph.datasets import DAGFolder, workflows
from plstm_graph.train.dag_tasks.tasks import load_dag_task
from tests.made_workflows import ForksAndJoins
from tests.tables import rows_of

ROOT = Path(__file__).parents[2]
SIZE = {"num_graphs": 5, "smallest": 5, "largest": 12}
OPTIONS = {
    "applications": ["bwa", "cycles"],
    "train": SIZE,
    "valid": [SIZE],
    "tests": {"others": {"applications": ["blast"], **SIZE}},
}
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:(?s).*JsonargparseDeprecation:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:(?s).*instantiate_classes.* was deprecated:DeprecationWarning"),
]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["makespan", "critical_path"])
def test_check_fit_predict_and_explain_take_workflows(tmp_path, monkeypatch, capsys, target):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)
    monkeypatch.setattr("plstm_graph.train.baselines._TREES", 5)
    data = {"name": "workflows", "root": "data", "target": target, **OPTIONS}
    bag = {"class_path": "plstm_graph.nn.dag_baselines.BagOfNodes"}
    Path("task.yaml").write_text(yaml.safe_dump({"name": "task", "data": data, "models": {"bag": bag}}))
    assert main(["dags", "--config", "task.yaml", "--folder", "dags"]) == 0
    assert main(["check", "dags"]) == 0
    task, read = load_dag_task(**data), DAGFolder("dags")
    spec = yaml.safe_load(Path("dags/dag.yaml").read_text())
    assert spec["targets"] == [target] and spec["nodes"]["features"]["category"] == "category"
    written = rows_of("dags/graphs.csv" if target == "makespan" else "dags/nodes.csv")
    graphs = [graph for part in ("train", "valid", "test_others") for graph in task.parts[part]]
    # exact: numbers are written so that they are read again as they were
    assert [float(row[target]) for row in written] == [value for graph in graphs for value in graph.y.view(-1).tolist()]
    assert len(read.part("test")) == len(task.parts["test_others"])
    small = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--data.batch_size=4", "--name=run"]
    model = {"hidden_channels": 8, "num_layers": 1, "modes": "PM", "size_readout": "PM"}
    options = [f"--model.model.init_args.{key}={value}" for key, value in model.items()]
    assert main(["fit", "--config", str(ROOT / "configs" / "dag.yaml"), "--data.root=dags", *small, *options]) == 0
    checkpoint = "runs/run/checkpoints/best.ckpt"
    predict = ["predict", "--ckpt_path", checkpoint, "dags", "--output", "predicted.csv"]
    assert main(predict) == 2  # tasks of the other application are of no known category
    assert "feature 'category' is '0', which the model was not trained on" in capsys.readouterr().err
    assert main([*predict, "--allow_unknown"]) == 0
    assert len(rows_of("predicted.csv")) == len(written)
    item = [] if target == "makespan" else ["--item", "2"]
    assert main(["explain", "--ckpt_path", checkpoint, "dags", "--graph", "train_0", *item]) == 0
    assert Path("explain.png").stat().st_size > 1000
