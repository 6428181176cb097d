"""One fold on real graphs through the real loader and the engine."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from plstm_graph.datasets.folds import fold_split
from plstm_graph.tasks.registry import load_task
from plstm_graph.tasks.task import Shard
from plstm_graph.train import trial as trials
from plstm_graph.train.engine import outputs_of
from plstm_graph.train.training import Training
from plstm_graph.train.trial import Trial, make_model, run_trial, trained_model

CPU = torch.device("cpu")
_PLSTM = {"hidden_channels": 16, "num_layers": 1, "modes": "P", "share_weights": True, "norm": "batch"}
SMALL_PLSTM = {"class_path": "plstm_graph.nn.PLSTM", "init_args": _PLSTM}
SMALL_GIN = {
    "class_path": "plstm_graph.nn.baselines.GIN",
    "init_args": {"hidden_channels": 16, "num_layers": 2},
}


@dataclass
class Fold:
    """Trains on a fold of a set."""

    folder: Path
    root: str
    source: str
    rows: list = field(default_factory=list)
    count: int = 0

    def __call__(self, spec, training, name="MUTAG", fold=0, seed=42, **options):
        self.count += 1
        plain = {"name": "tu", "root": self.root, "source": self.source, "set": name, "fold": fold, **options}
        self.task = load_task(**plain)
        training = Training(**({"batch_size": 64, "final_lr": 0.0} | training))
        self.trial = Trial("model", spec, plain, training, seed, self.folder / str(self.count), fold)
        self.rows = []
        result = run_trial(self.trial, self.task, {"accelerator": "cpu"}, self.rows.append)
        return result, trials.test_trial(self.trial, self.task, CPU)["test"]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("tu"))


@pytest.fixture
def run_fold(tmp_path, root, real_data):
    return Fold(tmp_path, root, str(real_data))


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
    ("name", "model", "options"),
    [
        ("MUTAG", SMALL_PLSTM, {}),
        ("MUTAG", SMALL_PLSTM, {"walk_length": 4, "orientation": "depth_first", "edge_features": False}),
        ("MUTAG", SMALL_GIN, {"walk_length": 4}),
        ("MUTAG", SMALL_PLSTM, {"walk_length": 4, "wl_rounds": 2, "wl_colors": 16}),
        ("ENZYMES", SMALL_GIN, {"wl_rounds": 1}),
        ("ENZYMES", SMALL_GIN, {}),
    ],
)
def test_a_fold(run_fold, name, model, options):
    result, test = run_fold(model, {"epochs": 2, "lr": 3e-3}, name, 3, **options)
    rows = run_fold.rows
    assert [row["epoch"] for row in rows] == [0, 1]
    assert 0 < test["accuracy"] <= 1
    assert result["valid"]["accuracy"] == max(row["valid/accuracy"] for row in rows)
    assert result["epoch"] - 1 == max(range(2), key=lambda epoch: rows[epoch]["valid/accuracy"])
    assert sum(map(len, run_fold.task.parts.values())) == {"MUTAG": 188, "ENZYMES": 600}[name]


def test_the_same_seed_gives_the_same_result(run_fold):
    losses = []
    for seed in (0, 0, 1):
        run_fold(SMALL_PLSTM, {"epochs": 2}, seed=seed)
        losses.append([row["train/loss"] for row in run_fold.rows])
    assert losses[0] == losses[1] != losses[2]


def test_compiled_steps_train_the_same_model(run_fold, monkeypatch):
    compiled = []

    def trace_only(model, **options):
        """What ``torch.compile`` does, without minutes in the C++ compiler; backward passes are traced in tests/nn."""
        compiled.append(model)
        return torch_compile(model, backend="eager", fullgraph=True, **options)

    torch_compile = torch.compile
    monkeypatch.setattr(torch, "compile", trace_only)
    # Before a batch norm, biases have no gradient but rounding, of which AdamW would make whole steps.
    model = {**SMALL_PLSTM, "init_args": {**_PLSTM, "norm": "rms"}}
    rows, tests = [], []
    for compile in (False, True):
        tests.append(run_fold(model, {"epochs": 2, "compile": compile})[1])
        rows.append(run_fold.rows)
    assert len(compiled) == 1
    assert tests[0]["loss"] == pytest.approx(tests[1]["loss"], rel=1e-4)
    for eager, traced in zip(*rows, strict=True):
        assert eager["train/loss"] == pytest.approx(traced["train/loss"], rel=1e-4)


def test_a_model_that_learns(run_fold):
    def train_accuracy():
        model = trained_model(run_fold.trial, run_fold.task, CPU)
        batches = run_fold.task.batches("train", run_fold.task.needs(model), 64, CPU, Shard())
        output, columns = outputs_of(model, batches, run_fold.task)
        return run_fold.task.score(output, **columns)["accuracy"]

    run_fold(SMALL_PLSTM, {"epochs": 1, "lr": 1e-4})
    before = train_accuracy()
    # Of the last epoch: which one a validation part of 19 graphs picks says little of what was learnt.
    run_fold(SMALL_PLSTM, {"epochs": 15, "lr": 1e-2, "keep": "last"})
    assert train_accuracy() > 0.85 > 0.75 > before
    assert run_fold.rows[-1]["train/loss"] < 0.6 * run_fold.rows[0]["train/loss"]


@pytest.mark.parametrize("members", [1, 2])
def test_width_follows_from_the_number_of_parameters(run_fold, members):
    # Whatever width its configuration says.
    result, _ = run_fold(SMALL_GIN, {"epochs": 1, "members": members}, widest_below=20_000)
    assert (15_000 if members == 1 else 10_000) < result["parameters"] < 20_000
    with pytest.raises(ValueError, match=r"the model has [\d,]+ parameters, more than max_parameters=1,000"):
        run_fold(SMALL_GIN, {"epochs": 1, "members": members}, max_parameters=1000)


def test_looking_for_the_width_does_not_change_the_weights(run_fold):
    run_fold(SMALL_GIN, {"epochs": 1}, widest_below=20_000)
    width = run_fold.task.sized_spec(SMALL_GIN)["init_args"]["hidden_channels"]
    losses = [run_fold.rows[0]["train/loss"]]
    given = {**SMALL_GIN, "init_args": {**SMALL_GIN["init_args"], "hidden_channels": width}}
    run_fold(given, {"epochs": 1})
    assert losses == [run_fold.rows[0]["train/loss"]]  # the same numbers from the same weights


@pytest.mark.parametrize("model", [SMALL_GIN, SMALL_PLSTM])
def test_members_are_trained_side_by_side(run_fold, model):
    single, _ = run_fold(model, {"epochs": 1})
    loss = run_fold.rows[0]["train/loss"]
    pair, _ = run_fold(model, {"epochs": 1, "members": 2})
    assert pair["parameters"] == 2 * single["parameters"]
    assert 0 < run_fold.rows[0]["train/loss"] != loss


def test_a_model_that_does_not_fit_is_refused_before_training(run_fold):
    wide = {**SMALL_GIN, "init_args": {"out_channels": 5}}
    run_fold(SMALL_GIN, {"epochs": 1})
    model = make_model(wide, run_fold.task, Training())
    with pytest.raises(ValueError, match=r"the model gives \[2, 5\] where the targets are \[2, 2\]"):
        run_fold.task.check(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold": 10}, "fold must be from 0 to 9"),
        ({"label_smoothing": 1.0}, r"label_smoothing in \[0, 1\)"),
        ({"label_smoothing": -0.1}, r"label_smoothing in \[0, 1\)"),
        ({"label_smoothing": float("nan")}, r"label_smoothing in \[0, 1\)"),
        ({"ties": "last"}, "ties must be 'first' or 'loss'"),
    ],
)
def test_options_of_a_fold(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_task("tu", root=str(tmp_path), source=str(tmp_path), **({"set": "MUTAG"} | options))
