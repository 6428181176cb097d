"""The compact training loop: selection, resuming, failures."""

import pytest
import torch
from torch.nn import functional as F
from torch_geometric.data import Batch, Data

from plstm_graph.nn import Ensemble
from plstm_graph.train.averaging import WeightAverage
from plstm_graph.train.loop import train_epochs
from plstm_graph.train.optimizer import make_adamw, warmup_cosine

nan, inf = float("nan"), float("inf")


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(3, 1)
        self.dropout = torch.nn.Dropout(0.5)

    def reset_parameters(self):
        self.lin.reset_parameters()

    def forward(self, x, batch, batch_size):
        return self.lin(self.dropout(x)).new_zeros(batch_size, 1).index_add(0, batch, self.lin(self.dropout(x)))


def batches(epoch):
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(3):
        graphs = [
            Data(x=torch.randn(4, 3, generator=generator), edge_index=torch.zeros(2, 0, dtype=torch.long))
            for _ in range(5)
        ]
        batch = Batch.from_data_list(graphs)
        batch.y = batch.x.view(5, 12).sum(dim=1, keepdim=True)
        yield batch


def train(epochs=6, values=None, model=None, evaluate=None, **options):
    torch.manual_seed(0)
    model = Model() if model is None else model
    optimizer = make_adamw(model, 0.1, 0.01)
    scored = iter(values or range(100))
    best = train_epochs(
        model,
        optimizer,
        warmup_cosine(optimizer, 18, 0.1, 0.0),
        batches,
        lambda output, target: F.mse_loss(output, target.expand(output.shape)),
        epochs,
        evaluate or (lambda model: {"score": float(next(scored)), "loss": float(model.lin.weight.square().sum())}),
        **({"monitor": {"score": "max"}} | options),
    )
    return best, model


@pytest.mark.parametrize(
    ("values", "mode", "epoch"),
    [
        ([1, 3, 2, 3, 0, 1], "max", 1),
        ([3, 1, 2, 1, 4, 3], "min", 1),
        ([nan, nan, 1, nan, 0, nan], "max", 2),
        ([inf, nan, 2, -inf, 3, inf], "max", 4),
    ],
)
def test_the_best_epoch_is_kept(values, mode, epoch):
    rows = []
    best, model = train(values=values, monitor={"score": mode}, on_epoch=rows.append)
    assert best.epoch == epoch
    assert best.row == rows[epoch]
    weight = best.state_dict["lin.weight"].square().sum()
    assert float(weight) == pytest.approx(rows[epoch]["loss"])
    assert not torch.equal(best.state_dict["lin.weight"], model.lin.weight)


@pytest.mark.parametrize("values", [[nan] * 6, [inf] * 6, [nan, inf, -inf] * 2])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_an_undefined_metric_selects_nothing(values, mode):
    with pytest.raises(FloatingPointError, match=r"score was .* in every epoch, so none could be selected"):
        train(values=values, monitor={"score": mode})


def test_a_second_metric_breaks_ties():
    rows = []
    best, _ = train(values=[1] * 6, monitor={"score": "max", "loss": "min"}, on_epoch=rows.append)
    assert best.epoch == min(range(6), key=lambda epoch: rows[epoch]["loss"])
    assert best.epoch > 0


def test_each_member_of_an_ensemble_is_kept_at_its_own_best_epoch():
    ensemble = Ensemble(Model(), 2)
    scores = iter([1, 6, 2, 5, 3, 4, 0])  # of both members after each of three epochs, then of what was put together
    own = {}

    def evaluate(model):
        score = next(scores)
        own[score] = [weight.clone() for weight in model.state_dict().values()]
        return {"score": float(score)}

    rows = []
    best, _ = train(epochs=3, model=ensemble, evaluate=evaluate, on_epoch=rows.append)
    assert [row["score"] for row in rows] == [3.5, 3.5, 3.5]
    assert (best.epoch, best.row["score"]) == (2, 0)
    # The second member was best in the first epoch, the first one in the last. Exact: copies.
    kept = list(best.state_dict.values())
    for number, score in enumerate((3, 6)):
        assert all(map(torch.equal, kept[2 * number : 2 * number + 2], own[score]))
    assert all(map(torch.equal, kept, own[0]))
    assert not torch.equal(best.state_dict["members.1.lin.weight"], ensemble.members[1].lin.weight)


def test_patience_ends_a_training():
    rows = []
    best, _ = train(values=[1, 2, 0, 0, 0, 5], patience=3, on_epoch=rows.append)
    assert (best.epoch, len(rows)) == (1, 5)


def test_training_metrics_come_from_the_training_pass():
    rows = []
    train(epochs=2, train_metrics=lambda output, target: {"rows": float(len(output))}, on_epoch=rows.append)
    assert [row["train/rows"] for row in rows] == [15, 15]
    assert rows[0]["train/loss"] > 0


@pytest.mark.parametrize("average_steps", [0, 4])
def test_a_resumed_training_ends_as_an_uninterrupted_one(tmp_path, average_steps):
    straight, model = train(average_steps=average_steps)
    path = tmp_path / "state.pt"

    def stop_in_epoch_4(row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=path, on_epoch=stop_in_epoch_4, average_steps=average_steps)
    rows = []
    resumed, resumed_model = train(
        values=range(4, 100), checkpoint=path, on_epoch=rows.append, average_steps=average_steps
    )
    assert [row["epoch"] for row in rows] == list(range(6))
    assert resumed.epoch == straight.epoch == 5
    # Exact: the same operations in the same order on one machine. A tolerance would hide what was not restored,
    # and is no use either: where a gradient is nothing but rounding, Adam makes full steps of it.
    assert torch.equal(model.lin.weight, resumed_model.lin.weight)
    assert torch.equal(straight.state_dict["lin.weight"], resumed.state_dict["lin.weight"])
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


def test_average_looks_back_over_some_steps_and_leaves_the_model_alone():
    model = torch.nn.Linear(1, 1)
    model.weight.data.fill_(1.0)
    average = WeightAverage(model, steps=10)
    values = []
    for _ in range(200):
        average.update(model)
        with average.applied(model):
            values.append(model.weight.item())
        assert model.weight.item() == 1.0
    assert values == [pytest.approx(1.0)] * 200
    model.weight.data.fill_(2.0)
    for step in range(1, 21):
        average.update(model)
        with average.applied(model):
            assert model.weight.item() == pytest.approx(2 - 0.9**step)
    with pytest.raises(ValueError, match=r"at least 1 step, got 0\.5"):
        WeightAverage(model, steps=0.5)


def test_an_average_soon_follows_a_young_model():
    model = torch.nn.Linear(1, 1)
    average = WeightAverage(model, steps=1000)
    for value in range(20):
        model.weight.data.fill_(float(value))
        average.update(model)
    with average.applied(model):
        assert 10 < model.weight.item() < 19


def test_the_averaged_weights_are_kept():
    straight, model = train(average_steps=20)
    assert not torch.equal(straight.state_dict["lin.weight"], model.lin.weight)


def test_a_loss_that_is_not_finite():
    model = Model()
    model.lin.bias.data.fill_(nan)
    before = model.lin.weight.detach().clone()
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 1"):
        train(model=model)
    assert torch.equal(model.lin.weight, before)  # exact: no step was made


def test_no_epochs():
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        train(epochs=0)
