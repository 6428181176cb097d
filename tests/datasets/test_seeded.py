"""Graphs that are made when they are asked for: as a sequence, and each by its seed and number alone."""

import numpy as np
import pytest
import torch

from plstm_graph.datasets.long_range import LongRange
from plstm_graph.datasets.pedigrees.pedigrees import Pedigrees

MAKERS = {
    "pedigrees": lambda count, seed=0: Pedigrees(count, 2, 6, seed=seed),
    "copy": lambda count, seed=0: LongRange("copy", count, 12, smallest=3, seed=seed),
    "longest_path": lambda count, seed=0: LongRange("longest_path", count, 40, smallest=16, seed=seed),
    "path_parity": lambda count, seed=0: LongRange("path_parity", count, 30, seed=seed),
}
pytestmark = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def equal(one, other):
    return all(torch.equal(one[key].nan_to_num(), other[key].nan_to_num()) for key in ("x", "edge_index", "y"))


def test_it_is_a_sequence(make):
    made = make(7)
    assert len(made) == 7 == len(list(made)) and len(make(0)) == 0 and list(make(0)) == []
    assert equal(made[-1], made[6]) and equal(made[-7], made[0]) and equal(made[np.int64(3)], made[3])
    for part in (slice(2, 5), slice(None, None, 3), slice(5, None, -2), slice(9, 20)):
        expected = [made[number] for number in range(7)[part]]
        assert len(made[part]) == len(expected) and all(map(equal, made[part], expected))
    for number in (7, -8, 100):
        with pytest.raises(IndexError, match=f"graph {number} of 7"):
            made[number]


def test_a_graph_depends_on_seed_and_number_alone(make):
    made = make(6)
    backwards = [made[number] for number in reversed(range(6))][::-1]
    torch.manual_seed(5)
    np.random.seed(5)
    for number, (one, other, more) in enumerate(zip(made, backwards, make(20), strict=False)):
        assert equal(one, other) and equal(one, more) and equal(one, made[number])
        assert not any(equal(one, made[later]) for later in range(number + 1, 6))
        assert not equal(one, make(6, seed=1)[number])
