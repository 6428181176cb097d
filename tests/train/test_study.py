"""Studies: what may be chosen from, where trials lie, and that two studies never mix in a folder."""

import copy
from itertools import pairwise

import pytest

from plstm_graph.cli import main
from plstm_graph.tasks.registry import load_task, task_of
from plstm_graph.train.choices import check_choices
from plstm_graph.train.command import parse
from plstm_graph.train.study import Repeat, Study
from plstm_graph.train.training import Training

PART = {"num_graphs": 4, "size": 4}
PLAIN = {
    "task": {"name": "copy", "train": PART, "valid": PART, "tests": {"a": PART, "b": PART}},
    "models": {"bag": {"class_path": "plstm_graph.nn.baselines.BagOfNodes", "init_args": {"hidden_channels": 8}}},
    "training": vars(Training(epochs=2, batch_size=4)),
    "trainer": {},
    "choose": {"training.lr": [0.001, 0.01]},
}


def study(folder, changes=()):
    plain = copy.deepcopy(PLAIN)
    for name, value in dict(changes).items():
        *way, last = name.split("/")
        place = plain
        for key in way:
            place = place[key]
        place[last] = value
    return Study(plain, list(plain["models"]), [0, 1], folder)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("training/epochs", 3, "training.epochs is 3, was 2"),
        ("training/average", 1.0, "training.average is 1.0, was 0.0"),
        ("task/name", "longest_path", "task.name is longest_path, was copy"),
        ("task/train", PART | {"size": 5}, "task.train.size is 5, was 4"),
        ("task/tests", {"b": PART, "a": PART}, "task.tests are in the order b, a, were in a, b"),
        ("task/target_scale", "log", "task.target_scale is log, was None"),
        ("models/bag/init_args", {"hidden_channels": 9}, "models.bag.init_args.hidden_channels is 9, was 8"),
        ("trainer/precision", "bf16-mixed", "trainer.precision is bf16-mixed, was None"),
        ("trainer/accumulate_grad_batches", 2, "trainer.accumulate_grad_batches is 2, was None"),
    ],
)
def test_two_studies_do_not_mix(name, value, named, tmp_path):
    study(tmp_path).claim()
    before = (tmp_path / "config.yaml").read_text()
    with pytest.raises(ValueError, match=f"holds a run of another configuration .*{named}.*give another --name"):
        study(tmp_path, {name: value}).claim()
    assert (tmp_path / "config.yaml").read_text() == before
    study(tmp_path).claim()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("choose/training.lr", [0.1]),
        ("choose/training.clip", [1.0, 2.0]),
        ("task/root", "elsewhere"),
        ("training/workers", 2),
        ("models/gin", {"class_path": "plstm_graph.nn.baselines.DirectedGIN"}),
        ("training/lr", 1e-3),  # the default
    ],
)
def test_what_a_study_may_go_on_with(name, value, tmp_path):
    study(tmp_path).claim()
    study(tmp_path, {name: value}).claim()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"it has no config\.yaml"):
        study(tmp_path).claim()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


VALUES = [
    *(1e-3, 1.0000001e-3, 0.1, 1.0, 10, 2, True, False, None),
    *("raw", "Raw", "a/b", "a_b", "", "..", "x" * 300, "x" * 301, [1, 2], [2, 1], [1], {"a": 1}, {"a": 2}),
]


def test_different_choices_lie_in_different_folders(tmp_path):
    """Also where case does not count, and however long they are."""
    made = study(tmp_path)
    folders = [made.trial("bag", {"task.tests": value}, Repeat(0)).folder for value in VALUES]
    names = sorted(str(folder).lower() for folder in folders)
    assert all(one != other for one, other in pairwise(names))
    assert all(folder.parent.parent == tmp_path / "bag" and len(folder.parent.name) < 100 for folder in folders)
    both = {"training.lr": 0.01, "task.target_scale": "log"}
    assert made.trial("bag", both, Repeat(3)).folder == tmp_path / "bag" / "lr_0.01" / "target_scale_log" / "seed_3"


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        ({"lr": [0.1]}, r"choose\.lr is no option .*\(did you mean training\.lr\?\)"),
        ({"trainign.lr": [0.1]}, r"choose\.trainign\.lr is no option .*\(did you mean training\.lr\?\)"),
        ({"modle.num_layers": [1]}, r"choose\.modle\.num_layers is no option .*\(did you mean model\?\)"),
        ({"training": [1]}, r"choose\.training is no option"),
        ({"training.": [1]}, r"choose\.training\. is no option"),
        ({"training.lr": []}, r"choose\.training\.lr must be a list of different values"),
        ({"training.lr": "0.1, 0.2"}, r"choose\.training\.lr must be a list of different values"),
        ({"model.num_layers": [1, "1"]}, r"choose\.model\.num_layers must be a list of different values"),
        ([0.1], r"choose must name options with the values to try"),
    ],
)
def test_choices_are_checked(choose, message):
    with pytest.raises(ValueError, match=message):
        check_choices(choose)


def test_choices_by_sections():
    """As options of a command reach into them; what comes later takes the place."""
    assert check_choices({"training.lr": [1.0], "training": {"lr": [2.0], "clip": [1, 2]}}) == {
        "training.lr": [2.0],
        "training.clip": [1, 2],
    }


CONFIG = """name: run
task: {name: copy, train: &part {num_graphs: 4, size: 4}, valid: *part, tests: {a: *part}}
models: {bag: {class_path: plstm_graph.nn.baselines.BagOfNodes, init_args: {hidden_channels: 8}}}
training: {epochs: 1, batch_size: 4}
choose: {training.lr: [0.001, 0.01]}
device: cpu
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    return ["--config", str(path), "--output", str(tmp_path / "run")]


def test_choices_on_the_command_line(config):
    assert parse([*config, "--choose.training.lr", "[0.1]"]).study.plain["choose"] == {"training.lr": [0.1]}
    assert parse([*config, "--choose={}"]).study.plain["choose"] == {}
    more = ["--choose.model.num_layers=[1, 2]", "--choose.training.weight_decay=[0.0]"]
    assert list(parse([*config, *more]).study.choices) == [
        {"training.lr": lr, "model.num_layers": layers, "training.weight_decay": 0.0}
        for lr in (0.001, 0.01)
        for layers in (1, 2)
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--only", "bga"], "there is no model bga in the configuration (did you mean bag?): bag"),
        (["--task.name", "cpoy"], "no task 'cpoy' (did you mean copy?): expected one of molecules"),
        (["--task.tain", "3"], "there is no option 'tain' (did you mean train?)"),
        (["--task.target_scal", "log"], "there is no option 'target_scal' (did you mean target_scale?)"),
        (["--task.target_scale", "[1]"], "target_scale must be"),
        (["--task", "{nam: copy}"], "a task needs its name, such as name: enas, not nam"),
        (["--choose.training.l", "[0.1]"], "there is no option 'l' (did you mean lr?)"),
        (["--choose.model.hiden_channels", "[8]"], "(did you mean hidden_channels?)"),
        (["--choose.task.shap", "[braid]"], "there is no option 'shap' (did you mean shape?)"),
        (
            ["--models", "{bag: {class_path: plstm_graph.nn.baselines.BagOfNodes, init_arg: {}}}"],
            "a model has class_path, init_args, skip_tests, and no init_arg (did you mean init_args?)",
        ),
        (["--training.members", "0"], "members must be at least 1"),
        (["--training.epoch", "2"], "epoch"),
        (["--training.lr", "0.1"], "--training.lr is given, and choose.training.lr has the values [0.001, 0.01]"),
        (
            ["--choose={model.hidden_channels: [8, 16]}", "--models.bag.init_args.hidden_channels=4"],
            "is given, and choose.model.hidden_channels has the values [8, 16]",
        ),
        (["--trainer.presision", "64-true"], "there is no option trainer.presision (did you mean precision?)"),
        (["--trainer.max_epochs", "9"], "trainer.max_epochs is for the engine to decide: training.epochs"),
        (["--trainer.devices", "2", "--workers", "2"], "2 trials cannot run at the same time"),
    ],
)
def test_what_is_misspelt_is_named_before_anything_is_written(more, message, config, tmp_path, capsys):
    try:
        status = main(["fit", *config, *more])
    except SystemExit as stop:  # of the parser
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2 and message in error and "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("section", [{}, {"name": 3}, {"Name": "copy"}, {"train": PART}])
def test_a_task_needs_a_name(section):
    with pytest.raises(ValueError, match="a task needs its name, such as name: enas"):
        task_of(section)


def test_a_section_makes_what_its_function_makes():
    deep = PART | {"size": 20}
    options = {"train": deep, "valid": deep, "tests": {"a": deep}}
    one = task_of({"name": "longest_path", "target_scale": "log", **options})
    other = load_task("longest_path", **options)
    assert one.target.kind == "log" and other.target.kind == "raw"
    assert [graph.y.tolist() for graph in one.parts["train"]] == [graph.y.tolist() for graph in other.parts["train"]]
