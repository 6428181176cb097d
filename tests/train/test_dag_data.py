import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.transforms import Compose

from plstm_graph.nn import PLSTM
from plstm_graph.nn.baselines import GIN
from plstm_graph.predict.predictor import predict
from plstm_graph.train import DAGDataModule, GraphModule, evaluate
from plstm_graph.transforms import SubdivideEdges, ToDAG


def make_folder(folder, level="graph", task="classification", graphs=24):
    """Chains with branches; what is asked can be read off the nodes' words."""
    rows = {"graphs": [], "nodes": [], "edges": []}
    for number in range(graphs):
        name, length = f"g{number}", 4 + number % 3
        part = ("train", "train", "valid", "test")[number % 4]
        words = [("add", "mul", "neg")[(number + node * node) % 3] for node in range(length)]
        rows["graphs"].append({"graph": name, "part": part})
        rows["nodes"] += [{"graph": name, "node": node, "op": word, "size": node} for node, word in enumerate(words)]
        rows["edges"] += [{"graph": name, "source": node, "target": node + 1} for node in range(length - 1)]
        rows["edges"].append({"graph": name, "source": 0, "target": length - 1})
    for row, target in zip(rows[f"{level}s"], range(10**6), strict=False):
        unknown = target % 7 == 3
        row |= {"a": None if unknown else target // 4 % (3 if task == "classification" else 2), "b": target // 4 % 2}
    folder.mkdir()
    for name, records in rows.items():
        pd.DataFrame(records).to_csv(folder / f"{name}.csv", index=False)
    targets = "[a, b]" if task == "multilabel" else "[a]"
    features = "{features: {op: category, size: number}}"
    spec = (
        f"task: {task}\nlevel: {level}\ntargets: {targets}\nsplit: part\nnodes: {features}\nedges: {{features: []}}\n"
    )
    (folder / "dag.yaml").write_text(spec)
    return folder


@pytest.mark.parametrize("model", [PLSTM, GIN])
@pytest.mark.parametrize("level", ["graph", "node", "edge"])
@pytest.mark.parametrize("task", ["regression", "classification", "multilabel"])
def test_every_level_and_task_gives_a_loss_and_predictions(level, task, model, tmp_path):
    data = DAGDataModule(str(make_folder(tmp_path / "dags", level, task)), batch_size=4)
    problem = data.problem
    assert problem.in_channels == [0, 4]
    assert problem.edge_dim is None
    assert problem.out_channels == {"regression": 1, "classification": 3, "multilabel": 2}[task]
    module = GraphModule(lambda *sizes, **more: model(*sizes, hidden_channels=8, num_layers=1, **more), problem=problem)
    assert module.task == {"regression": "regression", "classification": "multiclass"}.get(task, "classification")
    if task == "regression":
        module.standardise(data.train_targets)
    batch = next(iter(data.train_dataloader()))
    loss, count = module._loss(module(module.on_before_batch_transfer(batch, 0)), batch.y)
    assert count == batch.y.isfinite().sum()
    loss.backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in module.parameters())
    predicted, target = predict(module, data.subset("test")), data.targets("test")
    assert predicted.shape == (len(target), problem.out_channels)
    assert len(next(iter(data.row_names("test").values()))) == len(target)
    assert all(math.isfinite(value) for value in evaluate(predicted, target, module.task).values())


def with_edge_features(folder):
    edges = pd.read_csv(folder / "edges.csv")
    edges.assign(kind=["near", "far"] * (len(edges) // 2), w=range(len(edges))).to_csv(
        folder / "edges.csv", index=False
    )
    spec = folder / "dag.yaml"
    spec.write_text(spec.read_text().replace("edges: {features: []}", "edges: {features: {kind: category, w: number}}"))
    return str(folder)


def test_edges_that_become_nodes_change_the_sizes_of_a_model(tmp_path):
    folder = with_edge_features(make_folder(tmp_path / "dags", "graph", "regression"))
    for _ in range(2):  # The second reads what the first has stored.
        data = DAGDataModule(folder, batch_size=4, pre_transform=Compose([ToDAG("keep"), SubdivideEdges()]))
        assert (data.problem.in_channels, data.problem.edge_dim) == ([0, 4, 0, 3, 2], None)
        module = GraphModule(lambda *sizes: PLSTM(*sizes, hidden_channels=8, num_layers=1), problem=data.problem)
        module.standardise(data.train_targets)
        predicted = predict(module, data.subset("test"))
        assert predicted.shape == data.targets("test").shape and predicted.isfinite().all()
        # A bag of nodes is one of nodes as before; sizes are those of the new graph.
        bag = DAGDataModule(folder, batch_size=4)._features(DAGDataModule(folder, batch_size=4).subset("test")[0])
        found = data._features(data.subset("test")[0])
        level = 5  # behind one number and four classes; levels are twice what they were
        assert found.shape == bag.shape
        np.testing.assert_allclose(found[0, :level], bag[0, :level], rtol=1e-6)
        np.testing.assert_allclose(found[0, level], 2 * bag[0, level], rtol=1e-6)
        batch = next(iter(data.train_dataloader()))
        hidden = data.problem.hide_words(batch, 1.0).x
        # Words are hidden; numbers, and what tells edges from nodes, stay.
        assert not hidden[:, [1, 3]].any() and torch.equal(hidden[:, [0, 2, 4]], batch.x[:, [0, 2, 4]])


@pytest.mark.parametrize("level", ["node", "edge"])
def test_edges_do_not_become_nodes_where_nodes_or_edges_are_predicted(level, tmp_path):
    folder = make_folder(tmp_path / "dags", level, "regression")
    data = DAGDataModule(str(folder), batch_size=4, pre_transform=SubdivideEdges(level))
    with pytest.raises(ValueError, match=f"SubdivideEdges cannot be applied here: the targets are of {level}s"):
        _ = data.problem


def test_multiclass_loss_leaves_out_unknown_classes_and_takes_ensembles():
    module = GraphModule(torch.nn.Identity(), task="multiclass")
    output = torch.randn(2, 4, 3)
    target = torch.tensor([[0.0], [math.nan], [2.0], [1.0]])
    loss, count = module._loss(output, target)
    known = torch.tensor([0, 2, 3])
    expected = -output.log_softmax(dim=-1)[:, known, target[known, 0].long()].sum()
    torch.testing.assert_close(loss, expected)
    assert count == 6
    with pytest.raises(ValueError, match=r"one row per target and one column per class"):
        module._loss(torch.randn(3, 3), target)


def test_multiclass_metrics():
    target = torch.tensor([[0.0], [1.0], [1.0], [math.nan]])
    prediction = torch.eye(3)[torch.tensor([0, 1, 2, 2])]
    found = evaluate(prediction, target, "multiclass")
    # Of class 0 all, of class 1 precision 1 and recall 1/2, of class 2 nothing is right.
    assert found == pytest.approx({"accuracy": 2 / 3, "f1": (1 + 2 / 3 + 0) / 3})
    assert all(math.isnan(value) for value in evaluate(prediction[3:], target[3:], "multiclass").values())


def test_baselines_of_each_level(tmp_path, monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)
    for level, name in (("graph", "bag of nodes"), ("node", "node, level, degrees"), ("edge", "edge, level, degrees")):
        data = DAGDataModule(str(make_folder(tmp_path / level, level)))
        predictions = data.baselines("multiclass")
        assert list(predictions) == ["mean predictor", f"{name} + logistic regression", f"{name} + random forest"]
        assert all(predicted.shape == (len(data.targets("test")), 3) for predicted in predictions.values())


def test_on_disk_and_in_memory_give_the_same_batches(tmp_path):
    folder = str(make_folder(tmp_path / "dags"))
    first, second = (next(iter(DAGDataModule(folder, on_disk=on_disk).train_dataloader())) for on_disk in (False, True))
    for name in ("x", "edge_index", "level", "kept_pairs", "y"):
        torch.testing.assert_close(first[name], second[name], equal_nan=True)


def test_a_model_of_graphs_cannot_predict_nodes(tmp_path):
    class GraphLevel(torch.nn.Module):
        def __init__(self, out_channels, in_channels, edge_dim):
            super().__init__()

    data = DAGDataModule(str(make_folder(tmp_path / "dags", "node")))
    with pytest.raises(ValueError, match=r"the model cannot be made for targets of nodes: .*predict"):
        GraphModule(GraphLevel, problem=data.problem)
    with pytest.raises(ValueError, match="has sizes that neither its arguments nor a problem say"):
        GraphModule(GraphLevel)


def test_edges_are_predicted_from_both_ends():
    model = PLSTM(2, 3, None, hidden_channels=8, num_layers=1, predict="edge").eval()
    edge_index = torch.tensor([[0, 0, 1], [1, 2, 2]])
    x = torch.randn(3, 3)
    nodes = model.encode(x, edge_index)
    expected = model.head(torch.cat([nodes[[0, 0, 1]], nodes[[1, 2, 2]]], dim=1))
    torch.testing.assert_close(model(x, edge_index), expected)
    with pytest.raises(ValueError, match="predict must be 'graph', 'node' or 'edge', got 'path'"):
        PLSTM(2, 3, None, predict="path")


def test_numbers_and_categories_side_by_side():
    model = PLSTM(1, [0, 4, 0], None, hidden_channels=8, num_layers=1)
    encoder = model.node_encoder
    x = torch.tensor([[1.5, 3.0, -1.0], [0.0, 0.0, 2.0]])
    expected = encoder.lin(x[:, [0, 2]]) + encoder.embedding.embedding(torch.tensor([3, 0]))
    torch.testing.assert_close(encoder(x), expected)
    with pytest.raises(ValueError, match="expected 3 floating-point columns"):
        encoder(x.long())
