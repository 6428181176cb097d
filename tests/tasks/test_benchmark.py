"""Benchmarks as tasks: transforms of configurations, and what ``predict`` is told of them."""

import copy
import json

import pytest
import torch

from plstm_graph.config.fitting import fitting
from plstm_graph.tasks.benchmark import benchmark
from plstm_graph.tasks.registry import load_task
from plstm_graph.train.command import parse
from tests.made_sets import made_ogb

_COLOURS = {"class_path": "plstm_graph.transforms.AddWLColors", "init_args": {"rounds": 1, "num_colors": 16}}
_COMPOSED = {
    "class_path": "torch_geometric.transforms.Compose",
    "init_args": {"transforms": [{"class_path": "torch_geometric.transforms.Constant", "init_args": {}}, _COLOURS]},
}


def names_of(spec):
    """Classes of a transform and of those within it."""
    if spec is None:
        return []
    within = spec["init_args"].get("transforms", []) if "init_args" in spec else []
    return [spec["class_path"], *(name for each in within for name in names_of(each))]


_PLSTM = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"hidden_channels": 8, "num_layers": 1, "modes": "P"}}
_GIN = {"class_path": "plstm_graph.nn.baselines.OGBGNN", "init_args": {"hidden_channels": 8, "num_layers": 2}}


@pytest.mark.parametrize("transform", [_COLOURS, _COMPOSED, None])
def test_transforms_within_transforms_stay_plain(transform):
    options = {"set": "ogbg-molhiv", "pre_transform": transform, "root": "r", "source": None}
    before = copy.deepcopy(options)
    checked = fitting(benchmark, options, "it")["pre_transform"]
    assert options == before
    # A parser makes namespaces of what looks like classes, which no file can hold; it fills in their defaults.
    assert json.loads(json.dumps(checked)) == checked
    assert names_of(checked) == names_of(transform)


@pytest.mark.parametrize(
    ("transform", "names"),
    [
        (None, ["plstm_graph.transforms.ToDAG"]),
        (_COLOURS, ["plstm_graph.transforms.AddWLColors", "plstm_graph.transforms.ToDAG"]),
    ],
)
def test_predict_is_told_how_molecules_were_prepared(tmp_path, transform, names):
    source = made_ogb(tmp_path / "source")
    task = load_task(
        "benchmark",
        root=str(tmp_path / "root"),
        source=str(source),
        **{"set": "ogbg-molfreesolv", "orientation": "centre", "pre_transform": transform},
    )
    histogram = {} if transform is None else {"histogram": [16]}
    for spec, expected in ((_PLSTM, names), (_GIN, names[:-1])):
        if transform is None or spec is _PLSTM:
            arguments = {**spec["init_args"], **histogram}
            model = task.make_model({**spec, "init_args": arguments})
            task.check(model)
        else:
            model = task.make_model(spec)
        prepared = task.serving(task.needs(model))
        steps = prepared["given"]["pre_transform"]["init_args"]["transforms"]
        assert [step["class_path"] for step in steps] == expected
        assert (prepared["data"], prepared["given"]["smiles_column"]) == ("molecules", "smiles")
    assert len(steps) == (transform is not None)


def test_targets_are_learnt_with_mean_0_and_deviation_1(tmp_path):
    task = load_task(
        "benchmark",
        root=str(tmp_path / "root"),
        source=str(made_ogb(tmp_path / "source")),
        **{"set": "ogbg-molfreesolv"},
    )
    y = torch.cat([graph.y for graph in task.graphs("train", task.needs(task.make_model(_GIN)))])
    scaled = task.target.apply(y)
    assert float(scaled.mean()) == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(task.restored(scaled), y.double())
    assert (task.name, task.objective, task.monitor) == ("ogbg-molfreesolv", "mse", {"rmse": "min"})


def test_a_configuration_with_transforms_is_plain(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "task: {name: benchmark, set: ogbg-molhiv, pre_transform: {class_path: torch_geometric.transforms.Compose, "
        "init_args: {transforms: [{class_path: torch_geometric.transforms.Constant}]}}}\n"
        "models: {gin: {class_path: plstm_graph.nn.baselines.OGBGNN}}\n"
    )
    plain = parse(["--config", str(tmp_path / "config.yaml"), "--device", "cpu"]).study.plain["task"]
    assert names_of(plain["pre_transform"]) == names_of(_COMPOSED)[:2]
    assert json.loads(json.dumps(plain)) == plain
