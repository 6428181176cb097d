"""Tasks on DAGs as folders, made and taken by the commands in the working folder."""

from pathlib import Path

import yaml

from plstm_graph.cli import main

CONFIG = str(Path(__file__).parents[2] / "configs" / "dag.yaml")
CHECKPOINT = "runs/run/best.ckpt"
_SMALL = {"hidden_channels": 8, "num_layers": 1}


def config_of(task):
    """A configuration of ``plstm-graph fit`` with a task and the least of models."""
    bag = {"class_path": "plstm_graph.nn.baselines.BagOfNodes"}
    Path("task.yaml").write_text(yaml.safe_dump({"name": "task", "task": task, "models": {"bag": bag}}))
    return "task.yaml"


def fit(folder, model, epochs=1):
    """Train on a folder; the weights are at :data:`CHECKPOINT`. Returns the status."""
    small = [f"--training.epochs={epochs}", "--device=cpu", "--training.batch_size=4", "--name=run", "--choose={}"]
    options = [f"--model.{key}={value}" for key, value in (_SMALL | model).items()]
    return main(["fit", "--config", CONFIG, f"--task.path={folder}", *small, *options])


def predict(folder, *more):
    """Predict a folder, into ``predicted.csv``. Returns the status."""
    return main(["predict", "--ckpt_path", CHECKPOINT, folder, "--output", "predicted.csv", *more])


def explain(folder, graph, item=None):
    """Explain a prediction, into ``explain.png``. Returns the status."""
    of_item = [] if item is None else ["--item", str(item)]
    return main(["explain", "--ckpt_path", CHECKPOINT, folder, "--graph", graph, *of_item])
