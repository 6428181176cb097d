"""Batches with all classes equally often: exact in each epoch, alike after a pause, and split over processes."""

from collections import Counter

import pytest
import torch

from plstm_graph.tasks.batches import BalancedBatches, balanced_rows
from plstm_graph.tasks.task import Shard

CLASSES = torch.tensor([0.0] * 40 + [1.0] * 7 + [2.0] * 3 + [float("nan")] * 4)


def rows_of_epoch(batches, epoch):
    batches.set_epoch(epoch)
    return [row for batch in batches for row in batch]


def test_an_epoch_has_all_classes_equally_often():
    batches = BalancedBatches(CLASSES, 8, seed=3)
    for epoch in range(5):
        counts = Counter(CLASSES[rows_of_epoch(batches, epoch)].tolist())
        assert counts == {0.0: 17, 1.0: 17, 2.0: 16}
        assert len(list(batches)) == len(batches)


def test_each_row_of_a_class_comes_equally_often():
    batches = BalancedBatches(CLASSES, 8, seed=3)
    counts = Counter(row for epoch in range(40) for row in rows_of_epoch(batches, epoch))
    assert set(counts) == set(range(50))
    for code in range(3):
        of_class = [counts[row] for row in range(50) if CLASSES[row] == code]
        assert max(of_class) - min(of_class) <= 1


def test_an_epoch_follows_from_seed_and_number_alone():
    first, second = BalancedBatches(CLASSES, 8, seed=3), BalancedBatches(CLASSES, 8, seed=3)
    for epoch in range(4):
        rows_of_epoch(first, epoch)
    assert rows_of_epoch(first, 4) == rows_of_epoch(second, 4) != rows_of_epoch(second, 5)
    assert rows_of_epoch(BalancedBatches(CLASSES, 8, seed=4), 4) != rows_of_epoch(second, 4)


def test_processes_share_each_batch():
    whole = BalancedBatches(CLASSES, 10, seed=1)
    parts = [BalancedBatches(CLASSES, 10, 1, Shard(rank, 2)) for rank in range(2)]
    for epoch in range(2):
        for batches in (whole, *parts):
            batches.set_epoch(epoch)
        for batch, first, second in zip(whole, *parts, strict=True):
            assert sorted(batch) == sorted(first + second)


@pytest.mark.parametrize("per_epoch", [1, 5, 6])
def test_rows_that_do_not_divide(per_epoch):
    rows = balanced_rows([[0, 1, 2], [3, 4]], per_epoch, 0, 0)
    assert len(rows) == per_epoch
    assert abs(sum(row < 3 for row in rows) - per_epoch / 2) <= 0.5
