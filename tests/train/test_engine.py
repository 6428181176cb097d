"""The engine: a training that is stopped anywhere goes on to the same weights; what is kept; what is refused."""

import csv
import json
import math
import os
import signal

import pytest
import torch

from plstm_graph.cli import Terminated
from plstm_graph.tasks.graph_task import GraphTask
from plstm_graph.train.callbacks import Averaging
from plstm_graph.train.engine import TrainingModule
from plstm_graph.train.trainer_options import check_trainer
from plstm_graph.train.trial import run_trial
from tests.processes import fork
from tests.train.tiny_task import BAG, PLSTM, tiny_task, tiny_trial

CPU = {"accelerator": "cpu"}
#: What a training that goes on has to remember, each by itself and together.
KINDS = {
    "dropout": {},
    "averaged": {"average": 1.5},
    "members": {"members": 2},
    "patience": {"patience": 2, "lr": 0.3, "epochs": 9},
    "all": {"average": 1.5, "members": 3, "patience": 4, "warmup_fraction": 0.3},
}


def silent(row):
    pass


def written(trial):
    """What is left of a training, without times and memory: results, epochs and weights."""
    result = {name: value for name, value in trial.result.items() if "seconds" not in name and "peak" not in name}
    lines = (trial.folder / "epochs.jsonl").read_text().splitlines()
    epochs = [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]
    weights = torch.load(trial.folder / "best.ckpt", weights_only=True)["state_dict"]
    return result, epochs, {name: value.numpy().tobytes() for name, value in weights.items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What trainings without a stop leave, made once."""
    made = {}

    def of(kind, fixed=True):
        if (kind, fixed) not in made:
            trial = tiny_trial(tmp_path_factory.mktemp("whole"), **KINDS[kind])
            run_trial(trial, tiny_task(fixed), CPU, silent)
            assert not (trial.folder / "last.ckpt").exists()
            made[kind, fixed] = written(trial)
        return made[kind, fixed]

    return of


def stop_at(epochs, how):
    """A report that stops the training when it hears of one of these epochs."""

    def report(row):
        if row["epoch"] in epochs:
            epochs.remove(row["epoch"])
            how()

    return report


def interrupt():
    raise KeyboardInterrupt


def ask_to_end():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def terminable():
    """SIGTERM as the command has it."""

    def terminate(number, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("kind", "fixed", "how"),
    [(kind, False, interrupt) for kind in KINDS] + [(kind, True, ask_to_end) for kind in KINDS],
)
def test_a_training_that_was_stopped_goes_on_to_the_same(kind, fixed, how, undisturbed, tmp_path, terminable):
    """Bit by bit: the same arithmetic, with pauses; batches that are made once, and such as are drawn anew."""
    stops = [1, 3] if fixed else [0]
    trial, report = tiny_trial(tmp_path, **KINDS[kind]), stop_at(list(stops), how)
    for _ in stops:
        with pytest.raises(KeyboardInterrupt if how is interrupt else Terminated):
            run_trial(trial, tiny_task(fixed), CPU, report)
        assert trial.result is None
    run_trial(trial, tiny_task(fixed), CPU, report)
    assert written(trial) == undisturbed(kind, fixed)
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / "last.ckpt").exists()


def test_handlers_of_signals_come_back(tmp_path, terminable):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    trial = tiny_trial(tmp_path, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        run_trial(trial, tiny_task(), CPU, stop_at([1], interrupt))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    run_trial(trial, tiny_task(), CPU, silent)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_be_killed(folder, kind, epoch, threads):
    torch.set_num_threads(threads)
    run_trial(tiny_trial(folder, **KINDS[kind]), tiny_task(), CPU, stop_at([epoch], kill))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_was_killed_goes_on_to_the_same(kind, undisturbed, tmp_path):
    """By kill -9, after an epoch was written down and before it was kept."""
    process = fork(run_and_be_killed, tmp_path, kind, 2, torch.get_num_threads())
    process.join()
    assert process.exitcode == -signal.SIGKILL
    trial = tiny_trial(tmp_path, **KINDS[kind])
    assert (tmp_path / "last.ckpt").is_file() and trial.result is None
    run_trial(trial, tiny_task(), CPU, silent)
    assert written(trial) == undisturbed(kind)


@pytest.mark.parametrize("kind", ["averaged", "members", "patience"])
def test_a_training_that_was_killed_behind_its_last_epoch_trains_no_more(kind, undisturbed, tmp_path, monkeypatch):
    """All epochs are kept, the result is not written yet; with patience, it ran out before."""
    trial = tiny_trial(tmp_path, **KINDS[kind])
    with monkeypatch.context() as patched:
        patched.setattr("plstm_graph.train.trial.replace_file", lambda *args: interrupt())
        with pytest.raises(KeyboardInterrupt):
            run_trial(trial, tiny_task(), CPU, silent)
    heard = []
    run_trial(trial, tiny_task(), CPU, heard.append)
    assert heard == [] and written(trial) == undisturbed(kind)


def test_patience_ends_a_training_early(undisturbed):
    result, epochs, _ = undisturbed("patience")
    assert len(epochs) == result["epochs"] == result["epoch"] + 2 < 9


@pytest.mark.parametrize("average", [0.0, 1.5])
def test_each_member_keeps_its_own_best_epoch(average, tmp_path, monkeypatch):
    """Scores by a script, one column for each member, from which the epochs that must be kept follow."""
    script = [[3.0, 2.0, 5.0], [1.0, 4.0, 5.0], [2.0, math.nan, 4.0], [1.0, 1.0, 4.0]]
    states = []

    def rows(module):
        module._evaluated = []
        states.append([{name: value.clone() for name, value in each.state_dict().items()} for each in module.members])
        return [{"valid/rmse": value, "valid/mae": 0.0} for value in script[len(states) - 1]]

    monkeypatch.setattr(TrainingModule, "validation_rows", rows)
    trial = tiny_trial(tmp_path, epochs=4, members=3, average=average)
    result = run_trial(trial, tiny_task(), CPU, silent)
    kept = torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"]
    for member, epoch in enumerate([1, 3, 2]):
        state = states[epoch][member]
        assert all(torch.equal(kept[f"members.{member}.{name}"], value) for name, value in state.items())
    assert result["epoch"] == 4 and result["epochs"] == 4


def test_averaged_weights_are_validated_and_kept(tmp_path, monkeypatch):
    """Against averages that are taken by hand, of the weights after each step."""
    steps, validated = [], []
    move, rows = Averaging._move, TrainingModule.validation_rows

    def watch(self, averages, current, number):
        steps.append([value.clone() for value in current])
        move(self, averages, current, number)

    def look(self):
        validated.append([value.clone() for value in self.parameters()])
        return rows(self)

    monkeypatch.setattr(Averaging, "_move", watch)
    monkeypatch.setattr(TrainingModule, "validation_rows", look)
    trial = tiny_trial(tmp_path, spec=BAG, epochs=3, average=1.5)
    result = run_trial(trial, tiny_task(), CPU, silent)
    assert len(validated) == 3
    # The first of twelve steps is copied; the others move the average. Buffers stand behind the parameters.
    per_epoch, span = 4, 6.0
    assert len(steps) == 3 * per_epoch - 1
    kept = list(torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"].values())
    for one, other in zip(kept, validated[result["epoch"] - 1], strict=True):
        assert torch.equal(one, other)
    for epoch in (1, 2):
        first = validated[epoch - 1]
        for number in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            share = max(1 / span, 9 / (10 + number))
            first = [old + share * (new - old) for old, new in zip(first, steps[number - 1], strict=False)]
        for one, other in zip(first, validated[epoch], strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("call", [1, 3, 6])
def test_a_loss_that_is_not_finite_stops_before_weights_change(value, call, tmp_path, monkeypatch):
    loss, found, modules = GraphTask.loss, [], []
    setup = TrainingModule.configure_optimizers

    def broken(self, output, batch):
        total, count = loss(self, output, batch)
        found.append([each.detach().clone() for each in modules[0].parameters()])
        return (total * 0 + value, count) if len(found) == call else (total, count)

    def watch(self):
        modules.append(self)
        return setup(self)

    monkeypatch.setattr(GraphTask, "loss", broken)
    monkeypatch.setattr(TrainingModule, "configure_optimizers", watch)
    epoch = 1 + (call - 1) // 4
    with pytest.raises(FloatingPointError, match=rf"the loss is {value} in epoch {epoch}, step {call}\..*lower lr"):
        run_trial(tiny_trial(tmp_path, epochs=3), tiny_task(), CPU, silent)
    assert all(torch.equal(one, other) for one, other in zip(found[-1], modules[0].parameters(), strict=True))
    assert (tmp_path / "last.ckpt").is_file() == (epoch > 1)


def test_a_metric_that_is_never_finite_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(GraphTask, "score", lambda self, output, **columns: {"rmse": math.nan, "mae": 1.0})
    with pytest.raises(FloatingPointError, match=r"valid/rmse was nan in every epoch"):
        run_trial(tiny_trial(tmp_path, epochs=2), tiny_task(), CPU, silent)


@pytest.mark.parametrize("spec", [PLSTM, BAG])
def test_half_precision(spec, tmp_path):
    """The same task is learnt, with other rounding."""
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        rows = []
        run_trial(
            tiny_trial(tmp_path / precision, spec, epochs=2), tiny_task(), CPU | {"precision": precision}, rows.append
        )
        losses[precision] = [row["train/loss"] for row in rows]
    one, other = losses.values()
    assert one != other
    # bfloat16 has 8 bits, and a loss of O(1) passes some ten layers.
    assert other == pytest.approx(one, rel=0.2)


@pytest.mark.parametrize("name", ["CSVLogger", "TensorBoardLogger"])
def test_loggers_are_given_all_epochs(name, tmp_path):
    if name == "TensorBoardLogger":
        pytest.importorskip("tensorboard")
    options = {"class_path": f"lightning.pytorch.loggers.{name}", "init_args": {"save_dir": str(tmp_path / "log")}}
    rows = []
    run_trial(tiny_trial(tmp_path / "run", epochs=3), tiny_task(), CPU | {"logger": options}, rows.append)
    (file,) = [path for path in (tmp_path / "log").rglob("*") if path.suffix == ".csv" or "tfevents" in path.name]
    if file.suffix == ".csv":
        read = [float(row["valid/rmse"]) for row in csv.DictReader(file.read_text().splitlines())]
        assert read == pytest.approx([row["valid/rmse"] for row in rows], rel=1e-6)
    else:
        assert file.stat().st_size > 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"presision": "bf16-mixed"}, r"no option trainer\.presision \(did you mean precision\?\)"),
        ({"precision": "half"}, r"trainer\.precision cannot be 'half'"),
        ({"max_epochs": 3}, r"trainer\.max_epochs is for the engine to decide: training\.epochs"),
        ({"gradient_clip_val": 1.0}, r"trainer\.gradient_clip_val .*training\.clip"),
        ({"limit_train_batches": 0}, r"trainer\.limit_train_batches must be a positive number, got 0"),
        ({"accumulate_grad_batches": -1}, r"trainer\.accumulate_grad_batches must be a positive number"),
        ({"devices": "many"}, r"devices"),
        ({"strategy": "fsdp"}, r"cannot be used here: .*fsdp"),
        ({"callbacks": [{"class_path": "os.system"}]}, r"os\.system may not be named by a file"),
        ({"devices": 2, "strategy": "ddp"}, r"2 trials cannot run at the same time if each takes 2 processes"),
    ],
)
def test_options_of_the_trainer_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        check_trainer(CPU | options, workers=2)


def test_options_that_decide_numbers():
    given = CPU | {"precision": "bf16-mixed", "logger": True, "accumulate_grad_batches": 2}
    assert check_trainer(given, 1) == {"precision": "bf16-mixed", "accumulate_grad_batches": 2}


@pytest.mark.parametrize("objective", ["mse", "l1", "cross_entropy"])
def test_losses_of_members_are_means_over_them(objective):
    task = tiny_task()
    task.objective, task.out_channels = objective, 4 if objective == "cross_entropy" else 1
    target = torch.tensor([[1.0], [math.nan], [3.0], [0.0]])
    outputs = torch.randn(3, 4, task.out_channels, generator=torch.Generator().manual_seed(1))
    total, count = task.loss_of(outputs, target)
    each = [task.loss_of(output, target) for output in outputs]
    torch.testing.assert_close(total / count, torch.stack([loss / number for loss, number in each]).mean())
    assert count == 9 and all(number == 3 for _, number in each)
