"""Arguments that are read from the source are those that the classes take."""

import inspect
import re
import subprocess
import sys
from typing import get_args

import pytest
import torch

from plstm_graph import nn
from plstm_graph.config.names import resolve
from plstm_graph.config.written import check_arguments, written_arguments, written_options
from plstm_graph.nn import baselines, vision
from plstm_graph.tasks.metrics import Kind
from plstm_graph.tasks.molecules import molecules
from plstm_graph.tasks.registry import TASKS, task_maker
from plstm_graph.train.arguments import read_arguments

MODELS = "{plstm: {class_path: plstm_graph.nn.PLSTM}, gin: {class_path: plstm_graph.nn.baselines.GIN}}"
STUDY = ["--task", "{name: molecules, kind: regression}", "--models", MODELS]

PUBLIC = [
    f"{package.__name__}.{name}"
    for package in (nn, baselines, vision)
    for name, value in vars(package).items()
    if inspect.isclass(value) and issubclass(value, torch.nn.Module)
]


@pytest.mark.parametrize("name", PUBLIC)
def test_no_argument_that_a_class_names_is_refused(name):
    parameters = inspect.signature(resolve(name)).parameters.values()
    named = {each.name for each in parameters if each.kind is not each.VAR_KEYWORD}
    known = written_arguments(name)
    assert known is None or named <= known
    if not any(each.kind is each.VAR_KEYWORD for each in parameters):
        assert known is None or named == known


@pytest.mark.parametrize(
    ("name", "passed_on"),
    [
        ("plstm_graph.nn.PLSTM", {"hidden_channels", "direction", "flow", "aggr_kwargs"}),
        ("plstm_graph.PLSTM", {"hidden_channels", "ffn_ratio", "local"}),
        ("plstm_graph.nn.baselines.DAGTransformer", {"heads", "hidden_channels"}),
        ("plstm_graph.nn.baselines.LevelGRU", {"hidden_channels", "predict"}),
    ],
)
def test_arguments_that_are_passed_on_are_known(name, passed_on):
    assert passed_on <= written_arguments(name)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("PLSTM", "it has no argument 'hiden_channels' (did you mean hidden_channels?)"),
        ("baselines.DirectedGIN", "it has no argument 'hiden_channels' (did you mean hidden_channels?)"),
        ("vision.SmallCNN", "it has no argument 'hiden_channels' (did you mean in_channels?)"),
    ],
)
def test_misspelt_arguments(model, message):
    spec = {"class_path": f"plstm_graph.nn.{model}", "init_args": {"hiden_channels": 3}}
    for value in (spec, {"own": spec}, {"class_path": "x.y", "init_args": {"model": spec}}, [None, [spec]]):
        with pytest.raises(ValueError) as error:
            check_arguments(value)
        assert str(error.value).endswith(message) and "{'hiden_channels': 3}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("plstm_graph.nn.PLSTMM", "plstm_graph.nn.PLSTM"),
        ("plstm_graph.nn.baseline.gin", "plstm_graph.nn.baselines.GIN"),
        ("plstm_graph.vision.PLSTMVison", "plstm_graph.nn.vision.PLSTMVision"),
        ("plstm", "plstm_graph.nn.PLSTM"),
    ],
)
def test_misspelt_classes(name, meant):
    for value in ({"class_path": name}, [None, {"own": {"class_path": name, "init_args": {}}}]):
        with pytest.raises(ValueError) as error:
            check_arguments(value)
        assert str(error.value).endswith(f"(did you mean {meant}?)") and name in str(error.value)
    with pytest.raises(ValueError, match=re.escape(f"(did you mean {meant}?)")):
        resolve(name)


def test_classes_that_are_shown_elsewhere_too_are_left_alone():
    for name in ("plstm_graph.PLSTM", "plstm_graph.nn.plstm.PLSTM", "plstm_graph.nn.baselines.GIN"):
        check_arguments({"class_path": name})


@pytest.mark.parametrize("argument", ["tied", "zzz", 3])
def test_what_looks_like_no_argument_is_for_the_class_to_refuse(argument):
    check_arguments({"class_path": "plstm_graph.nn.PLSTM", "init_args": {argument: 3}})


@pytest.mark.parametrize("name", ["torch.nn.Linear", "plstm_graph.nn.Nothing", "os.system", "plstm_graph.no.Such", ""])
def test_what_the_source_does_not_tell_is_left_to_others(name):
    assert written_arguments(name) is None
    check_arguments({"class_path": name, "init_args": {"hiden_channels": 3}})


def test_words_that_options_may_be():
    options = written_options("plstm_graph.tasks.molecules.molecules")
    assert set(options) == set(inspect.signature(molecules).parameters)
    assert options["kind"] == get_args(Kind) and options["path"] == options["split"] == ()
    for name in TASKS:
        module, _, function = TASKS[name][0].partition(":")
        found = written_options(f"plstm_graph.tasks.{module}.{function}")
        assert set(found) == set(inspect.signature(task_maker(name).func).parameters)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seeds", "5-2"), "the range 5-2 runs backwards"),
        (("--folds", "x"), "folds must be numbers and ranges"),
        (("--folds", "2"), "--folds must be at least 3"),
        (("--task.num_folds", "4", "--folds", "0-4"), "folds are numbered from 0 to 3, got 4"),
        (("--folds", "0-1"), "the task molecules has no folds"),
        (("--task={name: terrain}", "--folds", "5"), "the task terrain has no folds"),
        (("--task.kind", "regresion"), "got 'regresion' (did you mean regression?)"),
        (("--task.target_scale", "logg"), "got 'logg' (did you mean log?)"),
        (("--task.knid", "binary"), "there is no option 'knid' (did you mean kind?)"),
        (("--task.name", "molecule"), "no task 'molecule' (did you mean molecules?)"),
        (("--only", "plstm,gni"), "there is no model gni in the configuration (did you mean gin?)"),
        (("--models.gin.class_path", "plstm_graph.nn.baselines.Gin"), "(did you mean plstm_graph.nn.baselines.GIN?)"),
        (("--training.epoch", "3"), "(did you mean training.epochs?)"),
        (("--seed", "3"), "(did you mean seeds?)"),
        (("--training", "{epoch: 3}"), "(did you mean training.epochs?)"),
    ],
)
def test_first_sight(options, message, capsys):
    """What a user misspells is named before anything slow is imported, see below."""
    with pytest.raises((ValueError, SystemExit)) as error:
        read_arguments([*STUDY, *options], "fit")
    assert message in f"{error.value}{capsys.readouterr().err}"


def test_nothing_slow_is_imported():
    program = f"import sys; from plstm_graph.train.arguments import read_arguments; read_arguments({STUDY}, 'fit'); "
    program += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_nothing_slow_is_imported_for_arguments():
    program = (
        "import sys; from plstm_graph.config.written import written_arguments as known; "
        "assert 'flow' in known('plstm_graph.nn.PLSTM'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
