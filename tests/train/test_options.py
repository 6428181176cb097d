"""Options that several commands share."""

from dataclasses import asdict

import pytest
from jsonargparse.typing import PositiveFloat

from plstm_graph.cli import main
from plstm_graph.config.parser import CommandParser
from plstm_graph.config.run_config import claim_folder, read_configuration, write_configuration
from plstm_graph.train.arguments import repeatable_command
from plstm_graph.train.training import Training


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "--seeds", "0", "--output", "runs/a b", "--lr", "[1, 2]"],
        ["fit", "--output=runs/a", "--seeds", "0", "--lr", "[1, 2]"],
        ["fit", "--seeds", "0", "--lr", "[1, 2]", "--output", "--output"],
        ["fit", "--seeds", "0", "--lr", "[1, 2]"],
        ["fit", "--seeds", "0", "--task.root", "data", "--lr", "[1, 2]", "--task.source=copies"],
    ],
)
def test_a_command_that_anyone_can_repeat(arguments):
    assert repeatable_command(arguments) == "plstm-graph fit --seeds 0 --lr '[1, 2]'"


def test_a_folder_of_an_earlier_version_goes_on(tmp_path):
    parser = CommandParser()
    parser.add_class_arguments(Training, "training")
    plain = {"training": asdict(Training(epochs=7))}
    older = {name: value for name, value in plain["training"].items() if name != "average"}
    write_configuration(tmp_path, {"training": older})
    claim_folder(tmp_path, plain, parser, (), "--name")
    assert read_configuration(tmp_path) == plain
    with pytest.raises(ValueError, match=r"training.average is 2.0, was 0.0\): give another --name"):
        claim_folder(tmp_path, {"training": plain["training"] | {"average": 2.0}}, parser, (), "--name")
    write_configuration(tmp_path, {"training": older | {"momentum": 0.9}})
    with pytest.raises(ValueError, match=r"training.momentum is None, was 0.9"):
        claim_folder(tmp_path, plain, parser, (), "--name")


def test_completing_leaves_what_it_is_given_alone():
    parser = CommandParser()
    parser.add_argument("--lr", type=PositiveFloat | list[PositiveFloat], default=1e-3)
    values = {"lr": [0.1, 0.2]}
    assert parser.complete(values) == values
    assert [type(value) for value in values["lr"]] == [float, float]


@pytest.mark.parametrize("command", ["fit"])
def test_help_can_be_read(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert "--model" in text and "known subclasses" not in text and len(text.splitlines()) < 200
