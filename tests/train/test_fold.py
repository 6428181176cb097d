"""One fold on real graphs through the real loader."""

import functools

import numpy as np
import pytest
import torch
from plstm_graph.train.crossval.fold import FoldOptions, GraphOptions, fold_split, run_fold

from plstm_graph.nn import PLSTM
from plstm_graph.nn.baselines import GIN

CPU = torch.device("cpu")
small_plstm = functools.partial(PLSTM, hidden_channels=16, num_layers=1, modes="P", tied=True, norm="batch")
small_gin = functools.partial(GIN, hidden_channels=16, num_layers=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("tu"))


def test_folds_are_stratified_and_disjoint():
    labels = np.array([0] * 63 + [1] * 125)
    tested = []
    for fold in range(10):
        split = fold_split(labels, fold, 42)
        rows = np.concatenate(list(split.values()))
        assert sorted(rows) == list(range(188))
        assert (len(split["valid"]), len(split["test"])) in ((19, 19), (19, 18))
        assert all(abs(labels[part].mean() - labels.mean()) < 0.04 for part in split.values())
        tested += list(split["test"])
    assert sorted(tested) == list(range(188))
    assert not np.array_equal(fold_split(labels, 0, 42)["test"], fold_split(labels, 0, 43)["test"])


@pytest.mark.parametrize(
    ("name", "make_model", "options"),
    [
        ("MUTAG", small_plstm, {}),
        ("MUTAG", small_plstm, {"walk_length": 4, "orientation": "depth_first", "edge_features": False}),
        ("MUTAG", small_gin, {"walk_length": 4}),
        ("MUTAG", small_plstm, {"walk_length": 4, "wl_rounds": 2, "wl_colors": 16}),
        ("ENZYMES", small_gin, {"wl_rounds": 1}),
        ("ENZYMES", small_gin, {}),
    ],
)
def test_a_fold(real_data, root, name, make_model, options):
    rows = []
    graphs = GraphOptions(name, str(real_data), root, **options)
    result = run_fold(3, make_model, graphs, FoldOptions(epochs=2, lr=3e-3), rows.append, CPU)
    assert [row["epoch"] for row in rows] == [0, 1]
    assert 0 < result["test_accuracy"] <= 1
    assert result["valid_accuracy"] == max(row["valid/accuracy"] for row in rows)
    assert result["best_epoch"] - 1 == max(range(2), key=lambda epoch: rows[epoch]["valid/accuracy"])
    assert sum(result["graphs"].values()) == {"MUTAG": 188, "ENZYMES": 600}[name]


def test_the_same_seed_gives_the_same_result(real_data, root):
    graphs = GraphOptions("MUTAG", str(real_data), root)
    rows: list[list] = [[], [], []]
    for seed, found in zip((0, 0, 1), rows, strict=True):
        run_fold(0, small_plstm, graphs, FoldOptions(epochs=2, seed=seed), found.append, CPU)
    losses = [[row["train/loss"] for row in found] for found in rows]
    assert losses[0] == losses[1] != losses[2]


def test_compiled_steps_train_the_same_model(real_data, root, monkeypatch):
    compiled = []

    def trace_only(model, **options):
        """What ``torch.compile`` does, without minutes in the C++ compiler."""
        compiled.append(model)
        return torch_compile(model, backend="aot_eager", fullgraph=True, **options)

    torch_compile = torch.compile
    monkeypatch.setattr(torch, "compile", trace_only)
    graphs = GraphOptions("MUTAG", str(real_data), root)
    rows: list[list] = [[], []]
    # Before a batch norm, biases have no gradient but rounding, of which AdamW would make whole steps.
    make_model = functools.partial(small_plstm, norm="rms")
    results = [
        run_fold(0, make_model, graphs, FoldOptions(epochs=2), found.append, CPU, in_c)
        for found, in_c in zip(rows, (False, True), strict=True)
    ]
    assert len(compiled) == 1
    assert results[0]["test_loss"] == pytest.approx(results[1]["test_loss"], rel=1e-4)
    for eager, traced in zip(*rows, strict=True):
        assert eager["train/loss"] == pytest.approx(traced["train/loss"], rel=1e-4)


def test_a_model_that_learns(real_data, root):
    rows = []
    graphs = GraphOptions("MUTAG", str(real_data), root)
    run_fold(0, small_plstm, graphs, FoldOptions(epochs=15, lr=1e-2), rows.append, CPU)
    assert rows[-1]["train/accuracy"] > 0.85 > 0.75 > rows[0]["train/accuracy"]


def test_width_follows_from_the_number_of_parameters(real_data, root):
    graphs = GraphOptions("MUTAG", str(real_data), root)
    options = FoldOptions(epochs=1, widest_below=20_000)
    assert 15_000 < run_fold(0, small_gin, graphs, options, lambda row: None, CPU)["parameters"] < 20_000
    with pytest.raises(ValueError, match=r"the model has [\d,]+ parameters, more than max_parameters=1,000"):
        run_fold(0, small_gin, graphs, FoldOptions(max_parameters=1000), lambda row: None, CPU)


@pytest.mark.parametrize("make", [small_gin, small_plstm])
def test_members_are_trained_side_by_side(real_data, root, make):
    graphs, rows = GraphOptions("MUTAG", str(real_data), root), []
    single = run_fold(0, make, graphs, FoldOptions(epochs=1), rows.append, CPU)
    pair = run_fold(0, make, graphs, FoldOptions(epochs=1, members=2), rows.append, CPU)
    assert pair["parameters"] == 2 * single["parameters"]
    assert 0 < rows[1]["train/loss"] != rows[0]["train/loss"]
    options = FoldOptions(epochs=1, widest_below=20_000, members=2)
    assert 10_000 < run_fold(0, small_gin, graphs, options, rows.append, CPU)["parameters"] < 20_000
