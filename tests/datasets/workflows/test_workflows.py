"""Workflows as a stored set: with recipes by hand, which need nothing else, and with those of wfcommons where it is."""

import random
import sys

import numpy as np
import pytest
import torch

from plstm_graph.datasets import Workflows
from plstm_graph.datasets.workflows import workflows
from plstm_graph.datasets.workflows.recipes import APPLICATIONS, Recipe, _seeded
from plstm_graph.graph import longest_path_levels
from tests.made_workflows import ForksAndJoins


@pytest.fixture
def forks(monkeypatch):
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)
    monkeypatch.setattr(ForksAndJoins, "made", 0)
    return ForksAndJoins


def _without_wfcommons(monkeypatch):
    for name in ("wfcommons", "wfcommons.wfchef", "wfcommons.wfchef.recipes"):
        monkeypatch.setitem(sys.modules, name, None)


def test_graphs_are_made_once(tmp_path, forks, monkeypatch):
    made = Workflows("blast", 3, 5, 60, root=tmp_path)
    assert len(made) == 3 and forks.made == 3
    monkeypatch.undo()
    _without_wfcommons(monkeypatch)  # what is stored needs no package that makes more
    again = Workflows("blast", 3, 5, 60, root=tmp_path)
    for one, other in zip(made, again, strict=True):
        assert torch.equal(one.runtime, other.runtime) and torch.equal(one.edge_index, other.edge_index)  # copies
        assert 5 <= one.num_nodes <= 60 and one.runtime.dtype == torch.double


def test_a_graph_depends_on_seed_and_number_alone(tmp_path, forks):
    few, more = (Workflows("bwa", count, 5, 60, seed=3, root=tmp_path) for count in (2, 4))
    assert all(torch.equal(one.runtime, other.runtime) for one, other in zip(few, more, strict=False))
    for other in (Workflows("bwa", 2, 5, 60, seed=4, root=tmp_path), Workflows("blast", 2, 5, 60, 3, root=tmp_path)):
        assert not torch.equal(few[0].runtime, other[0].runtime)
    assert forks.made == 2 + 4 + 2 + 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rnaseq", 1, 5, 60), "application must be one of blast, bwa, .*, got 'rnaseq'"),
        (("bwa", 0, 5, 60), "num_graphs=0"),
        (("bwa", 1, 0, 60), "smallest=0"),
        (("bwa", 1, 61, 60), "smallest=61, largest=60"),
        (("bwa", 1, 1, 3), "the smallest trace of bwa has 4 tasks, got largest=3"),
        (("bwa", 1, 5, 60, -1), "seed=-1"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, forks, arguments, message):
    with pytest.raises(ValueError, match=message):
        Workflows(*arguments, root=tmp_path)
    assert not list(tmp_path.rglob("*.pt"))


def test_categories_that_are_new_are_named(tmp_path, forks, monkeypatch):
    monkeypatch.setattr(ForksAndJoins, "categories", ("cat", "teleport"))
    with pytest.raises(ValueError, match=r"categories of bwa that are new: \['teleport'\]"):
        Workflows("bwa", 1, 5, 60, root=tmp_path)
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 and no more", b"import os"])
def test_stored_graphs_of_others_are_data(tmp_path, forks, damage):
    Workflows("bwa", 1, 5, 60, root=tmp_path)
    (path,) = tmp_path.rglob("bwa.pt")
    path.write_bytes(damage)
    with pytest.raises(ValueError, match=r"bwa\.pt .*remove the folder .* to make it anew"):
        Workflows("bwa", 1, 5, 60, root=tmp_path)


def test_without_the_package_the_command_to_get_it_is_named(tmp_path, monkeypatch):
    _without_wfcommons(monkeypatch)
    for application in APPLICATIONS[:3]:
        with pytest.raises(ImportError, match=r"pip install 'plstm_graph\[workflows\]'"):
            Workflows(application, 1, 50, 200, root=tmp_path)
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize("fails", [False, True])
def test_generators_of_the_process_are_left_as_they_were(fails):
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    try:
        with _seeded(0):
            first = random.random(), np.random.random()
            assert not fails
    except AssertionError:
        pass
    with _seeded(0):
        assert (random.random(), np.random.random()) == first  # the same draws
    random.seed(5)
    np.random.seed(5)
    with _seeded(1):
        assert (random.random(), np.random.random()) != first
    assert (random.random(), np.random.random()) == expected


@pytest.mark.parametrize("application", APPLICATIONS)
def test_recipes_make_workflows(tmp_path, application):
    pytest.importorskip("wfcommons", reason="it makes the workflows, and is in the extra 'workflows'")
    recipe = Recipe(application)
    assert set(recipe.categories) <= set(workflows.CATEGORIES)
    made = Workflows(application, 2, 50, 160, root=tmp_path)
    again = Workflows(application, 2, 50, 160, root=tmp_path / "again")
    for graph, same in zip(made, again, strict=True):
        for name in ("x", "edge_index", "runtime", "read", "written"):
            assert torch.equal(graph[name], same[name])  # the same draws
        assert 0 < graph.num_nodes <= 160 and graph.num_edges > 0
        longest_path_levels(graph.edge_index, graph.num_nodes)  # it has no cycle
        for name in ("runtime", "read", "written"):
            assert bool((graph[name] >= 0).all()) and float(graph[name].sum()) > 0
    with pytest.raises(ValueError, match=f"{application} has no trace of 1 tasks or less"):
        recipe.make(1, [0], {})
