import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.transforms import AddRandomWalkPE, Compose

from plstm_graph.datasets.storage.cache import cache_key, describe
from plstm_graph.transforms import ToDAG


def test_key_follows_arguments_that_repr_leaves_out():
    assert repr(AddRandomWalkPE(4)) == repr(AddRandomWalkPE(8))
    assert cache_key(AddRandomWalkPE(4)) != cache_key(AddRandomWalkPE(8))
    assert cache_key(Compose([ToDAG(), AddRandomWalkPE(4)])) == cache_key(Compose([ToDAG(), AddRandomWalkPE(4)]))
    assert cache_key(Compose([ToDAG("centre")])) != cache_key(Compose([ToDAG("canonical")]))
    assert cache_key(torch.zeros(2)) != cache_key(torch.ones(2))
    assert " at 0x" not in describe(lambda data: data)


class Plain:
    """A callable that is no transform of PyG's."""

    def __init__(self, number):
        self.number = number
        self.again = self  # described without end, if it were not noticed

    def __call__(self, data):
        return data

    def method(self, data):
        return data


def _closing_over(number):
    def function(data):
        return data + number + len({"a", "b", "c", number})

    return function


def _recursive(number):
    def function(data):
        return number if data == 0 else function(data - 1)

    return function


def _of_two(data, number):
    return data + number


@pytest.mark.parametrize(
    "make",
    [
        Plain,
        _closing_over,
        _recursive,
        lambda number: functools.partial(_of_two, number=number),
        lambda number: Plain(number).method,
        lambda number: (lambda data: data + 1) if number == 1 else (lambda data: data + 2),
        lambda number: lambda data, by=number: data + by,
        lambda number: np.arange(2000) * number,
        lambda number: {"a", "b", number},
        lambda number: {1: number, "1": number},
    ],
)
def test_key_follows_whatever_decides_what_is_done(make):
    assert cache_key(make(1)) == cache_key(make(1))
    assert cache_key(make(1)) != cache_key(make(2))
    assert " at 0x" not in describe(make(1))


def test_key_of_a_function_is_the_same_in_every_process():
    code = (
        "from tests.datasets.storage.test_cache import _closing_over, Plain; "
        "from plstm_graph.datasets.storage.cache import cache_key; "
        "print(cache_key(_closing_over(3), Plain(2), {'x', 'y', 'z'}))"
    )
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(root)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == cache_key(_closing_over(3), Plain(2), {"x", "y", "z"})
