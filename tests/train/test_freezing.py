"""Weights that stand still while others learn, or learn more slowly; a training that is stopped goes on as before."""

import pytest
import torch
from lightning.pytorch import Callback

from plstm_graph.nn.baselines import OGBGNN
from plstm_graph.train.freezing import Freezing, check_head, frozen_names, pretrained_body
from plstm_graph.train.optimizer import make_adamw
from plstm_graph.train.trainer_options import make_trainer
from plstm_graph.train.training import Training
from plstm_graph.train.transfer import start_of
from plstm_graph.train.trial import run_trial
from tests.train.test_engine import CPU, interrupt, silent, stop_at, written
from tests.train.tiny_task import PLSTM, tiny_task, tiny_trial

#: A network with dropout, and with norms that count their inputs.
_SPEC = {"class_path": PLSTM["class_path"], "init_args": PLSTM["init_args"] | {"norm": "batch"}}
_KINDS = {
    "encoder": {"freeze": "encoder"},
    "for some epochs": {"freeze": "all_but_head", "freeze_epochs": 2},
    "slower": {"encoder_lr": 1e-4},
    "all": {"freeze": "encoder", "freeze_epochs": 1, "encoder_lr": 1e-3, "members": 2, "average": 1.5},
}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A checkpoint to begin from."""
    trial = tiny_trial(tmp_path_factory.mktemp("old"), _SPEC, seed=1, epochs=2)
    run_trial(trial, tiny_task(), CPU, silent)
    return start_of(str(trial.folder / "best.ckpt"))


def _trial(folder, start, **training):
    trial = tiny_trial(folder, _SPEC, **training)
    object.__setattr__(trial, "init_from", start)
    return trial


def _weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


class _Watch(Callback):
    """Which modules are in training mode at each step, and the learning rates."""

    def __init__(self):
        self.training, self.rates = [], []

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        self.training.append({name for name, module in pl_module.model.named_modules() if module.training})
        self.rates.append([group["lr"] for group in optimizer.param_groups])


@pytest.fixture
def watch(monkeypatch):
    """Sees each training of a test from within."""
    watch = _Watch()

    def make(trainer, folder, epochs, callbacks, plugin):
        return make_trainer(trainer, folder, epochs, [*callbacks, watch], plugin)

    monkeypatch.setattr("plstm_graph.train.engine.make_trainer", make)
    return watch


@pytest.mark.parametrize("freeze", ["encoder", "all_but_head"])
def test_what_is_frozen_stays_as_it_was_bit_by_bit(freeze, start, watch, tmp_path):
    trial = _trial(tmp_path, start, freeze=freeze, weight_decay=0.5, keep="last")
    run_trial(trial, tiny_task(), CPU, silent)
    old, new = _weights(start["path"]), _weights(tmp_path / "best.ckpt")
    same = {name for name, value in new.items() if torch.equal(value, old[name])}
    # Norms count no inputs, and nothing decays; the head learns.
    assert same == {name for name in new if not name.startswith("head.")}
    assert any("running_mean" in name for name in same)
    assert all(not any(name.startswith("blocks") for name in names) for names in watch.training)
    assert all({"head", "head.2"} <= names for names in watch.training)


def test_what_learns_later_stands_still_until_then(start, watch, tmp_path):
    old = _weights(start["path"])
    for epochs, is_same in ((1, True), (2, True), (3, False)):
        watch.training.clear()
        folder = tmp_path / str(epochs)
        trial = _trial(folder, start, freeze="all_but_head", freeze_epochs=2, epochs=epochs, keep="last")
        run_trial(trial, tiny_task(), CPU, silent)
        new = _weights(folder / "best.ckpt")
        body = [name for name in new if name.startswith(("blocks", "norm", "node_encoder"))]
        assert all(torch.equal(new[name], old[name]) for name in body) == is_same
        trains = ["blocks.0" in names for names in watch.training]
        assert trains == [False] * (len(trains) * min(2, epochs) // epochs) + [True] * (len(trains) * (epochs > 2) // 3)


def test_the_rate_of_the_rest_is_smaller_all_along(start, watch, tmp_path):
    run_trial(_trial(tmp_path, start, encoder_lr=1e-3), tiny_task(), CPU, silent)
    assert len(watch.rates) > 10
    for rates in watch.rates:
        assert sorted(set(rates)) == pytest.approx([max(rates) / 10, max(rates)])
    assert max(max(rates) for rates in watch.rates) == pytest.approx(0.01)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_training_that_was_stopped_goes_on_to_the_same(kind, start, tmp_path):
    whole, stopped = (_trial(tmp_path / name, start, **_KINDS[kind]) for name in ("whole", "stopped"))
    run_trial(whole, tiny_task(False), CPU, silent)
    for epoch in (0, 2):
        with pytest.raises(KeyboardInterrupt):
            run_trial(stopped, tiny_task(False), CPU, stop_at([epoch], interrupt))
    run_trial(stopped, tiny_task(False), CPU, silent)
    assert written(stopped) == written(whole)


def test_groups_have_the_rates_that_names_are_given():
    model = OGBGNN(3, 8, 1, 1, edge_dim=2)
    rates = dict.fromkeys(pretrained_body(model, set(model.state_dict())), 0.001)
    groups = make_adamw(model, 0.1, 0.5, rates=rates).param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [
        (0.1, 0.5),
        (0.1, 0),
        (0.001, 0.5),
        (0.001, 0),
    ]
    assert {id(parameter) for group in groups[:2] for parameter in group["params"]} == set(
        map(id, model.head.parameters())
    )
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert len(make_adamw(model, 0.1, 0.5, rates=dict.fromkeys(rates, 0.1)).param_groups) == 2


def test_what_a_network_drops_by_itself_is_kept_where_all_of_it_stands_still():
    model = OGBGNN(3, 8, 2, 1, edge_dim=2, dropout=0.5)
    taken = set(model.state_dict()) - {"head.weight", "head.bias"}
    training = Training(freeze="all_but_head")
    freezing = Freezing(model, frozen_names(model, taken, training), None)
    assert any(module is model for module in freezing.modules)
    assert not any(module is model.head for module in freezing.modules)
    # A part with new weights learns, and so does what is around it.
    partly = Freezing(model, frozen_names(model, taken - {"convs.0.nn.0.weight"}, training), None)
    assert not any(module is model or module is model.convs[0] for module in partly.modules)
    assert any(module is model.convs[1] for module in partly.modules)


def test_without_a_head_nobody_can_tell_what_is_frozen():
    model = torch.nn.Linear(2, 1)
    check_head(model, Training())
    for training in (Training(freeze="encoder"), Training(encoder_lr=1e-4)):
        with pytest.raises(ValueError, match="Linear has no part called `head`"):
            check_head(model, training)


@pytest.mark.parametrize(
    "options",
    [{"freeze": "half"}, {"freeze_epochs": 2}, {"freeze": "encoder", "freeze_epochs": 0}, {"encoder_lr": 0.0}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(reversed(options)))):
        Training(**options)
