"""How models are trained: what is refused."""

import math

import pytest

from plstm_graph.train.training import Training


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("lr", value) for value in (0.0, -1.0, math.nan, math.inf)),
        *(("clip", value) for value in (0.0, math.nan, math.inf)),
        *(("average", value) for value in (-1.0, math.nan, math.inf)),
        *(("warmup_fraction", value) for value in (1.0, -0.1, math.nan)),
        *(("final_lr", value) for value in (2.0, -0.1, math.nan)),
        *(("weight_decay", value) for value in (-0.1, math.inf, math.nan)),
        *((name, 0) for name in ("epochs", "batch_size", "members", "patience")),
        ("workers", -1),
        ("keep", "first"),
    ],
)
def test_bad_arguments(name, value):
    with pytest.raises(ValueError, match=name):
        Training(**{name: value})


def test_patience_waits_for_a_better_epoch():
    with pytest.raises(ValueError, match="patience needs keep='best'"):
        Training(patience=3, keep="last")
