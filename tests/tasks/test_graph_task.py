"""Losses, missing targets, units, and what models must give: of tasks on graphs."""

import pytest
import torch
from torch.nn import functional as F
from torch_geometric.data import Batch
from torch_geometric.nn import GCN

from plstm_graph.config.names import allow_names
from plstm_graph.nn import PLSTM, SequenceHead
from plstm_graph.tasks.batches import attach_line_graph
from plstm_graph.tasks.scale import TargetScale
from tests.tasks.made_task import made_task, predictor_of
from tests.train.tiny_model import TinyModel

nan = float("nan")


def batch_of(task, model):
    return attach_line_graph(Batch.from_data_list(task.parts["train"]), task.needs(model))


def output_and_loss(task, model):
    batch = batch_of(task, model)
    output = task.output(model, batch, task.needs(model))
    total, count = task.loss(output, batch)
    return output, total / count


def test_loss_is_the_mean_over_measured_targets():
    task, model = made_task([[1.0, nan], [2.0, 5.0], [nan, 7.0]], "regression"), TinyModel(out_channels=2, dropout=0)
    assert task.target.mean.tolist() == pytest.approx([1.5, 6.0])
    assert task.target.std.tolist() == pytest.approx([0.5, 1.0])
    output, loss = output_and_loss(task, model)
    standardised = [(output[0, 0], -1), (output[1, 0], 1), (output[1, 1], -1), (output[2, 1], 1)]
    assert loss.item() == pytest.approx(sum((o - t).item() ** 2 for o, t in standardised) / 4)
    loss.backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


def test_loss_of_labels_masks_missing_ones():
    task, model = made_task([[1.0, nan], [0.0, 1.0]], "multilabel"), TinyModel(out_channels=2, dropout=0)
    output, loss = output_and_loss(task, model)
    known = torch.stack([output[0, 0], output[1, 0], output[1, 1]])
    expected = F.binary_cross_entropy_with_logits(known, torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        predictor_of(task, model).predict(task.parts["test"]), output.detach().double().sigmoid()
    )


def test_loss_of_classes_leaves_out_unknown_ones_and_takes_ensembles():
    task = made_task([[0.0]], "multiclass", columns=3)
    output, target = torch.randn(2, 4, 3), torch.tensor([[0.0], [nan], [2.0], [1.0]])
    loss, count = task.loss_of(output, target)
    known = torch.tensor([0, 2, 3])
    expected = -output.log_softmax(dim=-1)[:, known, target[known, 0].long()].sum()
    torch.testing.assert_close(loss, expected)
    assert count == 6
    with pytest.raises(ValueError, match=r"the model gives \[1, 2\] where the targets are \[1, 3\]: .*out_channels=3"):
        task.check(TinyModel(out_channels=2))


def test_a_sequence_is_a_class_at_each_position():
    task = made_task([[0.0, 2.0], [1.0, nan]], "sequence", columns=6)
    model = SequenceHead(TinyModel(out_channels=6, dropout=0), 2)
    task.check(model)
    output, loss = output_and_loss(task, model)
    assert output.shape == (2, 2, 3)
    torch.testing.assert_close(loss, F.cross_entropy(output.flatten(0, 1)[:3], torch.tensor([0, 2, 1])))
    assert torch.equal(predictor_of(task, model).predict_batch(batch_of(task, model)), output.argmax(dim=2))
    with pytest.raises(ValueError, match=r"scores \[B, L, C\] are needed, see plstm_graph\.nn\.SequenceHead"):
        task.check(TinyModel(out_channels=2))
    with pytest.raises(ValueError, match="length must be at least 1 and divide the 7 output channels, got 2"):
        SequenceHead(PLSTM("atom", out_channels=7), 2)


def test_predictions_are_in_the_unit_of_the_data_and_batching_changes_nothing():
    task, model = made_task([[100.0], [300.0], [500.0]], "regression"), TinyModel()
    predictor, graphs = predictor_of(task, model), task.parts["train"]
    together, alone = predictor.predict(graphs), predictor.predict(graphs, batch_size=1)
    torch.testing.assert_close(together, alone)
    output = task.output(model, batch_of(task, model), task.needs(model)).detach()
    torch.testing.assert_close(together, output.double() * task.target.std + 300)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_no_target(dtype):
    """Targets that differ by less than half precision tells apart give the losses that they give in full precision."""

    class Narrow(torch.nn.Module):
        def forward(self, batch_size):
            return torch.ones(batch_size, 1, dtype=dtype)

    # On the scale that is learnt these are -1.2247, 0.0001, 1.2246, of which bfloat16 keeps two digits.
    task, model = made_task([[-1.0], [0.0001], [1.0]], "regression"), Narrow()
    _, loss = output_and_loss(task, model)
    expected = (1 - task.target.apply(torch.tensor([[-1.0], [0.0001], [1.0]]))).square().mean()
    assert loss.dtype == torch.float
    torch.testing.assert_close(loss, expected.float())


class PlainModel(torch.nn.Module):
    """What a PyG user has: no line graph, no batch size, sizes that the first batch sets."""

    def __init__(self, graph_level=True):
        super().__init__()
        self.conv = GCN(-1, 8, 2, out_channels=1)
        self.graph_level = graph_level

    def forward(self, x, edge_index, batch):
        x = self.conv(x.float(), edge_index)
        return torch.zeros(int(batch.max()) + 1, 1).index_add(0, batch, x) if self.graph_level else x


def plain_model(task, **arguments):
    with allow_names(["tests.tasks"]):
        return task.make_model({"class_path": f"{__name__}.PlainModel", "init_args": arguments})


def test_a_plain_pyg_model_works_without_line_graph():
    task = made_task([[1.0], [2.0]], "regression")
    model = plain_model(task)
    assert model.training
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
    batch = batch_of(task, model)
    assert not hasattr(batch, "line_graph")
    assert task.output(model, batch, task.needs(model)).shape == (2, 1)


def test_a_node_level_model_is_named_as_such():
    with pytest.raises(ValueError, match=r"the model gives \[5, 1\] where the targets are \[2, 1\]: a model of graphs"):
        plain_model(made_task([[1.0], [2.0]], "regression"), graph_level=False)


def test_wrong_number_of_targets():
    with pytest.raises(ValueError, match="out_channels=2 is needed"):
        made_task([[1.0, 2.0]], "regression").check(TinyModel(out_channels=1))


def test_a_target_never_measured_in_training():
    with pytest.raises(ValueError, match=r"targets number \[1\] have no measured value"):
        TargetScale.fit("standard", torch.tensor([[1.0, nan], [2.0, nan]]))
