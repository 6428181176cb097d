"""The learning rate over a training, and what decays."""

import pytest
import torch

from plstm_graph.nn.block import PLSTMLayer
from plstm_graph.train.optimizer import make_adamw, warmup_cosine, warmup_cosine_factor


def test_learning_rate_rises_then_falls():
    factors = [warmup_cosine_factor(step, 200, warmup=0.1, final_lr=0.01) for step in range(201)]
    assert factors[:21] == sorted(factors[:21])
    assert 0 < factors[0] < 0.1
    assert factors[20] == 1
    assert factors[20:] == sorted(factors[20:], reverse=True)
    assert factors[200] == pytest.approx(0.01)


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_follows_the_schedule(fused):
    model = torch.nn.Linear(2, 1)
    optimizer = make_adamw(model, 0.1, 0.0, fused)
    schedule = warmup_cosine(optimizer, 4, 0.5, 0.0)
    before = model.weight.detach().clone()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    schedule.step()
    torch.testing.assert_close(before - model.weight.detach(), torch.full((1, 2), 0.1 / 3))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2 / 3)


@pytest.mark.parametrize("options", [{"share_weights": True}, {"direction": "forward"}, {"mode": "M"}])
def test_weights_of_single_channels_are_vectors(options):
    layer = PLSTMLayer(8, neighbours="channel", **options)
    spared = make_adamw(layer, 0.1, 0.01).param_groups[1]["params"]
    assert any(parameter is layer.neighbours.weight for parameter in spared)


def test_only_weights_of_linear_maps_decay():
    layer = PLSTMLayer(8, share_weights=True, norm="batch")
    decayed, spared = make_adamw(layer, 0.1, 0.01).param_groups
    names = {id(parameter): name for name, parameter in layer.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert {names[id(p)] for p in spared["params"]} == {
        name
        for name in names.values()
        if ("lin" not in name and "ffn.1.w" not in name and "ffn.4.w" not in name) or name.endswith("bias")
    }
    assert len(decayed["params"]) + len(spared["params"]) == len(names)
