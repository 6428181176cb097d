"""Which of two epochs is better."""

import math

import pytest

from plstm_graph.tasks.task import rank

_MONITOR = {"accuracy": "max", "loss": "min"}


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"accuracy": 0.9, "loss": 5.0}, {"accuracy": 0.8, "loss": 0.1}),
        ({"accuracy": 1.0, "loss": 0.1}, {"accuracy": 1.0, "loss": 0.2}),
        ({"accuracy": 0.1, "loss": 9.0}, {"accuracy": math.nan, "loss": 0.1}),
        ({"accuracy": 1.0, "loss": 9.0}, {"accuracy": 1.0, "loss": math.inf}),
        ({"accuracy": 1.0, "loss": 9.0}, {"accuracy": 1.0}),  # of an earlier version
    ],
)
def test_later_metrics_break_ties(better, worse):
    assert rank(better, _MONITOR) > rank(worse, _MONITOR)
