"""Logarithms of positive targets, and a scale for each of several targets."""

import pytest
import torch

from plstm_graph.tasks.scale import TargetScale, is_scale, kinds_of_targets

nan = float("nan")
Y = torch.tensor([[0.001, -5.0], [10.0, nan], [1e6, 2.0], [nan, 4.0]], dtype=torch.double)


@pytest.mark.parametrize("kinds", [["log10", "standard"], ["ln", "raw"], ["log1p", "standard"], ["log", "raw"]])
def test_each_target_has_its_own_scale(kinds):
    scale = TargetScale.fit(kinds, Y)
    learnt = scale.apply(Y)
    for column, kind in enumerate(kinds):
        alone = TargetScale.fit(kind, Y[:, [column]])
        torch.testing.assert_close(learnt[:, [column]], alone.apply(Y[:, [column]]), equal_nan=True)
    torch.testing.assert_close(scale.restore(learnt), Y, equal_nan=True)
    plain = scale.to_plain()
    assert plain["kind"] == kinds and is_scale(plain, 2) and not is_scale(plain, 3)
    again = TargetScale.of_plain(plain)
    assert torch.equal(again.restore(learnt).nan_to_num(), scale.restore(learnt).nan_to_num())
    assert scale.kind == "mixed"


@pytest.mark.parametrize("kind", ["ln", "log10"])
def test_logarithms_are_standardised(kind):
    values = Y[:, [0]]
    learnt = TargetScale.fit(kind, values).apply(values)
    known = learnt[learnt.isfinite()]
    assert known.mean().item() == pytest.approx(0, abs=1e-12)
    assert known.std(unbiased=False).item() == pytest.approx(1)
    assert TargetScale.fit(kind, values).restore(torch.tensor([[1e9]])).isfinite().all()
    with pytest.raises(ValueError, match=f"'{kind}' is of the logarithm of y, which needs targets above 0, got 0"):
        TargetScale.fit(kind, torch.tensor([[1.0], [0.0]]))


def test_equal_scales_are_one():
    assert TargetScale.fit(["standard", "standard"], Y).to_plain() == TargetScale.fit("standard", Y).to_plain()


def test_scales_by_the_names_of_targets():
    assert kinds_of_targets({"b": "log10"}, ["a", "b"], "standard") == ["standard", "log10"]
    assert kinds_of_targets(["raw", "ln"], ["a", "b"], "standard") == ["raw", "ln"]
    assert kinds_of_targets("log", ["a", "b"], "standard") == "log"
    with pytest.raises(ValueError, match=r"no target 'IC5' \(did you mean IC50\?\): there are IC50, logP"):
        kinds_of_targets({"IC5": "log10"}, ["IC50", "logP"], "standard")
    with pytest.raises(ValueError, match="target_scale has 3 scales for 2 targets"):
        kinds_of_targets(["raw", "ln", "ln"], ["a", "b"], "standard")
    with pytest.raises(ValueError, match=r"must be 'raw', .* or 'log10', got 'lg'"):
        kinds_of_targets({"a": "lg"}, ["a", "b"], "standard")


@pytest.mark.parametrize("kind", [["standard"], ["standard", "exec"], [["raw"], "raw"], 3, None])
def test_damaged_scales_are_none(kind):
    assert not is_scale({"kind": kind, "mean": [0.0, 0.0], "std": [1.0, 1.0]}, 2)


@pytest.mark.parametrize("std", [0.0, -1.0])
def test_a_scale_without_a_width_is_none(std):
    assert not is_scale({"kind": "standard", "mean": [0.0], "std": [std]}, 1)
