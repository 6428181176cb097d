"""Words that training does not have: their embedding is trained, and the number of them is said."""

import inspect

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import Batch

from plstm_graph.config.names import allow_names
from plstm_graph.datasets.dag_folder.check import check_folder
from plstm_graph.nn.encoders import CategoryEncoder, feature_encoder
from plstm_graph.predict.predictor import Predictor
from plstm_graph.tasks.dag_folder import dag_folder
from plstm_graph.tasks.task import Shard

_VALUES = {"a": -1.0, "b": 0.0, "c": 1.0, "d": 2.0}
_CHANNELS = 16


def _folder(path, kind="nodes", graphs=100):
    """Chains whose target is a sum over words of nodes or edges; every test graph has a word that training lacks."""
    random = np.random.default_rng(0)
    rows = {"graphs": [], "nodes": [], "edges": []}
    for graph in range(graphs):
        part = ("train", "train", "train", "valid", "test")[graph % 5]
        length = int(random.integers(4, 8))
        words = list(random.choice(list(_VALUES), length))
        target = sum(_VALUES[word] for word in words) / 2
        rows["graphs"].append({"graph": graph, "y": target + 0.05 * random.normal(), "part": part})
        if part == "test":
            words[int(random.integers(length))] = f"new{graph % 3}"
        nodes = length if kind != "edges" else length + 1
        rows["nodes"] += [{"graph": graph, "node": node, "size": float(random.normal())} for node in range(nodes)]
        rows["edges"] += [{"graph": graph, "source": node, "target": node + 1} for node in range(nodes - 1)]
        for row, word in zip(rows["edges" if kind == "edges" else "nodes"][-length:], words, strict=True):
            row["op"] = word
    path.mkdir()
    for name, records in rows.items():
        pd.DataFrame(records).to_csv(path / f"{name}.csv", index=False)
    features = {"nodes": "[op]", "numbers": "{size: number, op: category}", "edges": "[]"}[kind]
    edges = "edges: {features: [op]}\n" if kind == "edges" else ""
    (path / "dag.yaml").write_text(f"targets: [y]\nsplit: part\nnodes: {{features: {features}}}\n{edges}")
    return path


class Bag(torch.nn.Module):
    """A model that sees words alone, and is quick to train."""

    def __init__(self, out_channels, in_channels, edge_dim):
        super().__init__()
        self.of_edges = edge_dim is not None
        self.encoder = feature_encoder(edge_dim if self.of_edges else in_channels, _CHANNELS)
        width = [torch.nn.Linear(_CHANNELS, _CHANNELS), torch.nn.GELU(), torch.nn.Linear(_CHANNELS, out_channels)]
        self.head = torch.nn.Sequential(*width)

    def forward(self, x, edge_index, edge_attr, batch, batch_size):
        words, graph = (edge_attr, batch[edge_index[0]]) if self.of_edges else (x, batch)
        return self.head(torch.zeros(batch_size, _CHANNELS).index_add(0, graph, self.encoder(words)))


BAG = {"class_path": f"{__name__}.Bag"}
MODELS = [
    {"class_path": f"plstm_graph.nn.{name}", "init_args": {"hidden_channels": 8}} for name in ("PLSTM", "baselines.GIN")
]


@pytest.fixture(autouse=True)
def _allow_tests():
    with allow_names(["tests.tasks"]):
        yield


def _predict(task, model, spec):
    return Predictor(model, task.recipe(model, spec, 1)).predict(task.parts["test"])


def _train(task, draw):
    """Predictions for the test part after a training whose unknown embedding was drawn anew before."""
    torch.manual_seed(0)
    model = task.make_model(BAG)
    for encoder in model.modules():
        if isinstance(encoder, CategoryEncoder):
            drawn = torch.randn(len(encoder.offset), _CHANNELS, generator=torch.Generator().manual_seed(draw))
            encoder.embedding.weight.data[encoder.offset] = drawn
    batch, needs = Batch.from_data_list(list(task.parts["train"])), task.needs(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    torch.manual_seed(1)
    for _ in range(200):
        loss, count = task.loss(task.output(model, task.changed(batch), needs), batch)
        optimizer.zero_grad()
        (loss / count).backward()
        optimizer.step()
    return _predict(task, model, BAG)


@pytest.mark.parametrize("kind", ["nodes", "numbers", "edges"])
def test_drawing_the_unknown_embedding_anew_moves_little(kind, tmp_path):
    folder = str(_folder(tmp_path / "dags", kind))
    rate = inspect.signature(dag_folder).parameters["unknown_words"].default
    tasks = [dag_folder(folder, unknown_words=each) for each in (0.0, rate)]
    untrained, trained = (torch.stack([_train(task, draw) for draw in (1, 2, 3)]).std(dim=0).mean() for task in tasks)
    # Measured: 0.33 and 0.05 standard deviations of the target. The rest is that trainings differ in all weights.
    assert untrained > 0.15
    assert trained < untrained / 2


@pytest.mark.parametrize("spec", [*MODELS, BAG], ids=lambda spec: spec["class_path"])
def test_the_unknown_embedding_starts_at_zero_and_is_trained(spec, tmp_path):
    task = dag_folder(str(_folder(tmp_path / "dags", graphs=10)), unknown_words=0.5)
    model = task.make_model(spec)
    encoders = [part for part in model.modules() if isinstance(part, CategoryEncoder)]
    assert encoders
    for encoder in encoders:
        assert not encoder.embedding.weight[encoder.offset].any()
        encoder.reset_parameters()
        assert not encoder.embedding.weight[encoder.offset].any()
        assert encoder.embedding.weight[encoder.offset + 1].all()
    needs = task.needs(model)
    batch = next(iter(task.train_loader(needs, 32, 0, torch.device("cpu"), Shard())))
    task.loss(task.output(model, task.changed(batch), needs), batch)[0].backward()
    assert all(encoder.embedding.weight.grad[encoder.offset].any() for encoder in encoders)


@pytest.mark.parametrize(("rate", "bounds"), [(0.02, (0.01, 0.03)), (0.5, (0.45, 0.55)), (0.999, (0.99, 1.0))])
def test_so_many_words_are_hidden_and_numbers_are_not(rate, bounds, tmp_path):
    task = dag_folder(str(_folder(tmp_path / "dags", "numbers", graphs=100)), unknown_words=rate)
    batch = Batch.from_data_list([task.parts["train"][0]] * 500)
    before = batch.x.clone()
    hidden = task.changed(batch).x
    assert torch.equal(batch.x, before)  # nothing was computed
    assert torch.equal(hidden[:, 0], before[:, 0])
    changed = hidden[:, 1] != before[:, 1]
    assert (hidden[changed, 1] == 0).all()
    assert bounds[0] <= changed.double().mean() <= bounds[1]


def test_evaluation_hides_nothing(tmp_path):
    task = dag_folder(str(_folder(tmp_path / "dags", graphs=10)), unknown_words=0.9)
    model = task.make_model(BAG)
    assert torch.equal(_predict(task, model, BAG), _predict(task, model, BAG))  # the same sums
    batches = task.batches("valid", task.needs(model), 32, torch.device("cpu"), Shard())
    words = torch.cat([graph.x for graph in task.parts["valid"]])
    assert torch.equal(torch.cat([batch.x for batch in batches]), words)


@pytest.mark.parametrize(
    ("kind", "table", "on_disk"), [("nodes", "nodes", False), ("edges", "edges", False), ("numbers", "nodes", True)]
)
def test_unseen_words_are_counted(kind, table, on_disk, tmp_path):
    folder = _folder(tmp_path / "dags", kind, graphs=20)
    text = "4 rows of test with words that training does not have: "
    found = check_folder(folder).unseen
    assert list(found) == [f"{table}.op"]
    assert found[f"{table}.op"].rows == {"test": 4}
    words = found[f"{table}.op"].words
    assert set(words) <= {"new0", "new1", "new2"} and sum(words.values()) == 4 and found[f"{table}.op"].others == 0
    assert list(words.values()) == sorted(words.values(), reverse=True)
    (note,) = dag_folder(str(folder), on_disk=on_disk).notes
    assert note.startswith(f"{table}.op: {text}'new")
