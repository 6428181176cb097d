"""Options of tasks on DAGs: what does not fit is named before anything is made, and other errors stay what they are."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from plstm_graph.cli import main
from plstm_graph.config.fitting import fitting
from plstm_graph.datasets import LongRange, Pedigrees
from plstm_graph.datasets.workflows import workflows
from plstm_graph.tasks import pedigrees as pedigrees_module
from plstm_graph.tasks.registry import load_task
from tests.made_circuits import circuit_folder
from tests.made_workflows import ForksAndJoins

SIZES = {
    "copy": {"num_graphs": 2, "size": 8},
    "longest_path": {"num_graphs": 2, "size": 16},
    "pedigrees": {"num_graphs": 2, "generations": 2, "size": 10},
    "workflows": {"num_graphs": 2, "smallest": 5, "largest": 12},
}


@pytest.fixture(scope="module")
def made_circuits(tmp_path_factory):
    """Folder of data sets and of what they are made from."""
    folder = tmp_path_factory.mktemp("circuits")
    return str(folder / "root"), str(circuit_folder(folder / "source", gates=20))


def options_of(name, **of_train):
    """Options of a task with three parts, some of the training part as they are given."""
    size = SIZES[name]
    valid = [size] if name == "workflows" else size
    more = {"applications": ["bwa"]} if name == "workflows" else {}
    return {"train": size | of_train, "valid": valid, "tests": {"more": size}, **more}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("enas", {"seed": 1}, "there is no option 'seed', of options there are none at all"),
        ("timing", {"nodes": 2.5}, "nodes must be of the type int, got 2.5"),
        ("timing", {"samples": "many"}, "samples must be of the type int, got 'many'"),
        ("timing", {"samples": None}, "samples must be of the type int, got nothing"),
        ("timing", {"delays": "load"}, "delays must be 'fan_out' or 'driven', got 'load'"),
        (
            "timing",
            {"sample": 3},
            "there is no option 'sample' (did you mean samples?), of options there are samples, nodes, delays, seed",
        ),
        ("circuits", {"nodes": [3]}, "nodes must be of the type int, got [3]"),
        ("terrain", {"side": True}, "side must be of the type int, got True"),
        ("pedigrees", {}, "train, valid, tests must be given"),
        ("pedigrees", options_of("pedigrees") | {"heritability": "high"}, "heritability must be of the type float"),
        ("pedigrees", options_of("pedigrees") | {"train": 5}, "train must be of the type dict[str, Any], got 5"),
        ("workflows", options_of("workflows") | {"valid": SIZES["workflows"]}, "valid must be of the type"),
        ("workflows", options_of("workflows") | {"loss": "mae"}, "loss must be 'mse' or 'l1', got 'mae'"),
        ("copy", options_of("copy") | {"shape": "ring"}, "shape must be 'chain' or 'braid', got 'ring'"),
        ("copy", {"size": 3}, "there is no option 'size', of options there are train, valid, tests, shape"),
        ("copy", options_of("copy") | {"task": "copy"}, "there is no option 'task'"),
    ],
)
def test_options_of_a_task(name, options, message, tmp_path):
    with pytest.raises(ValueError, match=rf"^options .* do not fit the task {name}: .*{re.escape(message)}"):
        load_task(name, str(tmp_path), **options)


@pytest.mark.parametrize("name", ["timing", "circuits"])
@pytest.mark.parametrize(
    ("option", "value"),
    [(option, value) for option in ("samples", "nodes") for value in (0, -1, -(10**9))]
    + [("seed", value) for value in (-1, 2**32, 10**30)],
)
def test_numbers_of_pieces_of_circuits(made_circuits, name, option, value):
    with pytest.raises(ValueError, match=f"{option}={value}"):
        load_task(name, *made_circuits, **{option: value})


@pytest.mark.parametrize("name", ["pedigrees", "copy", "longest_path"])
@pytest.mark.parametrize("part", ["train", "valid", "test_none"])
def test_a_part_without_graphs_is_named(name, part):
    none = SIZES[name] | {"num_graphs": 0}
    given = options_of(name)
    given |= {part: none} if part in given else {"tests": {"some": SIZES[name], "none": none}}
    with pytest.raises(ValueError, match=f"leave the task {name} without a graph in {part}$"):
        load_task(name, **given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"applications": []}, r"one or more, each once, got \[\] for train"),
        ({"applications": ["bwa", "cycles", "bwa"]}, r"each once, got \['bwa', 'cycles', 'bwa'\] for train"),
        ({"tests": {"x": SIZES["workflows"] | {"applications": []}}}, r"each once, got \[\] for test_x"),
        ({"valid": []}, "leave the task workflows without a graph in valid$"),
    ],
)
def test_workflows_of_no_application(changes, message, tmp_path, monkeypatch):
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)
    with pytest.raises(ValueError, match=message):
        load_task("workflows", str(tmp_path), **options_of("workflows") | changes)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("num_graphs", 2.5, "num_graphs must be of the type int, got 2.5"),
        ("num_graphs", None, "num_graphs must be of the type int, got nothing"),
        ("siez", 9, r"there is no option 'siez'( \(did you mean size\?\))?, of options there are num_graphs"),
        ("seed", 9, "there is no option 'seed', of options there are num_graphs"),  # parts have seeds of their own
        ("root", "x", "there is no option 'root'"),
    ],
)
def test_options_of_a_part(name, option, value, message, tmp_path):
    with pytest.raises(ValueError, match=f"^options .* of train do not fit the task {name}: .*{message}"):
        load_task(name, str(tmp_path), **options_of(name, **{option: value}))


def test_a_part_that_lacks_an_option():
    given = options_of("pedigrees") | {"tests": {"deep": {"num_graphs": 3, "size": 10}}}
    with pytest.raises(ValueError, match="of test_deep do not fit the task pedigrees: generations must be given"):
        load_task("pedigrees", **given)


@pytest.mark.parametrize("part", ["train", "valid", "tests"])
def test_options_import_and_make_nothing(part, tmp_path):
    """A value that a parser would make an object of is none of the plain values that options are."""
    there = tmp_path / "made"
    harm = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", str(there)]}}
    with pytest.raises(ValueError, match=r"subprocess\.Popen"):
        load_task("copy", **options_of("copy") | {part: {"more": harm} if part == "tests" else harm})
    assert not there.exists()


def test_an_error_inside_a_task_is_no_fault_of_its_options(monkeypatch):
    """A fault of the program must not be taken for one of whoever runs it."""

    def broken(train: dict[str, Any], valid: dict[str, Any], tests: dict[str, dict[str, Any]]) -> None:
        return len(3)

    monkeypatch.setattr(pedigrees_module, "pedigrees", broken)
    with pytest.raises(TypeError, match=r"has no len\(\)"):
        load_task("pedigrees", **options_of("pedigrees"))
    monkeypatch.setattr(LongRange, "_make", lambda self, random: random + "draws")
    for name in ("copy", "longest_path"):
        with pytest.raises(TypeError, match="unsupported operand"):
            load_task(name, **options_of(name))


def test_the_command_tells_both_apart(tmp_path, monkeypatch, capsys):
    config = tmp_path / "c.yaml"
    head = "name: t\nmodels: {bag: {class_path: plstm_graph.nn.baselines.BagOfNodes}}\ntask: "
    config.write_text(head + "{name: pedigrees, train: {size: ten}, valid: {}, tests: {}}\n")
    assert main(["fit", "--config", str(config), "--folder", str(tmp_path / "dags")]) == 2
    error = capsys.readouterr().err
    assert "of train do not fit the task pedigrees: num_graphs, generations must be given" in error
    small = "{num_graphs: 1, generations: 1, size: 4}"
    config.write_text(f"{head}{{name: pedigrees, train: {small}, valid: {small}, tests: {{}}}}\n")
    monkeypatch.setattr(Pedigrees, "_make", lambda self, random: random + "draws")
    assert main(["fit", "--config", str(config), "--folder", str(tmp_path / "dags")]) == 1
    assert "failed with TypeError" in capsys.readouterr().err


def _takes(one: int, rate: float = 0.5, kind: Literal["a", "b"] = "a", names: Sequence[str] = (), size: int | None = 0):
    """A function with options of many types."""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"one": 3}, {"one": 3}),
        ({"one": "3", "rate": 1}, {"one": 3, "rate": 1.0}),
        ({"one": 3, "size": None, "names": ["x", "y"], "kind": "b"}, None),
        ({"one": 3, "rate": 0.25, "size": 7}, None),
    ],
)
def test_options_that_fit(options, expected):
    found = fitting(_takes, options, "t")
    assert found == (options if expected is None else expected)
    assert type(found.get("rate", 1.0)) is float and type(found["one"]) is int


@pytest.mark.parametrize(
    "options",
    [
        {"one": 3, "kind": "c"},
        {"one": 3, "names": "xy"},
        {"one": 1, "size": "x"},
        {"one": True},
        {"one": 1.5},
        {"one": 1, "names": 3},
        {},
    ],
)
def test_options_that_do_not(options):
    with pytest.raises(ValueError, match=next(reversed(options), "one")):
        fitting(_takes, options, "t")
    assert fitting(_takes, {"one": 1}, "t", given=("names",)) == {"one": 1}
