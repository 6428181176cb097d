"""Baselines within a time: cut ones are whole in their shape and say what was cut; with time enough nothing changes."""

import numpy as np
import pytest
import torch

from plstm_graph.tasks.baseline_fits import Clock, Samples, baseline_fits, baseline_predictions, drawn_rows


def samples(kind, rows=60, targets=2, seed=0):
    generator = np.random.default_rng(seed)
    features = (generator.random((rows, 40)) < 0.2).astype(np.float32)
    numbers = features @ generator.normal(size=(40, targets)) + 0.1 * generator.normal(size=(rows, targets))
    y = torch.tensor(numbers)
    if kind in ("binary", "multilabel"):
        y = (y > y.median(dim=0).values).double()
    elif kind == "multiclass":
        y = (y[:, :1] > 0).double() + (y[:, :1] > 1)
    y[1, 0] = torch.nan
    cuts = {"train": slice(0, rows - 20), "valid": slice(rows - 20, rows - 10), "test": slice(rows - 10, rows)}
    return Samples({part: features[cut] for part, cut in cuts.items()}, {part: y[cut] for part, cut in cuts.items()})


KINDS = ["regression", "multilabel", "multiclass"]


@pytest.mark.parametrize("kind", KINDS)
def test_time_enough_changes_nothing(kind, monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 12)
    given = samples(kind)
    whole = baseline_predictions(given.features, given.targets, kind)
    for name, fit in baseline_fits(lambda: given, kind).items():
        timed = fit(Clock(1000))
        assert timed.note == ""
        torch.testing.assert_close(timed.predicted, whole[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_without_time_the_least_of_each_is_fitted(kind):
    fits = baseline_fits(lambda: samples(kind), kind, name="Morgan")
    mean, linear, forest = (fit(Clock(0)) for fit in fits.values())
    assert mean.note == "" and linear.note == "1 of 5 penalties: time limit"
    assert forest.note == "1 of 300 trees: time limit"
    for each in (mean, linear, forest):
        assert each.predicted.shape == (10, {"multiclass": 3}.get(kind, 2)) and each.predicted.isfinite().all()


def test_trees_are_grown_until_the_time_is_over(monkeypatch):
    class Ticking(Clock):
        looks = 0

        @property
        def left(self):
            Ticking.looks += 1
            return max(0.0, 1e-9 * (12 - Ticking.looks))  # so that each step has one tree

        def share(self, parts):
            return self

    fits = baseline_fits(lambda: samples("regression", targets=1), "regression")
    found = fits["features + random forest"](Ticking(1))
    trees = int(found.note.split()[0])
    assert 1 < trees < 300 and found.note.endswith("of 300 trees: time limit")


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_sparse_features_give_what_dense_ones_do(kind, monkeypatch):
    monkeypatch.setattr("plstm_graph.tasks.baselines._TREES", 5)
    given = samples(kind, rows=300)
    for part in given.features.values():
        part[:, 8:] = 0
    dense = baseline_predictions(given.features, given.targets, kind)
    monkeypatch.setattr("plstm_graph.tasks.baseline_fits._SPARSE_ROWS", 10)
    sparse = baseline_predictions(given.features, given.targets, kind)
    for name, predicted in dense.items():
        torch.testing.assert_close(sparse[name], predicted, rtol=1e-3, atol=1e-3)


def test_rows_are_drawn_where_there_are_many():
    rows, note = drawn_rows(50_000, 30_000, seed=1)
    assert len(rows.unique()) == 30_000 and int(rows.max()) < 50_000 and note == "30,000 of 50,000 training rows"
    assert torch.equal(rows, drawn_rows(50_000, 30_000, seed=1)[0])
    rows, note = drawn_rows(10, 30_000, seed=1)
    assert rows.tolist() == list(range(10)) and note == ""


def test_what_was_cut_of_the_rows_is_said_of_what_was_fitted_on_them():
    given = samples("regression")._replace(note="40 of 90 training rows")
    notes = [fit(Clock(0)).note for fit in baseline_fits(lambda: given, "regression").values()]
    assert notes[0] == "" and all(note.startswith("40 of 90 training rows, 1 of") for note in notes[1:])
