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
