"""Options that several commands share."""

import pytest

from plstm_graph.train.options import repeatable_command


@pytest.mark.parametrize(
    "arguments",
    [
        ["dags", "--seeds", "0", "--output", "runs/a b", "--lr", "[1, 2]"],
        ["dags", "--output=runs/a", "--seeds", "0", "--lr", "[1, 2]"],
        ["dags", "--seeds", "0", "--lr", "[1, 2]", "--output", "--output"],
        ["dags", "--seeds", "0", "--lr", "[1, 2]"],
        ["dags", "--seeds", "0", "--data.root", "data", "--lr", "[1, 2]", "--data.source=copies"],
    ],
)
def test_a_command_that_anyone_can_repeat(arguments):
    assert repeatable_command(arguments) == "plstm-graph dags --seeds 0 --lr '[1, 2]'"
