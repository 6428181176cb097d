"""Folders of DAGs as a task: sizes, losses and predictions at every level, transforms, baselines."""

import math

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.transforms import Compose

from plstm_graph.config.names import allow_names
from plstm_graph.nn.baselines import GIN
from plstm_graph.predict.predictor import Predictor
from plstm_graph.tasks.dag_folder import FolderOfDAGs, dag_folder
from plstm_graph.tasks.metrics import evaluate
from plstm_graph.tasks.supervised import supervised
from plstm_graph.tasks.task import Shard
from plstm_graph.transforms import SubdivideEdges, ToDAG
from tests.made_sets import make_folder, with_edge_features

SMALL = {"hidden_channels": 8, "num_layers": 1}
PLSTM = {"class_path": "plstm_graph.nn.PLSTM", "init_args": SMALL}
MODELS = {"plstm": PLSTM, "gin": {"class_path": f"plstm_graph.nn.baselines.{GIN.__name__}", "init_args": SMALL}}


def train_batch(task, model):
    needs = task.needs(model)
    return next(iter(task.train_loader(needs, 4, 0, torch.device("cpu"), Shard()))), needs


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("level", ["graph", "node", "edge"])
@pytest.mark.parametrize("said", ["regression", "classification", "multilabel"])
def test_every_level_and_kind_gives_a_loss_and_predictions(level, said, model, tmp_path):
    task = dag_folder(str(make_folder(tmp_path / "dags", level, said)))
    assert task.in_channels == [0, 4]
    assert task.edge_dim is None
    assert task.out_channels == {"regression": 1, "classification": 3, "multilabel": 2}[said]
    assert task.kind == {"classification": "multiclass"}.get(said, said)
    model, spec = task.make_model(MODELS[model]), MODELS[model]
    batch, needs = train_batch(task, model)
    loss, count = task.loss(task.output(model, batch, needs), batch)
    assert count == batch.y.isfinite().sum()
    loss.backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())
    data = task.labelled
    predicted, target = Predictor(model, task.recipe(model, spec, 1)).predict(data.subset("test")), data.targets("test")
    assert predicted.shape == (len(target), task.out_channels)
    assert len(next(iter(data.row_names("test").values()))) == len(target)
    assert all(math.isfinite(value) for value in evaluate(predicted, target, task.kind).values())


def test_edges_that_become_nodes_change_the_sizes_of_a_model(tmp_path):
    folder = with_edge_features(make_folder(tmp_path / "dags", "graph", "regression"))
    for _ in range(2):  # The second reads what the first has stored.
        data = FolderOfDAGs(folder, Compose([ToDAG("keep"), SubdivideEdges()]))
        task = supervised(data, "regression", {})
        assert (task.in_channels, task.edge_dim) == ([0, 4, 0, 3, 2], None)
        model = task.make_model(PLSTM)
        predicted = Predictor(model, task.recipe(model, PLSTM, 1)).predict(data.subset("test"))
        assert predicted.shape == data.targets("test").shape and predicted.isfinite().all()
        # A bag of nodes is one of nodes as before; sizes are those of the new graph.
        bag = FolderOfDAGs(folder)._features(FolderOfDAGs(folder).subset("test")[0])
        found = data._features(data.subset("test")[0])
        level = 5  # behind one number and four classes; levels are twice what they were
        assert found.shape == bag.shape
        np.testing.assert_allclose(found[0, :level], bag[0, :level], rtol=1e-6)
        np.testing.assert_allclose(found[0, level], 2 * bag[0, level], rtol=1e-6)
        batch = Batch.from_data_list(list(data.subset("train"))[:4])
        hidden = data.problem.hide_words(batch, 1.0).x
        # Words are hidden; numbers, and what tells edges from nodes, stay.
        assert not hidden[:, [1, 3]].any() and torch.equal(hidden[:, [0, 2, 4]], batch.x[:, [0, 2, 4]])


@pytest.mark.parametrize("level", ["node", "edge"])
def test_edges_do_not_become_nodes_where_nodes_or_edges_are_predicted(level, tmp_path):
    folder = make_folder(tmp_path / "dags", level, "regression")
    subdivide = {"class_path": "plstm_graph.transforms.SubdivideEdges", "init_args": {"target_level": level}}
    with pytest.raises(ValueError, match=f"SubdivideEdges cannot be applied here: the targets are of {level}s"):
        dag_folder(str(folder), pre_transform=subdivide)


def test_baselines_of_each_level(tmp_path, monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)
    for level, name in (("graph", "bag of nodes"), ("node", "node, level, degrees"), ("edge", "edge, level, degrees")):
        data = FolderOfDAGs(str(make_folder(tmp_path / level, level)))
        predictions = data.baselines("multiclass", 0)
        assert list(predictions) == ["mean predictor", f"{name} + logistic regression", f"{name} + random forest"]
        assert all(predicted.shape == (len(data.targets("test")), 3) for predicted in predictions.values())


def test_on_disk_and_in_memory_give_the_same_batches(tmp_path):
    folder = str(make_folder(tmp_path / "dags"))
    tasks = [dag_folder(folder, on_disk=on_disk) for on_disk in (False, True)]
    first, second = (train_batch(task, task.make_model(PLSTM))[0] for task in tasks)
    for name in ("x", "edge_index", "level", "kept_pairs", "y"):
        torch.testing.assert_close(first[name], second[name], equal_nan=True)


class GraphLevel(torch.nn.Module):
    def __init__(self, out_channels, in_channels, edge_dim):
        super().__init__()


def test_a_model_of_graphs_cannot_predict_nodes(tmp_path):
    task = dag_folder(str(make_folder(tmp_path / "dags", "node")))
    with (
        allow_names(["tests.tasks"]),
        pytest.raises(ValueError, match=r"targets are of nodes, .*no argument 'predict'"),
    ):
        task.make_model({"class_path": f"{__name__}.GraphLevel"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the task dag_folder needs the folder: --task.path my_dags"),
        ({"path": "dags", "unknown_words": 1.0}, r"unknown_words must be in \[0, 1\), got 1.0"),
        ({"path": "dags", "unknown_words": math.nan}, r"unknown_words must be in \[0, 1\), got nan"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        dag_folder(**options)
