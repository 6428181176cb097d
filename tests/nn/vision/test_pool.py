"""Pooling of the nodes of an image."""

import pytest
import torch

from plstm_graph.nn import PLSTMVision
from plstm_graph.nn.vision import ViT
from plstm_graph.nn.vision.pool import TOP, ImagePool


def test_what_a_larger_background_dilutes():
    found = {}
    for nodes in (10, 1000):
        x = torch.zeros(1, nodes, 2)
        x[:, 3] = torch.tensor([1.0, 2.0])
        for name in ("mean", "max", "attention"):
            pool = ImagePool(name, 2)
            if pool.score is not None:
                pool.score.weight.data = 30 * torch.eye(2)
            found[name, nodes] = pool(x)[0].tolist()
    assert found["mean", 10] == pytest.approx([0.1, 0.2]) and found["mean", 1000] == pytest.approx([0.001, 0.002])
    for name in ("max", "attention"):
        assert found[name, 10] == pytest.approx([1, 2]) and found[name, 1000] == pytest.approx([1, 2])


def test_attention_is_a_softmax_over_nodes_for_each_channel():
    torch.manual_seed(0)
    pool, x = ImagePool("attention", 3).double(), torch.randn(2, 5, 3, dtype=torch.double)
    expected = torch.zeros(2, 3, dtype=torch.double)
    for image in range(2):
        for channel in range(3):
            weights = torch.exp(x[image] @ pool.score.weight[channel])
            expected[image, channel] = (weights / weights.sum()) @ x[image, :, channel]
    torch.testing.assert_close(pool(x), expected)
    with torch.no_grad():
        pool.score.weight.zero_()
    torch.testing.assert_close(pool(x), x.mean(dim=1))


def test_top_is_the_mean_of_the_largest_of_each_channel():
    x = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0))
    expected = [[sum(sorted(x[b, :, c].tolist())[-TOP:]) / TOP for c in range(3)] for b in range(2)]
    torch.testing.assert_close(ImagePool("top", 3)(x), torch.tensor(expected))
    torch.testing.assert_close(ImagePool("top", 3)(x[:, :5]), x[:, :5].mean(dim=1))
    in_a_larger_image = torch.cat([x, torch.full((2, 980, 3), x.min().item())], dim=1)
    torch.testing.assert_close(ImagePool("top", 3)(in_a_larger_image), torch.tensor(expected))


@pytest.mark.parametrize(("make", "own"), [(PLSTMVision, "corners"), (ViT, "token")])
def test_there_is_no_such_pooling(make, own):
    with pytest.raises(
        ValueError, match=f"pool must be one of '{own}', 'mean', 'max', 'attention', 'top', got 'median'"
    ):
        make(2, pool="median")
