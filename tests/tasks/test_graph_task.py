import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F
from torch_geometric.data import Batch
from torch_geometric.nn import GCN

from plstm_graph.datasets import smiles_to_data
from plstm_graph.nn import PLSTM, SequenceHead
from plstm_graph.predict.predictor import predict
from plstm_graph.train import GraphModule, evaluate
from plstm_graph.transforms import ToDAG
from tests.train.tiny_model import TinyModel

nan = float("nan")


def _graphs(targets):
    graphs = [ToDAG()(smiles_to_data("C" * (i + 1) + "O")) for i in range(len(targets))]
    for graph, target in zip(graphs, targets, strict=True):
        graph.y = torch.tensor([target])
    return graphs


def _loss(module, batch):
    output = module(module.on_before_batch_transfer(batch, 0))
    total, count = module._loss(output, batch.y)
    return output, total / count


def test_loss_is_the_mean_over_measured_targets():
    module = GraphModule(TinyModel(out_channels=2, dropout=0))
    batch = Batch.from_data_list(_graphs([[1.0, nan], [2.0, 5.0], [nan, 7.0]]))
    module.standardise(batch.y)
    assert module.scale.mean.tolist() == pytest.approx([1.5, 6.0])
    assert module.scale.std.tolist() == pytest.approx([0.5, 1.0])
    output, loss = _loss(module, batch)
    standardised = [(output[0, 0], -1), (output[1, 0], 1), (output[1, 1], -1), (output[2, 1], 1)]
    assert loss.item() == pytest.approx(sum((o - t).item() ** 2 for o, t in standardised) / 4)
    loss.backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in module.parameters())


def test_classification_loss_masks_missing_labels():
    module = GraphModule(TinyModel(out_channels=2, dropout=0), task="classification")
    batch = Batch.from_data_list(_graphs([[1.0, nan], [0.0, 1.0]]))
    output, loss = _loss(module, batch)
    known = torch.stack([output[0, 0], output[1, 0], output[1, 1]])
    expected = F.binary_cross_entropy_with_logits(known, torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(module.predict_batch(batch), output.double().sigmoid())


def test_a_sequence_is_a_class_at_each_position():
    module = GraphModule(SequenceHead(TinyModel(out_channels=6, dropout=0), 2), task="sequence")
    batch = Batch.from_data_list(_graphs([[0.0, 2.0], [1.0, nan]]))
    output, loss = _loss(module, batch)
    assert output.shape == (2, 2, 3)
    expected = F.cross_entropy(output.flatten(0, 1)[:3], torch.tensor([0, 2, 1]))
    torch.testing.assert_close(loss, expected)
    assert torch.equal(module.predict_batch(batch), output.argmax(dim=2))
    assert evaluate(torch.tensor([[0, 1]]), torch.tensor([[0, 2]]), "sequence") == {"accuracy": 0.5}
    with pytest.raises(ValueError, match=r"scores \[B, L, C\] are needed"):
        _loss(GraphModule(TinyModel(out_channels=2), task="sequence"), batch)
    with pytest.raises(ValueError, match="length must be at least 1 and divide the 7 output channels, got 2"):
        SequenceHead(PLSTM(7), 2)


def test_predictions_are_in_the_unit_of_the_data_and_batching_changes_nothing():
    module = GraphModule(TinyModel())
    graphs = _graphs([[100.0], [300.0], [500.0]])
    module.standardise(torch.cat([graph.y for graph in graphs]))
    together, alone = predict(module, graphs), predict(module, graphs, batch_size=1)
    torch.testing.assert_close(together, alone)
    output = module(module.on_before_batch_transfer(Batch.from_data_list(graphs), 0))
    torch.testing.assert_close(together, output.double() * module.scale.std + 300)


class _PlainModel(torch.nn.Module):
    """What a PyG user has: no line graph, no batch size, lazy sizes."""

    def __init__(self, graph_level=True):
        super().__init__()
        self.conv = GCN(-1, 8, 2, out_channels=1)
        self.graph_level = graph_level

    def forward(self, x, edge_index, batch):
        x = self.conv(x.float(), edge_index)
        return torch.zeros(int(batch.max()) + 1, 1).index_add(0, batch, x) if self.graph_level else x


def test_a_plain_pyg_model_works_without_line_graph():
    module = GraphModule(_PlainModel())
    batch = Batch.from_data_list(_graphs([[1.0], [2.0]]))
    module.dry_run(batch)
    assert not hasattr(batch, "line_graph")
    assert module.training
    assert sum(parameter.numel() for parameter in module.parameters()) > 0


def test_a_node_level_model_is_named_as_such():
    module = GraphModule(_PlainModel(graph_level=False))
    with pytest.raises(ValueError, match=r"the model gives \[5, 1\] where the targets are \[B, T\] = \[2, 1\]"):
        module.dry_run(Batch.from_data_list(_graphs([[1.0], [2.0]])))


def test_wrong_number_of_targets():
    module = GraphModule(TinyModel(out_channels=1))
    with pytest.raises(ValueError, match="out_channels=2 is needed"):
        module.dry_run(Batch.from_data_list(_graphs([[1.0, 2.0]])))


def test_a_nan_loss_stops_training():
    module = GraphModule(TinyModel())
    module.model.head.bias.data.fill_(nan)
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 0, step 0"):
        module.dry_run(Batch.from_data_list(_graphs([[1.0]])))


def test_a_target_never_measured_in_training():
    with pytest.raises(ValueError, match=r"targets number \[1\] have no measured value"):
        GraphModule(TinyModel()).standardise(torch.tensor([[1.0, nan], [2.0, nan]]))


def test_vectors_do_not_decay():
    module = GraphModule(TinyModel(), weight_decay=0.1)
    module._trainer = SimpleNamespace(estimated_stepping_batches=10)
    matrices, vectors = module.configure_optimizers()["optimizer"].param_groups
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)
    assert {p.dim() for p in vectors["params"]} <= {0, 1}
    module._trainer = SimpleNamespace(estimated_stepping_batches=math.inf)
    with pytest.raises(ValueError, match="max_epochs"):
        module.configure_optimizers()


@pytest.mark.parametrize("arguments", [{"task": "ranking"}, {"lr": 0.0}, {"warmup": 1.0}, {"final_lr": 2.0}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        GraphModule(TinyModel(), **arguments)
