"""Options that reach into a section keep the rest of it; sections of several files are put together."""

from typing import Any

import pytest
import yaml

from plstm_graph.config.nested_options import put_together
from plstm_graph.config.parser import CommandParser

_CONFIG = {
    "data": {"name": "copy", "train": {"size": 100, "smallest": 10}, "tests": {10: {"size": 10}, "far": {"size": 99}}},
    "models": {"one": {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"heads": 4, "modes": "P"}}},
}


@pytest.fixture
def parse(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(_CONFIG))

    def parse(*arguments):
        parser = CommandParser(exit_on_error=False)
        parser.add_argument("--config", action="config")
        parser.add_argument("--data", type=dict)
        parser.add_argument("--models", type=dict[str, dict])
        parser.add_argument("--lr", type=float, default=0.1)
        return parser.parse_args(["--config", str(tmp_path / "config.yaml"), *arguments])

    return parse


@pytest.mark.parametrize(
    ("arguments", "way", "value"),
    [
        (["--data.train.size", "7"], ("data", "train"), {"size": 7, "smallest": 10}),
        (["--data.train.size=7", "--lr", "1"], ("data", "train"), {"size": 7, "smallest": 10}),
        (["--data.train.new", "[1, 2]"], ("data", "train"), {"size": 100, "smallest": 10, "new": [1, 2]}),
        (["--data.tests.10.size", "7"], ("data", "tests"), {10: {"size": 7}, "far": {"size": 99}}),
        (["--data.valid.size", "7", "--data.valid.deep.er", "a"], ("data", "valid"), {"size": 7, "deep": {"er": "a"}}),
        (["--models.one.init_args.heads", "2"], ("models", "one", "init_args"), {"heads": 2, "modes": "P"}),
        (["--data.name", "other"], ("data", "train"), {"size": 100, "smallest": 10}),
        (["--data.train.size", "-3"], ("data", "train"), {"size": -3, "smallest": 10}),
        (["--data.train.size", "7", "--data.train.size", "8"], ("data", "train"), {"size": 8, "smallest": 10}),
    ],
)
def test_the_rest_of_a_section_stays(parse, arguments, way, value):
    found = parse(*arguments)
    for key in way:
        found = found[key]
    assert found == value
    assert parse(*arguments).models["one"]["class_path"] == "plstm_graph.nn.PLSTM"


@pytest.mark.parametrize("name", ["same", "large", "others"])
def test_the_order_of_a_section_stays(parse, tmp_path, name):
    tests = {"same": {"size": 5, "least": 1}, "large": {"size": 50}, "others": {"size": 5}}
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump({"data": {"name": "copy", "tests": tests}}, sort_keys=False))
    found = parse("--config", str(more), f"--data.tests.{name}.size", "7").data["tests"]
    assert list(found) == list(tests) and list(found["same"]) == ["size", "least"]
    assert found[name]["size"] == 7
    assert list(parse("--config", str(more), "--data.tests.new.size", "7").data["tests"]) == [*tests, "new"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.train.size.of", "3"], "data.train.size is 100"),
        (["--data.name.of.it", "3"], "data.name is 'copy'"),
        (["--data.train.size", "[1"], "no value"),
        (["--data.train.size"], "."),
        (["--dta.train.size", "3"], "dta"),
    ],
)
def test_what_cannot_be_meant_is_refused(parse, arguments, message):
    with pytest.raises(Exception, match=message) as caught:
        parse(*arguments)
    assert not isinstance(caught.value, (AttributeError, KeyError))


def test_an_option_does_not_swallow_the_next():
    given = ["--data.a.b", "--print_config", "--data.a.c", "--x"]
    rest, taken = put_together(given, ["data"], str)
    assert rest == given and not taken


VISION, VIT = "plstm_graph.nn.PLSTMVision", "plstm_graph.nn.vision.ViT"
CNN = "plstm_graph.nn.vision.SmallCNN"


@pytest.fixture
def together(tmp_path):
    """Parses files of these contents, and arguments behind them."""

    def together(contents, *arguments):
        parser = CommandParser(exit_on_error=False)
        parser.add_argument("--config", action="config")
        parser.add_argument("--task", type=dict[str, Any], required=True)
        parser.add_argument("--model", type=dict | str | None, default=None)
        parser.add_argument("--models", type=dict[str, dict], default={})
        parser.add_argument("--choose", type=dict[str, Any], default={})
        files = []
        for number, content in enumerate(contents):
            path = tmp_path / f"{number}.yaml"
            path.write_text(yaml.safe_dump({"task": {"name": "copy"}} | content, sort_keys=False))
            files += ["--config", str(path)]
        return parser.parse_args([*files, *arguments])

    return together


def spec(name, **arguments):
    return {"class_path": name, "init_args": arguments}


@pytest.mark.parametrize(
    ("contents", "arguments", "expected"),
    [
        ([spec(VISION, heads=2, modes="P"), {"init_args": {"modes": "D"}}], [], spec(VISION, heads=2, modes="D")),
        ([spec(VISION, heads=2, modes="P"), spec(VIT, pool="mean")], [], spec(VIT, heads=2, pool="mean")),
        ([spec(VISION, heads=2), {"class_path": VIT}, spec(CNN, channels=[4])], [], spec(CNN, channels=[4])),
        ([spec(VISION, heads=2)], ["--model.heads", "3"], spec(VISION, heads=3)),
        (
            [spec(VISION, heads=2)],
            ["--model.init_args.heads=3", "--model.norm", "null"],
            spec(VISION, heads=3, norm=None),
        ),
        ([spec(VISION, heads=2, modes="P")], ["--model", VIT], spec(VIT, heads=2)),
        ([spec(VISION, heads=2, modes="P")], [f"--model={VIT}", "--model.heads", "1"], spec(VIT, heads=1)),
        ([spec(VISION, heads=2), spec(VISION)], ["--model.class_path", VIT], spec(VIT, heads=2)),
        ([spec(VISION, heads=2)], ["--model", f"{{class_path: {VIT}}}"], spec(VIT)),
        ([VIT], ["--model.heads", "1"], spec(VIT, heads=1)),
        (
            [spec("plstm_graph.nn.Ensemble", size=2, model=spec(VISION, heads=2))],
            ["--model.init_args.model.init_args.heads", "4"],
            spec("plstm_graph.nn.Ensemble", size=2, model=spec(VISION, heads=4)),
        ),
    ],
)
def test_a_model_is_put_together(together, contents, arguments, expected):
    found = together([{"model": content} for content in contents], *arguments).model
    assert {"init_args": {}, **found} == {"init_args": {}, **expected}


def test_sections_of_several_files_are_put_together(together):
    first = {"task": {"name": "arrows", "num_test": 5, "augmentation": {"flip": True, "erase": 0.5}}}
    second = {"task": {"num_test": 6, "augmentation": {"erase": 0.1}}, "models": {"one": spec(VIT, heads=1)}}
    third = {"task": {}, "models": {"one": spec(VIT, norm="batch"), "two": spec(CNN)}}
    found = together([first, second, third], "--task.num_valid", "7", "--models.two.channels", "[2]")
    # An option is replaced whole, and so keeps nothing of what it was.
    assert found.task == {"name": "arrows", "num_test": 6, "augmentation": {"erase": 0.1}, "num_valid": 7}
    assert found.models == {"one": spec(VIT, heads=1, norm="batch"), "two": spec(CNN, channels=[2])}


@pytest.mark.parametrize("name", ["training.lr", "model.num_layers", "task.target_scale"])
def test_dotted_names_are_names(together, name):
    found = together([{"choose": {name: [1, 2], "training.clip": [1.0]}}], f"--choose.{name}", "[3]").choose
    assert found == {name: [3], "training.clip": [1.0]}


def test_a_class_that_may_not_be_named_keeps_nothing(together):
    with pytest.raises(Exception, match=r"os\.system"):
        together([{"model": spec(VISION, heads=2)}, {"model": {"class_path": "os.system"}}])
