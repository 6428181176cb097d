"""What files may name, tried with names that run something and with modules that must not be imported."""

import os
import sys

import pytest
import torch
from torch import nn

from plstm_graph.config import names
from plstm_graph.config.names import (
    NameNotAllowedError,
    allow_names,
    allowed_names,
    check_names,
    resolve,
    take_allowed,
)
from plstm_graph.config.parser import CommandParser, importing_only, make_module, make_transform

COMMANDS = [
    "os.system",
    "posix.system",
    "subprocess.run",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "importlib.import_module",
    "functools.partial",
    "pickle.loads",
    "runpy.run_path",
    "shutil.rmtree",
    "pathlib.Path",
    "torch.load",
    "torch.hub.load",
    "torch.jit.load",
    "torch.serialization.load",
    "torch.ops.load_library",
    "torch.classes.load_library",
    "torch.utils.cpp_extension.load",
    "torch.utils.cpp_extension.load_inline",
    "torch.utils.model_zoo.load_url",
    "torch.package.PackageImporter",
    "torch.distributed.nn.api.remote_module.RemoteModule",
    "torch.fx.GraphModule",
    "torch.jit.ScriptModule",
    "torch.nn.functional.relu",
    "torch.nn.init.xavier_uniform_",
    "torch.nn.modules.module.torch",
    "torch.nn.modules.container.operator.attrgetter",
    "torch.nn.parallel.distributed.os",
    "torch.nn.Module.load_state_dict",
    "torch.nn.Parameter",
    "torch.nn._reduction.warnings",
    "torch.nn.modules.__builtins__",
    "torch_geometric.nn.Sequential",  # evaluates types in its arguments
    "torch_geometric.nn.sequential.Sequential",
    "torch_geometric.nn.sequential.eval_type",
    "torch_geometric.nn.PyGModelHubMixin",
    "torch_geometric.nn.SchNet.from_qm9_pretrained",
    "torch_geometric.nn.models.schnet.download_url",
    "torch_geometric.nn.models.schnet.fs",
    "torch_geometric.data.download_url",
    "torch_geometric.data.extract_zip",
    "torch_geometric.io.fs.torch_load",
    "torch_geometric.io.fs.rm",
    "torch_geometric.datasets.TUDataset",
    "torch_geometric.transforms.compose.Callable",
    "torch_geometric.inspector.eval_type",
    "plstm_graph.cli.main",
    "plstm_graph.cli.os.system",
    "plstm_graph.datasets.storage.files.replace_text",
    "plstm_graph.datasets.storage.files.shutil.rmtree",
    "plstm_graph.predict.predictor.load_predictor",
    "plstm_graph.config.names.allow_names",
    "plstm_graph.config.names.set_allowed_names",
    "jsonargparse.set_parsing_settings",
    "lightning.pytorch.Trainer",
    "lightning.pytorch.callbacks.LambdaCallback",
    "numpy.load",
    "pandas.read_pickle",
]
NO_NAMES = [
    "",
    "PLSTM",
    "torch.nn",
    "evil",
    "..",
    "torch..nn",
    "torch.nn.Linear()",
    "os:system",
    "a b.c",
    " torch.nn.Linear",
]
OBJECTS = [None, 7, True, [], ["torch.nn.Linear"], {"class_path": "torch.nn.Linear"}, b"torch.nn.Linear"]


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module in the working folder, and on the path, that leaves a file behind when it is imported."""
    (tmp_path / "evil.py").write_text(
        "import pathlib\npathlib.Path('made').touch()\nimport torch\nclass Model(torch.nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(2, 2)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "made"
    sys.modules.pop("evil", None)


@pytest.mark.parametrize("name", [*COMMANDS, *NO_NAMES, *OBJECTS, "evil.Model"])
def test_what_is_no_model_is_not_resolved(evil, name):
    with pytest.raises(ValueError, match=r"may not be named|no full name|there is no"):
        resolve(name)
    assert not evil.exists() and "evil" not in sys.modules


@pytest.mark.parametrize(
    "name",
    [
        "plstm_graph.nn.PLSTM",
        "plstm_graph.PLSTM",
        "plstm_graph.nn.baselines.GIN",
        "plstm_graph.nn.baselines.OGBGNN",
        "plstm_graph.transforms.ToDAG",
        "plstm_graph.datasets.ASTNodes",
        "plstm_graph.datasets.ogb_code2.ASTNodes",
        "torch.nn.Linear",
        "torch.nn.modules.linear.Linear",
        "torch_geometric.nn.GCN",
        "torch_geometric.nn.models.GCN",
        "torch_geometric.nn.aggr.SumAggregation",
        "torch_geometric.transforms.Compose",
    ],
)
def test_models_and_transforms_are(name):
    assert resolve(name).__name__ == name.rpartition(".")[2]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    "place",
    [
        lambda spec: spec,
        lambda spec: {"class_path": "plstm_graph.nn.Ensemble", "init_args": {"model": spec, "members": 2}},
        lambda spec: {"class_path": "torch_geometric.nn.MultiAggregation", "init_args": {"aggrs": ["sum", spec]}},
        lambda spec: {
            "class_path": "torch.nn.Linear",
            "init_args": {"in_features": 1, "out_features": 1, "bias": spec},
        },
        lambda spec: {"class_path": "torch.nn.Linear", "dict_kwargs": {"deep": [{"deeper": (1, {"x": spec})}]}},
    ],
)
def test_wherever_a_file_names_it(tmp_path, monkeypatch, name, place):
    made = tmp_path / "made"
    spec = {"class_path": name, "init_args": {"command": f"touch {made}"}}
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    with pytest.raises(ValueError, match=r"may not be named|there is no"):
        make_module(place(spec))
    assert not made.exists() and not ran


@pytest.mark.parametrize("name", ["os.system", "evil.Model", "torch.hub.load", "torch_geometric.io.fs.rm"])
@pytest.mark.parametrize(
    "model",
    [
        # Words that are taken for callables, types or paths where the argument is declared so.
        lambda name: name,
        lambda name: {"class_path": "torch_geometric.nn.GCN", "init_args": _SIZES | {"act": name}},
        lambda name: {"class_path": "torch_geometric.nn.GCN", "init_args": _SIZES | {"norm": name}},
        lambda name: {"class_path": "torch.nn.TransformerEncoderLayer", "init_args": _WIDTHS | {"activation": name}},
        lambda name: {"class_path": "torch_geometric.nn.MultiAggregation", "init_args": {"aggrs": [name]}},
        lambda name: {"class_path": "plstm_graph.nn.Ensemble", "init_args": {"model": name, "members": 2}},
    ],
)
def test_words_are_not_imported(evil, monkeypatch, name, model):
    ran = []
    monkeypatch.setattr(os, "system", ran.append)
    try:
        found = make_module(model(name))
    except Exception as error:  # of the model, which does not know the word
        assert not isinstance(error, ImportError)
    else:
        assert isinstance(found, nn.Module)
    assert not evil.exists() and "evil" not in sys.modules and not ran


_SIZES = {"in_channels": 2, "hidden_channels": 2, "num_layers": 1}
_WIDTHS = {"d_model": 2, "nhead": 1}


@pytest.mark.parametrize(
    "word",
    [
        *("os.system", "evil.Model", "builtins.print", "plstm_graph.cli.main", "torch.load", "torch.nn.init.zeros_"),
        *("plstm_graph.nn.encoders.feature_encoder", "plstm_graph.transforms.to_dag.Orientation"),
    ],
)
def test_transforms_are_not_functions(evil, word):
    for transforms in ([word], [{"class_path": word}], [{"class_path": word, "init_args": {"x": 1}}]):
        with pytest.raises(ValueError, match=r"may not be named|there is no|not a subclass|xpect"):
            make_transform(
                {"class_path": "torch_geometric.transforms.Compose", "init_args": {"transforms": transforms}}
            )
    with pytest.raises(ValueError, match=r"."):
        make_transform(word)
    assert not evil.exists()


def test_files_named_in_place_of_a_model_are_not_read(tmp_path):
    path = tmp_path / "model.yaml"
    path.write_text("class_path: torch.nn.Linear\ninit_args: {in_features: 1, out_features: 1}\n")
    for name in (str(path), f"@{path}", {"class_path": str(path)}):
        with pytest.raises(ValueError, match=r"."):
            make_module(name)


def test_a_parser_names_what_to_allow(evil, capsys):
    parser = CommandParser()
    parser.add_argument("--config", action="config")
    parser.add_argument("--model", type=nn.Module)
    config = evil.parent / "config.yaml"
    config.write_text("model: {class_path: evil.Model}\n")
    for arguments in (["--config", "config.yaml"], ["--model", "evil.Model"], ["--model", "{class_path: evil.Model}"]):
        with pytest.raises(NameNotAllowedError, match=r"evil\.Model may not be named by a file.*--allow evil$"):
            parser.parse_args(arguments)
        assert not evil.exists()
    for arguments in (["--model", "os.system"], ["--model", "torch.nn.functional.relu"], ["--model=torch.hub.load"]):
        with pytest.raises((NameNotAllowedError, SystemExit)) as raised:
            parser.parse_args(arguments)
        assert "--allow" not in str(raised.value) + capsys.readouterr().err
    config.write_text("model: {class_path: evil.Model}\nallow: [evil]\n")
    with pytest.raises((NameNotAllowedError, SystemExit)):  # a file cannot allow
        parser.parse_args(["--config", "config.yaml"])
    assert not evil.exists()


@pytest.mark.parametrize("allowed", ["evil", "evil.Model"])
def test_what_the_user_allows(evil, allowed):
    spec = {"class_path": "evil.Model"}
    with allow_names([allowed]):
        assert allowed_names() == (allowed,)
        assert isinstance(make_module(spec), nn.Linear)
        parser = CommandParser()
        parser.add_argument("--model", type=nn.Module)
        made = parser.instantiate(parser.parse_args(["--model", "evil.Model"])).model
        assert type(made).__name__ == "Model" and evil.exists()
        for name in ("evil.pathlib.Path", "evil.torch.load", "evil.torch.hub.load", "evil.os.system", "os.system"):
            with pytest.raises(ValueError, match=r"may not be named|there is no"):
                resolve(name)
    with pytest.raises(NameNotAllowedError):
        make_module(spec)
    assert allowed_names() == ()


def test_a_class_that_is_found_elsewhere_than_it_is_defined(tmp_path, monkeypatch):
    package = tmp_path / "elsewhere"
    package.mkdir()
    (package / "__init__.py").write_text("from elsewhere._net import Net\n")
    (package / "_net.py").write_text(
        "import torch\nclass Net(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(1, 1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for allowed in ("elsewhere", "elsewhere.Net"):
        with allow_names([allowed]):
            assert type(make_module({"class_path": "elsewhere.Net"})).__name__ == "Net"


def test_errors_in_a_module_of_the_users(tmp_path, monkeypatch):
    (tmp_path / "broken_model.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with allow_names(["broken_model", "missing_model"]):
        with pytest.raises(ValueError, match=r"there is no broken_model\.Net: ZeroDivisionError"):
            resolve("broken_model.Net")
        with pytest.raises(ValueError, match=r"there is no missing_model\.Net: ModuleNotFoundError"):
            resolve("missing_model.Net")


@pytest.mark.parametrize(
    "name", ["os", "os.system", "builtins", "subprocess", "jsonargparse", "a b", "", "*", "../x", "my-models"]
)
def test_what_cannot_be_allowed(name):
    with pytest.raises(ValueError, match="--allow"), allow_names([name]):
        pass
    if name:
        with pytest.raises(ValueError, match="--allow"):
            take_allowed(["fit", "--allow", name])


def test_allowed_names_stand_on_the_command_line():
    assert take_allowed(["fit", "--allow", "a", "--config", "b", "--allow=c.D"]) == (
        ["fit", "--config", "b"],
        ["a", "c.D"],
    )
    assert take_allowed(["predict", "--", "--allow", "a"]) == (["predict", "--", "--allow", "a"], [])
    for arguments in (["fit", "--allow"], ["fit", "--allow", "--config"], ["fit", "--allow="]):
        with pytest.raises(ValueError, match="takes the name"):
            take_allowed(arguments)


def test_bombs_are_refused():
    many = [0]
    for _ in range(60):
        many = [many, many]
    endless = {"class_path": "torch.nn.Linear"}
    endless["init_args"] = {"again": endless}
    deep = 1
    for _ in range(1000):
        deep = [deep]
    for value, reason in ((many, "refer to each other"), (endless, "contain themselves"), (deep, "nested deeper")):
        spec = {"class_path": "torch.nn.Linear", "init_args": {"in_features": value}}
        with pytest.raises(ValueError, match=reason):
            make_module(spec)
    with pytest.raises(ValueError, match="not a number, name"):
        make_module({"class_path": "torch.nn.Linear", "init_args": {"in_features": os.system}})


def test_the_policy_of_the_parser_is_put_back():
    import jsonargparse

    settings = jsonargparse._common.parsing_settings
    before = {name: settings[name] for name in ("import_path_verdicts", "import_paths_enforced")}
    with pytest.raises(ZeroDivisionError), importing_only(["torch.nn"]):
        assert settings["import_path_verdicts"]["*"] is False
        raise ZeroDivisionError
    assert {name: settings[name] for name in before} == before
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--module", type=nn.Module)
    with importing_only(["torch.nn"]), pytest.raises(jsonargparse.ArgumentError, match="not allowed"):
        parser.parse_args(["--module", "torchvision_of_nobody.Model"])


def test_every_class_of_the_registry_is_a_model_or_transform():
    found = check_names([{"class_path": "torch.nn.Linear", "init_args": {"x": [{"class_path": "torch.nn.ReLU"}]}}])
    assert {each.__name__ for each in found} == {"Linear", "ReLU"}
    assert all(issubclass(each, torch.nn.Module) for each in found)
    assert not names.KINDS[0].has(torch.optim.Adam) and not names.KINDS[0].has(torch.nn.Linear(1, 1))
