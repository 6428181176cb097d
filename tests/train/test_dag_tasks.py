"""Tasks on DAGs: what they ask, one training, the command and its report."""

import json
import math

import pytest
import torch
import yaml
from torch_geometric.data import Data

from plstm_graph.cli import main
from plstm_graph.datasets.architectures import ENASDataset
from plstm_graph.datasets.circuits.pieces import sub_circuits, with_probabilities
from plstm_graph.datasets.sentiment import root_sentiment
from plstm_graph.datasets.workflows.plans import COLUMNS
from plstm_graph.nn import MakespanPLSTM
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.tasks.registry import load_task
from plstm_graph.train.trial import count_parameters
from plstm_graph.transforms import ToDAG

LR, SCALE = "training.lr", "task.target_scale"
COPY = {"num_graphs": 96, "size": 6, "smallest": 2}
FEW = COPY | {"num_graphs": 32}
SMALL = {
    "name": "copy",
    "task": {"name": "copy", "train": COPY, "valid": FEW, "tests": {"4": FEW | {"size": 4}}},
    "models": {
        "plstm": {
            "class_path": "plstm_graph.nn.PLSTM",
            "init_args": {"hidden_channels": 16, "num_layers": 1, "modes": "P", "direction": "forward"},
        },
        "bag": {
            "class_path": "plstm_graph.nn.baselines.BagOfNodes",
            "init_args": {"hidden_channels": 16, "ffn_ratio": 2},
        },
    },
    "training": {"epochs": 8, "batch_size": 8, "weight_decay": 0.0},
    "choose": {"training.lr": [0.0001, 0.02]},
}


def write(folder, **changes):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(SMALL | changes, sort_keys=False))
    return path


def command(config, *more):
    return main(["fit", "--config", str(config), "--threads", "1", "--device", "cpu", *more])


def test_command(tmp_path, capsys):
    """Both learning rates with the first seed, the better one with the second; nothing is trained twice."""
    config, folder = write(tmp_path), tmp_path / "run"
    assert command(config, "--output", str(folder), "--seeds", "0,1") == 0
    printed = capsys.readouterr()
    assert "bag, training.lr 0.0001, seed 0, epoch 8/8" in printed.err
    report = json.loads((folder / "report.json").read_text())
    plstm, bag = report["models"]["plstm"], report["models"]["bag"]
    assert plstm["tests"]["test_4/accuracy"]["mean"] > 0.5 > bag["tests"]["test_4/accuracy"]["mean"]
    assert plstm["choice"] == {LR: 0.02} and [row["choice"][LR] for row in plstm["tried"]] == [0.0001, 0.02]
    assert [row["seed"] for row in plstm["seeds"]] == [0, 1] and plstm["tests"]["test_4/accuracy"]["std"] is not None
    assert "| plstm |" in printed.out and "| plstm |" in (folder / "report.md").read_text()
    assert len((folder / "results.jsonl").read_text().splitlines()) == 4
    assert not list(folder.rglob("last.ckpt"))
    assert command(config, "--output", str(folder), "--seeds", "0,1") == 0
    again = capsys.readouterr()
    assert "epoch" not in again.err and again.out.splitlines()[2:6] == printed.out.splitlines()[2:6]


def test_averaged_weights_are_kept(tmp_path):
    kept = []
    for average in (0.0, 5.0):
        config = write(tmp_path, training={"epochs": 2, "batch_size": 8, "average": average}, choose={LR: [0.01]})
        folder = tmp_path / f"run_{average:g}"
        assert command(config, "--output", str(folder), "--only", "bag", "--seeds", "0") == 0
        (best,) = folder.rglob("seed_*/best.ckpt")
        kept.append(torch.load(best, weights_only=True)["state_dict"])
    last, averaged = kept
    assert last.keys() == averaged.keys()
    moved = [name for name, value in last.items() if value.is_floating_point() and not value.equal(averaged[name])]
    assert moved


def test_what_cannot_run(tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    for changes, more, message in [
        ({}, ("--only", "gnn"), "no model gnn in the configuration: plstm, bag"),
        ({"task": {"name": "sort"}}, (), "no task 'sort': expected one of molecules"),
        ({"task": {"name": "copy", "size": 3}}, (), "options {'size': 3} do not fit the task copy"),
        ({"models": {"gone": {"class_path": "plstm_graph.nn.Gone"}}}, (), "there is no plstm_graph.nn.Gone"),
        (
            {"models": {"odd": {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"size": 1}}}},
            (),
            "PLSTM cannot be made with {'size': 1}",
        ),
        ({"choose": {LR: [0.1, 0.1]}}, (), "choose.training.lr must be a list of different values, got [0.1, 0.1]"),
        ({"choose": {LR: 0.1}}, (), "choose.training.lr must be a list of different values, got 0.1"),
        ({"choose": {"lr": [0.1]}}, (), "choose.lr is no option of task, training or model"),
        ({"choose": {"training.rate": [0.1]}}, (), "do not fit training: there is no option 'rate'"),
        ({"choose": {LR: ["fast"]}}, (), "do not fit training: lr must be of the type float, got 'fast'"),
        ({"choose": {LR: [-1.0]}}, (), "lr and clip must be positive"),
        ({"choose": {SCALE: ["raw", "log"]}}, (), "'raw' is a scale of numbers, and the targets of copy are classes"),
        ({"choose": {"model.size": [1, 2]}}, (), "PLSTM cannot be made with"),
    ]:
        assert command(write(tmp_path, **changes), "--output", str(folder), *more) == 2
        assert message in capsys.readouterr().err
    assert not list(folder.iterdir())
    short = write(tmp_path, training={"epochs": 1}, choose={LR: [0.01]})
    assert command(short, "--output", str(folder), "--only", "bag", "--seeds", "0") == 0
    capsys.readouterr()
    longer = write(tmp_path, training={"epochs": 2}, choose={LR: [0.01]})
    assert command(longer, "--output", str(folder), "--only", "bag", "--seeds", "0") == 2
    assert "holds a run of another configuration" in capsys.readouterr().err


@pytest.mark.parametrize("order", [("b", "a", "c"), ("c", "b", "a"), ("a", "c", "b")])
def test_tests_in_another_order_are_others(tmp_path, capsys, order):
    """Their seeds go by it, so that a run must not go on with them."""
    folder, size = tmp_path / "run", {"num_graphs": 4, "size": 4}

    def run(names):
        task = SMALL["task"] | {"tests": {name: size for name in names}}
        config = write(tmp_path, task=task, training={"epochs": 1}, choose={LR: [0.01]})
        return command(config, "--output", str(folder), "--only", "bag", "--seeds", "0")

    assert run("abc") == 0
    assert run("abc") == 0
    capsys.readouterr()
    assert run(order) == 2
    assert f"task.tests are in the order {', '.join(order)}, were in a, b, c" in capsys.readouterr().err


SIZES = {
    "enas": (1, [8], None, "graph"),
    "nas_bench_graph": (1, [11], None, "graph"),
    "sst": (5, [18282], [2], "node"),
    "circuits": (1, [3, 0], [2], "node"),
    "workflows": (1, [36] + [0] * 9, None, "graph"),
    "timing": (1, [5, 0, 0], [2], "node"),
    "copy": (8, [8, 3], None, "node"),
    "longest_path": (1, [2], None, "node"),
    "reachability": (2, [2], None, "node"),
    "path_parity": (2, [2], None, "node"),
    "pedigrees": (1, 2, [2], "node"),
    "terrain": (1, 6, 3, "node"),
}


def configurations(request):
    folder = request.config.rootpath / "configs" / "dags"
    paths = sorted(folder.rglob("*.yaml"))
    return {path.relative_to(folder).with_suffix("").as_posix(): yaml.safe_load(path.read_text()) for path in paths}


def columns(sizes, rows):
    """Features of these columns: categories where a size is given, numbers where it is 0."""
    if sizes is None:
        return None
    if isinstance(sizes, int):
        return torch.rand(rows, sizes)
    found = torch.stack([torch.arange(rows) % size if size else torch.arange(rows) for size in sizes], dim=1)
    return found if all(sizes) else found.float()


def test_models_of_a_task_are_of_one_size_and_run(request):
    """Within a tenth of the number of parameters of the first, which is pLSTM; on a DAG of the task's features.

    A model of plans has a coefficient for each category and next to nothing else: it may have fewer, and is not the
    measure of others.
    """
    edge_index = torch.tensor([[0, 0, 1, 2, 3], [1, 2, 3, 3, 4]])
    found = configurations(request)
    assert {config["task"]["name"] for config in found.values()} == set(SIZES)
    for name, config in found.items():
        outputs, inputs, edges, predict = SIZES[config["task"]["name"]]
        y = torch.zeros(1 if predict == "graph" else 5, outputs)
        graph = Data(x=columns(inputs, 5), edge_index=edge_index, edge_attr=columns(edges, 5), y=y)
        task = GraphTask(
            name=name,
            parts={"train": [ToDAG()(graph), ToDAG()(graph)]},
            target_level=predict,
            out_channels=outputs,
            in_channels=inputs,
            edge_dim=edges,
            objective="mse",
            metrics=dict,
            monitor={},
            column_names={"x": COLUMNS} if name == "workflows" else {},
        )
        models = {model: task.make_model(spec) for model, spec in config["models"].items()}
        for model in models.values():
            task.check(model)
        sizes = {name: count_parameters(model) for name, model in models.items()}
        plans = {name for name, model in models.items() if isinstance(model, MakespanPLSTM)}
        measure = next(size for name, size in sizes.items() if name not in plans)
        for model, size in sizes.items():
            least = 0 if model in plans else 0.9
            assert least <= size / measure <= 1.1, f"{name}: {model} has {size} parameters, {sizes}"


def test_synthetic_tasks_and_their_losses():
    size = {"num_graphs": 3, "size": 20}
    for name in ("copy", "longest_path", "reachability", "path_parity"):
        task = load_task(name, train=size, valid=size, tests={"20": size})
        assert set(task.parts) == {"train", "valid", "test_20"}
        target = torch.cat([graph.y for graph in task.parts["train"]])
        perfect = target
        if task.objective == "cross_entropy":
            perfect = 50 * torch.nn.functional.one_hot(target.nan_to_num().long().view(-1), task.out_channels).float()
        assert task.loss_of(perfect, target)[0] < 1e-6 < task.loss_of(torch.zeros_like(perfect), target)[0]
        row = task.score(perfect, y=target)
        assert row.get("accuracy", 1.0) == 1.0 and row.get("mae", 0.0) == 0.0
        assert set(task.monitor) <= set(row)


def chain_circuit(gates):
    """Two inputs; gate ``i`` reads gate ``i - 1`` and the first input."""
    edges = [(0, 2), (1, 2)] + [(node, node + 1) for node in range(2, gates + 1)]
    edges += [(0, node) for node in range(3, gates + 2)]
    y = torch.tensor([0.5, 0.5, *(0.5 ** (gate + 2) for gate in range(gates))]).view(-1, 1)
    x = torch.tensor([0, 0] + [1] * gates).view(-1, 1)
    edge_index = torch.tensor(edges).t()
    return Data(x=x, edge_index=edge_index, edge_attr=torch.arange(len(edges)).view(-1, 1) % 2, y=y, circuit="chain")


def test_pieces_of_circuits():
    whole = with_probabilities(chain_circuit(30))
    assert whole.x[:3].tolist() == [[0, 0.5], [0, 0.5], [1, 0]] and whole.y.isnan().sum() == 2
    pieces = sub_circuits([whole], 20, 8, seed=0)
    again = sub_circuits([whole], 3, 8, seed=0)
    assert torch.equal(pieces[2].edge_index, again[2].edge_index)
    assert len({piece.num_nodes for piece in pieces}) > 1
    for piece in pieces:
        gate = piece.y.isfinite().view(-1)
        assert 1 <= gate.sum() <= 8
        in_degree = torch.bincount(piece.edge_index[1], minlength=piece.num_nodes)
        assert (in_degree == 2 * gate.long()).all()  # a gate has all its fan-ins; what is cut off has none
        assert (piece.x[~gate, 0] == 0).all() and (piece.x[~gate, 1] > 0).all() and (piece.x[gate, 1] == 0).all()
        assert piece.y[gate].max() < piece.x[~gate, 1].max()


@pytest.mark.slow
def test_real_tasks(real_data, tmp_path):
    """Their sets are as they are described, and perfect answers get perfect scores."""
    enas = load_task("enas", str(tmp_path), str(real_data))
    assert {part: len(graphs) for part, graphs in enas.parts.items()} == {"train": 15407, "valid": 1711, "test": 1902}
    target = torch.cat([graph.y for graph in enas.parts["train"]])
    learnt = enas.target.apply(target)
    assert abs(learnt.mean()) < 1e-4 and abs(learnt.std() - 1) < 1e-4
    assert abs(enas.score(torch.zeros_like(target), y=target)["rmse"] - 1) < 1e-4  # in standard deviations
    assert 0.70 < target.min() < target.max() < 0.751
    nodes = torch.cat([graph.x for graph in enas.parts["train"]])
    assert int(nodes.max()) == ENASDataset.num_types - 1
    search = load_task("nas_bench_graph", str(tmp_path), str(real_data), data="proteins")
    assert sum(len(graphs) for graphs in search.parts.values()) == 2021
    sst = load_task("sst", str(tmp_path), str(real_data))
    assert sst.in_channels == [SIZES["sst"][1][0]]
    assert [len(part) for part in sst.parts.values()] == [8544, 1101, 2210]
    graphs = sst.parts["test"]
    columns = {name: torch.cat([graph[name] for graph in graphs]) for name in sst.columns}
    output = torch.nn.functional.one_hot(columns["y"].view(-1).long(), 5).float()
    assert sst.score(output, **columns) == {"root": 1.0, "root_binary": 1.0, "nodes": 1.0}
    neutral = torch.zeros_like(output)
    neutral[:, 2] = 1.0
    row = sst.score(neutral, **columns)
    assert math.isclose(row["root"], 389 / 2210) and math.isclose(row["root_binary"], 912 / 1821)
    binary = [root_sentiment(tree, binary=True).y.isfinite().sum() for tree in graphs]
    assert sum(binary) == 1821  # the number of sentences that all papers on the binary task test on


def test_choices_are_made_without_tests(tmp_path, capsys):
    """The report is then of validation; the same run can be tested later."""
    folder, once = tmp_path / "run", {"training": {"epochs": 2, "batch_size": 8}}
    arguments = write(tmp_path, **once), "--output", str(folder), "--seeds", "0,1"
    assert command(*arguments, "--tests", "false") == 0
    assert not list(folder.rglob("tests.json"))
    printed = capsys.readouterr().out
    assert "| valid/accuracy |" in printed and "test_4/" not in printed
    plstm = json.loads((folder / "report.json").read_text())["models"]["plstm"]
    assert plstm["tests"] == {} and plstm["valid"]["valid/accuracy"]["std"] is not None
    assert command(*arguments) == 0
    printed = capsys.readouterr()
    assert "epoch" not in printed.err and "| test_4/accuracy |" in printed.out


def test_a_better_learning_rate_takes_the_place(tmp_path, capsys):
    """One that is added later; the table shows its trainings only."""
    folder = str(tmp_path / "run")
    assert command(write(tmp_path, choose={LR: [0.0001]}), "--output", folder, "--only", "plstm", "--seeds", "0") == 0
    assert command(write(tmp_path), "--output", folder, "--only", "plstm", "--seeds", "0") == 0
    plstm = json.loads((tmp_path / "run" / "report.json").read_text())["models"]["plstm"]
    assert (
        plstm["choice"] == {LR: 0.02}
        and [row["choice"] for row in plstm["seeds"]] == [{LR: 0.02}]
        and len(plstm["tried"]) == 2
    )
    assert "plstm, training.lr 0.02, seed 0, epoch 8/8" in capsys.readouterr().err


def test_scales_of_targets_are_tried_like_learning_rates(tmp_path, capsys):
    size = {"num_graphs": 16, "size": 16}
    small = {
        "task": {"name": "longest_path", "train": size, "valid": size, "tests": {"16": size}},
        "training": {"epochs": 2, "batch_size": 8},
        "choose": {LR: [0.0001, 0.01]},
    }
    arguments = "--output", str(tmp_path / "run"), "--only", "bag", "--seeds"
    assert command(write(tmp_path, **small), *arguments, "0") == 0
    assert capsys.readouterr().err.count("epoch 2/2") == 2
    scales = {SCALE: ["raw", "standard", "log"]}
    chosen = write(tmp_path, **small | {"choose": small["choose"] | scales})
    assert command(chosen, *arguments, "0,1") == 0
    printed = capsys.readouterr()
    assert printed.err.count("epoch 2/2") == 2 * 3 + 1
    assert "bag, training.lr 0.01, task.target_scale log, seed 0, epoch" in printed.err
    bag = json.loads((tmp_path / "run" / "report.json").read_text())["models"]["bag"]
    tried = {(row["choice"].get(SCALE), row["choice"][LR]): row["valid"]["mae"] for row in bag["tried"]}
    assert set(tried) == {(kind, lr) for kind in (None, "raw", "standard", "log") for lr in (0.0001, 0.01)}
    best = bag["choice"].get(SCALE), bag["choice"][LR]
    assert tried[best] == min(tried.values()) and len(bag["seeds"]) == 2
    assert all(row["choice"] == bag["choice"] for row in bag["seeds"])
    assert "| learning rate | target_scale |" in printed.out
    assert command(chosen, *arguments, "0,1") == 0
    assert "epoch" not in capsys.readouterr().err
