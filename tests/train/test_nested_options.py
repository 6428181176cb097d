"""Options that reach into a section keep the rest of it."""

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
