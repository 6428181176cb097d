"""Breeding values as a task: its parts and its metrics."""

import math

import pytest
import torch

from plstm_graph.tasks.registry import load_task

_SIZE = {"num_graphs": 5, "generations": 2, "size": 10}
SMALL = {"name": "pedigrees", "train": _SIZE, "valid": _SIZE, "tests": {"more": _SIZE | {"generations": 4}}}


@pytest.fixture(scope="module")
def task():
    return load_task(**SMALL)


def _columns(task, part):
    return {name: torch.cat([graph[name] for graph in task.parts[part]]) for name in task.columns}


@pytest.mark.parametrize("part", ["valid", "test_more"])
def test_the_optimum_is_one(task, part):
    columns = _columns(task, part)
    row = task.score(columns["blup"], **columns)
    # Correlations of a variable with itself, of sums that are rounded.
    assert row["of_blup"] == pytest.approx(1, rel=1e-12) and row["with_blup"] == pytest.approx(1, rel=1e-12)
    assert row["accuracy"] == row["blup"] < 1
    assert task.score(columns["y"], **columns)["accuracy"] == pytest.approx(1, rel=1e-12)


def test_animals_are_compared_within_their_pedigree(task):
    """What is added to a whole pedigree, and what is said of animals with records, changes no correlation."""
    columns = _columns(task, "valid")
    row = task.score(columns["blup"], **columns)
    shifted = columns["blup"] + 100.0 * columns["pedigree"].view(-1, 1)
    shifted[columns["has_record"]] = 7.0
    other = task.score(shifted, **columns)
    assert other["accuracy"] == pytest.approx(row["accuracy"], rel=1e-9)  # of numbers of 400, 16 digits each
    assert other["rmse"] > row["rmse"]


def test_metrics_by_hand_and_where_nothing_varies(task):
    y = torch.tensor([1.0, 2.0, 6.0, 3.0, 5.0, 4.0]).view(-1, 1)
    best = torch.tensor([0.0, 1.0, 9.0, 2.0, 1.0, 9.0]).view(-1, 1)
    recorded = torch.tensor([False, False, True, False, False, True])
    output = torch.tensor([0.5, 1.5, -7.0, 8.0, 7.0, 0.0])

    def row(output=output, y=y, best=best, recorded=recorded):
        columns = {"y": y, "has_record": recorded, "blup": best, "pedigree": torch.tensor([0, 0, 0, 1, 1, 1])}
        return task.score(output.view(-1, 1), **columns)

    # Deviations of those without records: truth -1/2, 1/2, -1, 1; output -1/2, 1/2, 1/2, -1/2; best as the output.
    found = row()
    expected = (0.25 + 0.25 - 0.5 - 0.5) / (2.5 * 1.0) ** 0.5
    assert found["accuracy"] == pytest.approx(expected, rel=1e-12) == found["blup"]
    assert found["of_blup"] == pytest.approx(1, rel=1e-12) == found["with_blup"]
    assert found["rmse"] == pytest.approx(((0.25 + 0.25 + 25 + 4) / 4) ** 0.5, rel=1e-6)
    nan = float("nan")
    for changes, lost in [
        ({"output": torch.ones(6)}, ("accuracy", "of_blup", "with_blup")),
        ({"y": torch.ones(6, 1)}, ("accuracy", "of_blup", "blup")),
        ({"best": torch.zeros(6, 1)}, ("of_blup", "with_blup", "blup")),
        ({"recorded": torch.ones(6, dtype=torch.bool)}, ("accuracy", "of_blup", "with_blup", "blup", "rmse")),
    ]:
        changed = row(**changes)
        for name in ("accuracy", "of_blup", "with_blup", "blup", "rmse"):
            assert math.isnan(changed[name]) == (name in lost), (changes, name)
    # A prediction without any correlation with the truth is nothing to be a part of.
    unrelated = row(best=torch.tensor([1.0, 3.0, 0.0, 1.0, 0.0, 0.0]).view(-1, 1))
    assert unrelated["blup"] == 0 and unrelated["of_blup"] == pytest.approx(nan, nan_ok=True)


@pytest.mark.parametrize("part", ["valid", "tests"])
@pytest.mark.parametrize("size", [4, 10, 30])
def test_a_pedigree_without_records_is_named(part, size):
    bare = {"num_graphs": 2, "generations": 2, "size": size, "recorded": 0.0}
    changes = {"valid": bare} if part == "valid" else {"tests": {"bare": bare}}
    name = "valid" if part == "valid" else "test_bare"
    with pytest.raises(ValueError, match=f"pedigree 0 of {name} has no record.*option 'recorded'.*'recorded': 0.0"):
        load_task(**SMALL | changes)


@pytest.mark.parametrize("heritability", [0.1, 1.0])
def test_the_optimum_is_a_number_at_any_heritability(heritability):
    task = load_task(**SMALL, heritability=heritability)
    columns = _columns(task, "test_more")
    row = task.score(columns["blup"], **columns)
    assert columns["blup"].isfinite().all() and row["of_blup"] == pytest.approx(1, rel=1e-12)


def test_parts_differ(task):
    values = [graph.y.sum().item() for graphs in task.parts.values() for graph in graphs]
    assert len(set(values)) == len(values)
