"""Batches split over processes: every graph once, all processes take the same steps, and steps are those of one."""

from itertools import chain

import pytest
import torch
from torch_geometric.data import Data

from plstm_graph.tasks.batches import Arguments, batches_in_order, fixed_batches
from plstm_graph.tasks.task import Shard

PLAIN = Arguments(names=("x",), multitree=False)
CPU = torch.device("cpu")


def graphs(count):
    return [
        Data(x=torch.tensor([[float(number)]] * (1 + number % 3)), edge_index=torch.zeros(2, 0, dtype=torch.long))
        for number in range(count)
    ]


def together(lists):
    return list(chain.from_iterable(lists))


def numbers(batches):
    return [sorted(graph.x[0, 0].item() for graph in batch.to_data_list()) for batch in batches]


@pytest.mark.parametrize(("count", "size"), [(12, 4), (10, 4), (14, 4), (6, 6), (13, 6), (7, 12)])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_fixed_batches(count, size, processes):
    whole = numbers(fixed_batches(graphs(count), size, 5, CPU, Shard(), PLAIN))
    assert sorted(together(whole)) == list(range(count))
    parts = [
        numbers(fixed_batches(graphs(count), size, 5, CPU, Shard(rank, processes), PLAIN)) for rank in range(processes)
    ]
    steps = [sorted(together(step)) for step in zip(*parts, strict=True)]
    assert sorted(together(steps)) == list(range(count))
    assert all(part for step in zip(*parts, strict=True) for part in step)
    # A rest that leaves a process fewer than two graphs, which batch norm cannot take, joins the batch before.
    if size % processes == 0 and (count % size == 0 or count % size >= 2 * processes):
        assert sorted(steps) == sorted(whole)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_batches_to_evaluate(processes):
    parts = [
        numbers(batches_in_order(graphs(10), 3, CPU, Shard(rank, processes), PLAIN, most_nodes=4))
        for rank in range(processes)
    ]
    assert sorted(together(together(parts))) == list(range(10))
    assert all(sum(1 + int(number) % 3 for number in batch) <= 4 or len(batch) == 1 for part in parts for batch in part)
