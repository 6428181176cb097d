import pytest
import torch

from plstm_graph import PLSTM
from plstm_graph.nn import Ensemble
from plstm_graph.testing import random_dag


def test_members_differ_and_their_mean_is_the_prediction():
    model = Ensemble(PLSTM(3, 8, 1, 2), size=3)
    x, edge_index = torch.randn(6, 3), random_dag(6, 9)
    members = model(x, edge_index)
    assert members.shape == (3, 1, 2)
    assert not torch.allclose(members[0], members[1])
    assert torch.allclose(model.eval()(x, edge_index), members.mean(dim=0))


def test_each_member_learns_from_its_own_loss_only():
    model = Ensemble(PLSTM(3, 8, 1, 1), size=2)
    model(torch.randn(6, 3), random_dag(6, 9))[1].sum().backward()
    assert not any(parameter.grad.any() for parameter in model.members[0].parameters())
    assert any(parameter.grad.any() for parameter in model.members[1].parameters())


def test_size_is_checked():
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        Ensemble(PLSTM("atom"), size=0)
