"""Checkpoints: whole files or none, no foreign code, damage is named."""

import pickle

import pytest
import torch

from plstm_graph.train.checkpoint import CheckpointError, read_checkpoint
from plstm_graph.train.checkpoint_io import SafeCheckpointIO
from tests.made_checkpoints import checkpoint_of, make_recipe
from tests.train.tiny_model import TinyModel


def _checkpoint():
    return checkpoint_of(TinyModel(), make_recipe(model={"class_path": "tests.train.tiny_model.TinyModel"}))


def test_a_failed_save_keeps_the_old_checkpoint(tmp_path):
    io, path = SafeCheckpointIO(), tmp_path / "a.ckpt"
    io.save_checkpoint(_checkpoint(), path)
    before = path.read_bytes()
    with pytest.raises((pickle.PicklingError, AttributeError)):
        io.save_checkpoint({"x": lambda: None}, path)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*missing\.ckpt"):
        read_checkpoint(tmp_path / "missing.ckpt")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_truncated(tmp_path, part):
    path = tmp_path / "a.ckpt"
    torch.save(_checkpoint(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(CheckpointError, match="is no file of tensors, or only a part of one"):
        read_checkpoint(path)


def test_flipped_bytes(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save(_checkpoint(), path)
    content = bytearray(path.read_bytes())
    middle = content.index(b"state_dict")
    content[middle : middle + 10] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is damaged: its part .*/data\.pkl does not have its checksum"):
        read_checkpoint(path)


class _Evil:
    ran = False

    def __reduce__(self):
        return (setattr, (_Evil, "ran", True))


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_foreign_pickle_does_not_run(tmp_path, save):
    path = tmp_path / "a.ckpt"
    save(_checkpoint() | {"extra": _Evil()}, path)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    with pytest.raises(CheckpointError):
        SafeCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not _Evil.ran


def test_a_state_dict_of_someone_else(tmp_path):
    torch.save(TinyModel().state_dict(), tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of plstm-graph"):
        read_checkpoint(tmp_path / "a.ckpt")
