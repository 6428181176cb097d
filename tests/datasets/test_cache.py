import pytest
import torch
from torch_geometric.transforms import AddRandomWalkPE, Compose

from plstm_graph.datasets.cache import cache_key, describe, new_folder
from plstm_graph.transforms import ToDAG


def test_key_follows_arguments_that_repr_leaves_out():
    assert repr(AddRandomWalkPE(4)) == repr(AddRandomWalkPE(8))
    assert cache_key(AddRandomWalkPE(4)) != cache_key(AddRandomWalkPE(8))
    assert cache_key(Compose([ToDAG(), AddRandomWalkPE(4)])) == cache_key(Compose([ToDAG(), AddRandomWalkPE(4)]))
    assert cache_key(Compose([ToDAG("centre")])) != cache_key(Compose([ToDAG("canonical")]))
    assert cache_key(torch.zeros(2)) != cache_key(torch.ones(2))
    assert " at 0x" not in describe(lambda data: data)


def test_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(OSError, match="no room"), new_folder(tmp_path / "a" / "set") as folder:
        (folder / "half").touch()
        raise OSError("no room")
    assert not any((tmp_path / "a").iterdir())
    with new_folder(tmp_path / "a" / "set") as folder:
        (folder / "whole").touch()
        assert not (tmp_path / "a" / "set").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["set"]


def test_folder_of_another_process_stays(tmp_path):
    with new_folder(tmp_path / "set") as folder:
        (folder / "late").touch()
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "early").touch()
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["early"]
