import pytest
from hypothesis import given
from hypothesis import strategies as st

from plstm_graph.tasks.batches import EpochBatches
from plstm_graph.tasks.task import Shard


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_every_row_once_and_the_same_number_of_steps(rows, batch_size, world_size, shuffle, epoch):
    if rows < world_size:
        with pytest.raises(ValueError, match=f"{rows} samples cannot be split over {world_size} processes"):
            EpochBatches(rows, batch_size * world_size, shard=Shard(0, world_size))
        return
    samplers = [
        EpochBatches(rows, batch_size * world_size, 0 if shuffle else None, Shard(rank, world_size))
        for rank in range(world_size)
    ]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    batches = [list(sampler) for sampler in samplers]
    assert sorted(row for each in batches for batch in each for row in batch) == list(range(rows))
    assert {len(each) for each in batches} == {len(samplers[0])}
    assert all(batch for each in batches for batch in each)
    assert all(len(batch) <= batch_size + 2 for each in batches for batch in each)
    # Batch norm takes no single graph: only batches of one, or too few rows for two each, leave one to a process.
    if batch_size > 1 and rows >= 2 * world_size:
        assert all(len(batch) > 1 for each in batches for batch in each)


@pytest.mark.parametrize(("rows", "sizes"), [(65, [32, 33]), (64, [32, 32]), (66, [32, 32, 2]), (1, [1]), (33, [33])])
def test_a_single_row_at_the_end_joins_the_batch_before_it(rows, sizes):
    assert [len(batch) for batch in EpochBatches(rows, 32)] == sizes


def test_several_processes_share_the_batches_of_one():
    single = list(EpochBatches(52, 8, seed=3))
    shares = [list(EpochBatches(52, 8, 3, Shard(rank, 2))) for rank in range(2)]
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(batch) for batch in single]


def test_order_follows_from_seed_and_epoch():
    sampler = EpochBatches(50, 8, seed=1)
    first, again = list(sampler), list(sampler)
    sampler.set_epoch(1)
    assert first == again
    assert list(sampler) != first
    again = EpochBatches(50, 8, seed=1)
    again.set_epoch(1)
    assert list(sampler) == list(again)
    assert list(EpochBatches(50, 8, seed=2)) != first


def test_without_shuffling_rows_come_in_order():
    assert [row for batch in EpochBatches(10, 3) for row in batch] == list(range(10))
