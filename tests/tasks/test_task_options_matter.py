"""No option of a task on DAGs is taken and then ignored: each changes its graphs, or what is learnt of them.

The options are those of the signatures, so that a new one fails here until :data:`TASKS` or :data:`PARTS` says which of
its values must matter.
"""

import inspect
from functools import partial

import pytest

from plstm_graph.datasets import LongRange, Pedigrees
from plstm_graph.datasets.workflows import workflows
from plstm_graph.tasks.long_range import long_range
from plstm_graph.tasks.registry import load_task, task_maker
from tests.made_circuits import circuit_folder
from tests.made_workflows import ForksAndJoins

FAMILY = {"num_graphs": 2, "generations": 2, "size": 20}
FLOW = {"num_graphs": 2, "smallest": 8, "largest": 12}
PATH = {"num_graphs": 2, "size": 6}
MANY = {"num_graphs": 2, "size": 20}

#: The function of each task, what it is given, and another value of each of its options.
TASKS = {
    "timing": (
        task_maker("timing").func,
        {"samples": 14, "nodes": 9},
        {"samples": 15, "nodes": 5, "delays": "driven", "seed": 1},
    ),
    "circuits": (task_maker("circuits").func, {"samples": 14, "nodes": 9}, {"samples": 15, "nodes": 5, "seed": 1}),
    "terrain": (
        task_maker("terrain").func,
        {"train": 2, "valid": 2, "test_tiles": 2, "side": 8, "large": 1, "large_side": 10, "size": 40},
        {"train": 3, "valid": 3, "test_tiles": 3, "side": 9, "large": 2, "large_side": 11, "seed": 1, "size": 42},
    ),
    "pedigrees": (
        task_maker("pedigrees").func,
        {"train": FAMILY, "valid": FAMILY, "tests": {"a": FAMILY}},
        {"train": FAMILY | {"size": 6}, "valid": FAMILY | {"size": 6}, "tests": {"b": FAMILY}, "heritability": 0.5},
    ),
    "workflows": (
        task_maker("workflows").func,
        {"applications": ["bwa"], "train": FLOW, "valid": [FLOW], "tests": {"a": FLOW}},
        {
            "applications": ["cycles"],
            "train": FLOW | {"largest": 30},
            "valid": [FLOW, FLOW | {"num_graphs": 1}],
            "tests": {"a": FLOW | {"applications": ["blast"]}},
            "target": "critical_path",
            "bias": 0.5,
            "noise": 0.3,
            "loss": "mse",
        },
    ),
    "copy": (
        partial(long_range, "copy"),
        {"train": PATH, "valid": PATH, "tests": {"a": PATH}},
        {"train": MANY, "valid": MANY, "tests": {"a": MANY}, "shape": "braid"},
    ),
}
#: Of data sets whose arguments are options of a part: what is given, and another value of each.
PARTS = {
    "pedigrees": (
        Pedigrees,
        FAMILY,
        {
            **{"num_graphs": 3, "generations": 3, "size": 30, "sires": 0.2, "recorded": 0.2, "heritability": 0.9},
            **{"unknown": 0.5, "loci": 30, "seed": 1},
        },
    ),
    "longest_path": (
        partial(LongRange, "longest_path"),
        MANY,
        {"num_graphs": 3, "size": 25, "smallest": 16, "seed": 1},
    ),
    "copy": (
        partial(LongRange, "copy"),
        PATH,
        {"num_graphs": 3, "size": 7, "smallest": 3, "seed": 1, "shape": "braid"},
    ),
}
#: Where data come from and lie.
PLACES = {"root", "source"}


def content(graphs):
    return [
        [
            None if value is None else value.numpy().tobytes()
            for value in (graph.x, graph.edge_index, graph.edge_attr, graph.y)
        ]
        for graph in graphs
    ]


def found(task):
    parts = {part: content(graphs) for part, graphs in task.parts.items()}
    return parts, task.in_channels, task.edge_dim, task.objective, task.target_level


def options_of(function):
    return [name for name in inspect.signature(function).parameters if name not in PLACES]


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, (function, *_) in TASKS.items() for option in options_of(function)]
)
def test_an_option_changes_the_task(name, option, tmp_path, monkeypatch):
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)
    _, given, other = TASKS[name]
    assert option in other, (
        f"the task {name} takes {option!r}, of which TASKS has no value that must change it: add one"
    )
    source = str(circuit_folder(tmp_path / "source", gates=20)) if name in ("timing", "circuits") else None
    load = partial(load_task, name, str(tmp_path / "root"), source)
    assert found(load(**given)) == found(load(**given))
    assert found(load(**given)) != found(load(**given | {option: other[option]})), (
        f"the task {name} takes {option}={other[option]!r} and is the same as without it"
    )


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, (make, *_) in PARTS.items() for option in options_of(make)]
)
def test_an_option_changes_a_part(name, option):
    make, given, other = PARTS[name]
    if name == "longest_path" and option == "shape":
        with pytest.raises(ValueError, match="shape is of the task 'copy', got shape='braid' for 'longest_path'"):
            make(**given, shape="braid")
        return
    assert option in other, f"{name} takes {option!r}, of which PARTS has no value that must change it: add one"
    assert content(make(**given)) == content(make(**given))
    assert content(make(**given)) != content(make(**given | {option: other[option]})), (
        f"{name} takes {option}={other[option]!r} and is the same as without it"
    )


@pytest.mark.parametrize("task", ["longest_path", "reachability", "path_parity"])
def test_the_shape_of_other_tasks_is_refused(task):
    with pytest.raises(ValueError, match=f"shape is of the task 'copy', got shape='braid' for '{task}'"):
        load_task(task, train=MANY, valid=MANY, tests={"a": MANY}, shape="braid")
