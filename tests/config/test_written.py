"""Arguments that are read from the source are those that the classes take."""

import inspect
import subprocess
import sys

import pytest
import torch

from plstm_graph import nn
from plstm_graph.config.names import resolve
from plstm_graph.config.written import check_arguments, written_arguments
from plstm_graph.nn import baselines, vision

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


@pytest.mark.parametrize("argument", ["tied", "zzz", 3])
def test_what_looks_like_no_argument_is_for_the_class_to_refuse(argument):
    check_arguments({"class_path": "plstm_graph.nn.PLSTM", "init_args": {argument: 3}})


@pytest.mark.parametrize("name", ["torch.nn.Linear", "plstm_graph.nn.Nothing", "os.system", "plstm_graph.no.Such", ""])
def test_what_the_source_does_not_tell_is_left_to_others(name):
    assert written_arguments(name) is None
    check_arguments({"class_path": name, "init_args": {"hiden_channels": 3}})


def test_nothing_slow_is_imported():
    program = (
        "import sys; from plstm_graph.config.written import written_arguments as known; "
        "assert 'flow' in known('plstm_graph.nn.PLSTM'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
