"""Which classes are taken for which, as scikit-learn counts them, and the pictures of what predictions miss."""

import pytest
import torch
from sklearn.metrics import confusion_matrix

from plstm_graph.tasks.confusion import confusion, plain_confusion
from plstm_graph.viz.curves import new_figure
from plstm_graph.viz.errors import draw_confusion, draw_residuals, draw_target_curves

nan = float("nan")


def test_classes():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(4, (50, 1), generator=generator).double()
    target[:5] = nan
    predicted = torch.randn(50, 4, generator=generator).softmax(dim=1)
    (found,) = confusion(predicted, target, "multiclass")
    codes = predicted.argmax(dim=1)[5:].numpy()
    assert found.tolist() == confusion_matrix(target[5:, 0].numpy(), codes, labels=range(4)).tolist()


def test_labels_of_several_targets_with_missing_ones():
    target = torch.tensor([[1.0, 0.0], [0.0, nan], [1.0, 1.0], [0.0, 0.0]])
    predicted = torch.tensor([[0.9, 0.1], [0.6, 0.9], [0.5, 0.7], [0.2, 0.8]])
    first, second = confusion(predicted, target, "multilabel")
    assert first.tolist() == [[1, 1], [1, 1]] and second.tolist() == [[1, 1], [0, 1]]
    plain = plain_confusion(predicted, target, "multilabel", ["a", "b"], [["no", "yes"], []])
    assert plain["a"] == {"classes": ["no", "yes"], "counts": [[1, 1], [1, 1]]}
    assert plain["b"]["classes"] == ["0", "1"]


@pytest.mark.parametrize("count", [2, 5, 20, 40])
def test_a_matrix_of_any_size_is_drawn(count, tmp_path):
    figure, (axes,) = new_figure(1)
    draw_confusion(axes, torch.eye(count).long() * 3, [f"class ${number}" for number in range(count)], "test")
    figure.savefig(tmp_path / "c.png")
    assert len(axes.texts) == (count**2 if count <= 12 else 0)


def test_residuals_are_measured_minus_predicted():
    _, (axes, other) = new_figure(2)
    draw_residuals(axes, torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.5], [nan], [2.0]]), ["y"], "test")
    (points,) = axes.collections
    assert points.get_offsets().compressed().tolist()[:2] == [1.0, 0.5]
    draw_target_curves(other, [1, 2], {"a": [1.0, 0.5], "b": [nan, 0.2]}, 2, "rmse")
    assert [line.get_label() for line in other.get_lines()[:2]] == ["a", "b"]
