"""Training of image models: order of images, resuming, learning, tests."""

import json

import pytest
import torch

from plstm_graph.datasets.images.augmentation import Augmentation
from plstm_graph.datasets.images.sets import ImageArrays
from plstm_graph.tasks.batches import EpochBatches, cut, epoch_rows
from plstm_graph.tasks.image_task import (
    ImageTask,
    averaged_output,
    image_batches,
    image_loader,
    views,
)
from plstm_graph.tasks.registry import load_task
from plstm_graph.tasks.task import Shard
from plstm_graph.testing import assert_close
from plstm_graph.train.engine import outputs_of
from plstm_graph.train.training import Training
from plstm_graph.train.trial import Trial, run_trial, trained_model
from plstm_graph.train.trial import test_trial as evaluate
from tests.rounding import rounding

CPU = torch.device("cpu")
MODEL = {
    "class_path": "plstm_graph.nn.PLSTMVision",
    "init_args": {"patch_size": 4, "hidden_channels": 16, "num_layers": 2, "heads": 2},
}


def halves(count, seed):
    """Images that are bright at the top (label 0) or at the bottom (label 1)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (count,), generator=generator)
    images = torch.randint(0, 100, (count, 1, 16, 16), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, 8 * label : 8 * label + 8] += 80
    return ImageArrays(images, labels, ("top", "bottom"))


def make_task(**options):
    return ImageTask(
        name="halves",
        parts={
            "train": halves(96, 10),
            "valid": halves(32, 1),
            "valid_more": halves(8, 4),
            "test": halves(64, 2),
            "test_more": halves(8, 3),
        },
        classes=("top", "bottom"),
        channels=1,
        image_size=16,
        drawn=lambda seed: halves(96, 10 + seed),
        **options,
    )


@pytest.fixture(scope="module")
def task():
    return make_task()


def trial_of(folder, seed=0, **options):
    usual = {"epochs": 4, "batch_size": 16, "lr": 3e-3, "weight_decay": 0.05, "warmup_fraction": 0.02, "final_lr": 1e-3}
    training = Training(**usual | options)
    return Trial(model="vision", spec=MODEL, task={"name": "halves"}, training=training, seed=seed, folder=folder)


def run(task, folder, report=lambda row: None, trainer=None, **options):
    trial = trial_of(folder, **options)
    return run_trial(trial, task, {"accelerator": "cpu"} | (trainer or {}), report), trial


def epochs(folder):
    return [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]


def weights(folder):
    return torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]


def accuracy(model, task, part="valid"):
    with torch.no_grad():
        batches = task.batches(part, None, 16, CPU, Shard())
        output, columns = outputs_of(model.eval(), batches, task)
    return task.score(output, **columns)["accuracy"]


def test_it_learns_and_tests(task, tmp_path):
    result, trial = run(task, tmp_path)
    assert result["valid"]["accuracy"] > 0.9
    assert result["parameters"] == sum(parameter.numel() for parameter in task.make_model(MODEL).parameters())
    tested = evaluate(trial, task, CPU)
    assert tested["test"]["accuracy"] > 0.9
    assert set(tested) == {"test", "test_more"} and set(tested["test"]) == {"accuracy", "seconds"}
    lines = epochs(tmp_path)
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]
    assert result["validations"]["valid_more"]["accuracy"] > 0.8
    assert not any("valid_more" in name for line in lines for name in line)
    assert result["valid"]["accuracy"] == max(line["valid/accuracy"] for line in lines)
    assert not (tmp_path / "last.ckpt").exists()
    assert run(task, tmp_path)[0] == result
    assert evaluate(trial, task, CPU) == tested


@pytest.mark.parametrize(("augmentation", "options"), [({}, {}), ({"flip": True}, {"average": 1.0, "workers": 1})])
def test_resumed_training_goes_on_as_if_never_stopped(tmp_path, augmentation, options):
    """Also what chance decides: mirrored images, and which images an epoch has."""
    if augmentation:
        pytest.importorskip("kornia")
    task = make_task(augmentation=Augmentation(**augmentation), epoch_images=40)

    def stop(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    whole, _ = run(task, tmp_path / "whole", epochs=3, **options)
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path / "cut", stop, epochs=3, **options)
    assert (tmp_path / "cut" / "last.ckpt").is_file()
    seen = []
    resumed, _ = run(task, tmp_path / "cut", seen.append, epochs=3, **options)
    assert [row["epoch"] for row in seen] == [1, 2]
    assert [row["epoch"] for row in epochs(tmp_path / "cut")] == [0, 1, 2]
    times = {"seconds": 0, "seconds_per_epoch": 0, "peak_memory_mib": 0}
    assert resumed | times == whole | times
    losses = [[row["train/loss"] for row in epochs(tmp_path / name)] for name in ("whole", "cut")]
    assert losses[0] == losses[1]
    first, second = (weights(tmp_path / name) for name in ("whole", "cut"))
    # Exact: the same operations in the same order on one machine. A tolerance would hide what was not restored,
    # and is no use either: where a gradient is nothing but rounding, Adam makes full steps of it.
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_last_weights_on_demand(task, tmp_path):
    result, trial = run(task, tmp_path, epochs=3, keep="last")
    assert result["epoch"] == 3
    last = epochs(tmp_path)[-1]
    assert result["valid"]["accuracy"] == last["valid/accuracy"]
    assert accuracy(trained_model(trial, task, CPU), task) == last["valid/accuracy"]


def test_bfloat16_is_close_to_float32(task, tmp_path):
    result, trial = run(task, tmp_path, trainer={"precision": "bf16-mixed"})
    assert result["valid"]["accuracy"] > 0.9
    assert all(weight.dtype == torch.float32 for weight in weights(tmp_path).values())
    model = trained_model(trial, task, CPU)
    batches = list(task.batches("test", None, 16, CPU, Shard()))
    narrow, wide = (outputs_of(model, iter(batches), task, precision)[0] for precision in ("bf16-mixed", "32-true"))
    assert narrow.dtype == wide.dtype == torch.float32
    assert not torch.equal(narrow, wide), "tests have the precision of the training"
    # Eight bits of each product of matrices, in two layers.
    torch.testing.assert_close(narrow, wide, rtol=0.1, atol=0.1)


def test_symmetries_change_what_comes_after_training_only(task, tmp_path):
    """Top and bottom cannot be told apart from all sides."""
    of_8, of_4 = make_task(symmetries=8), make_task(symmetries=4)
    plain, _ = run(task, tmp_path / "plain")
    averaged, trial = run(of_8, tmp_path / "averaged")
    first, second = (weights(tmp_path / name) for name in ("plain", "averaged"))
    # Exact: the same operations in the same order on one machine. A tolerance would hide that something was drawn,
    # and is no use either: where a gradient is nothing but rounding, Adam makes full steps of it.
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert averaged["epoch"] == plain["epoch"]
    lines = [[row["valid/accuracy"] for row in epochs(tmp_path / name)] for name in ("plain", "averaged")]
    assert lines[0] == lines[1]
    model = trained_model(trial, of_8, CPU)
    classifier = of_8.classifier(model)
    x = torch.rand(6, 1, 16, 16)
    output = averaged_output(classifier, x, 8)
    assert torch.equal(of_8.answer(model, {"x": x}, None), output)  # exact: the same call
    torch.testing.assert_close(output, sum(classifier(view) for view in views(x, 8)) / 8)
    for view in views(x, 8):
        torch.testing.assert_close(averaged_output(classifier, view, 8), output)
    turned = {"x": x.rot90(1, (2, 3))}
    torch.testing.assert_close(of_4.answer(model, turned, None), averaged_output(classifier, x, 4))
    assert_close(averaged_output(classifier, x, 1), classifier(x), rounding(torch.float32, 16), "a single view")
    assert averaged["valid"]["accuracy"] == accuracy(model, of_8)
    assert averaged["valid"]["accuracy"] < 0.8 < plain["valid"]["accuracy"]
    assert averaged["validations"]["valid_more"]["accuracy"] == accuracy(model, of_8, "valid_more")


@pytest.mark.parametrize("count", [1, 4, 8])
def test_views_are_all_different(count):
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert len({str(view.tolist()) for view in views(x, count)}) == count


def test_epochs_are_stretches_of_permutations():
    rows = [epoch_rows(10, 4, epoch, seed=3) for epoch in range(5)]
    flat = [row for each in rows for row in each]
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))
    assert flat[:10] != flat[10:]
    assert epoch_rows(10, 4, 3, seed=3) == rows[3]
    assert epoch_rows(10, 4, 0, seed=4) != rows[0]
    assert sorted(epoch_rows(3, 7, 0, seed=0)) == [0, 0, 0, 1, 1, 1, 2] or len(epoch_rows(3, 7, 0, seed=0)) == 7


@pytest.mark.parametrize("epoch", [0, 3])
def test_batches_of_an_epoch(epoch):
    batches = EpochBatches(10, 4, seed=3, per_epoch=9)
    batches.set_epoch(epoch)
    assert list(batches) == list(batches)
    assert [len(batch) for batch in batches] == [4, 5] and len(batches) == 2
    assert [row for batch in batches for row in batch] == epoch_rows(10, 9, epoch, seed=3)


@pytest.mark.parametrize(("count", "size", "processes"), [(10, 4, 2), (9, 4, 2), (11, 4, 2), (13, 6, 3), (3, 8, 2)])
def test_processes_share_each_batch(count, size, processes):
    rows = list(range(count))
    shares = [cut(rows, size, Shard(rank, processes)) for rank in range(processes)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(row for share in shares for batch in share for row in batch) == rows
    # Batch norm cannot take a single image.
    assert all(len(batch) > 1 for share in shares for batch in share) or count < 2 * processes


def test_batches(task):
    images = task.parts["valid"]
    batches = [task.changed(batch) for batch in image_loader(images, cut([5, 3, 8, 2, 1], 2, Shard()), 0, CPU)]
    assert [len(batch["x"]) for batch in batches] == [2, 3]
    torch.testing.assert_close(batches[0]["x"][1], images[3][0] / 255)
    assert batches[0]["y"].argmax(dim=1).tolist() == [images[5][1], images[3][1]]


def test_workers_give_the_same_batches(task):
    images = task.parts["valid"]
    alone, together = ([batch["x"] for batch in image_batches(images, 4, CPU, None, workers)] for workers in (0, 2))
    # Exact: bytes.
    assert all(torch.equal(first, second) for first, second in zip(alone, together, strict=True))


@pytest.mark.parametrize(("side", "batch"), [(16, 8), (32, 2), (8, 8), (64, 1)])
def test_larger_images_come_in_smaller_batches(side, batch):
    images = ImageArrays(torch.zeros(10, 1, side, side, dtype=torch.uint8), torch.zeros(10).long(), ("top", "bottom"))
    task = make_task()
    task.parts = {**task.parts, "test_side": images}
    assert len(next(iter(task.batches("test_side", None, 8, CPU, Shard())))["x"]) == batch


def test_arrows_have_all_parts():
    task = load_task("arrows", num_train=6, num_valid=5, num_test=4, test_sizes=[128, 512], num_per_size=3)
    sizes = {name: (len(part), part.image_size, part.seed) for name, part in task.parts.items()}
    assert sizes == {
        "train": (6, 192, 42),
        "valid": (5, 192, 100_042),
        "valid_ext": (5, 384, 100_043),
        "test": (4, 192, 200_042),
        "test_ext": (4, 384, 200_043),
        "test_128": (3, 128, 200_042),
        "test_512": (3, 512, 200_042),
    }
    assert task.validations == ["valid_ext"] and task.tests == ["test", "test_ext", "test_128", "test_512"]


@pytest.mark.parametrize("seed", [42, 44, 0])
def test_training_arrows_are_those_of_the_seed(seed):
    task = load_task("arrows", image_size=128, num_train=6, num_valid=2, num_test=2)
    loader = task.train_loader(None, 6, seed, CPU, Shard())
    assert loader.dataset.seed == seed
    (batch,) = loader
    expected = [loader.dataset[row] for row in epoch_rows(6, 6, 0, seed)]
    # Exact: bytes.
    assert torch.equal(batch["x"], torch.stack([image for image, _ in expected]))
    assert batch["y"].tolist() == [label for _, label in expected]


def test_fashion_mnist_sets_validation_images_apart(real_data, monkeypatch):
    monkeypatch.setenv("PLSTM_DATA", str(real_data))
    task = load_task("fashion_mnist", num_valid=1000, num_train=500)
    train, valid = task.parts["train"], task.parts["valid"]
    assert (len(train), len(valid), len(task.parts["test"])) == (500, 1000, 10_000)
    assert not set(train.indices) & set(valid.indices)
    assert (task.channels, task.image_size, len(task.classes)) == (1, 28, 10)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_averaged_weights_are_those_that_are_kept(task, tmp_path, keep):
    result, _ = run(task, tmp_path / "averaged", average=1.0, keep=keep)
    run(task, tmp_path / "last", keep=keep)
    averaged, last = (trained_model(trial_of(tmp_path / name), task, CPU) for name in ("averaged", "last"))
    assert accuracy(averaged, task) == result["valid"]["accuracy"]
    assert not torch.equal(averaged.head.weight, last.head.weight)


def test_members_of_an_ensemble_have_a_loss_each(task):
    batch = task.changed(next(iter(image_batches(task.parts["train"], 8, CPU))))
    outputs = torch.randn(3, 8, 2)
    total, count = task.loss(outputs, batch)
    each = [task.loss(output, batch) for output in outputs]
    assert int(count) == 24 == sum(int(number) for _, number in each)
    torch.testing.assert_close(total, sum(loss for loss, _ in each))


def test_bad_arguments(task, tmp_path, monkeypatch):
    monkeypatch.delenv("PLSTM_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="fashion_mnist needs its folder: give source"):
        load_task("fashion_mnist")
    with pytest.raises(ValueError, match="there is no option 'test_sizes'"):
        load_task("cifar10", source=str(tmp_path), test_sizes=[64])
    with pytest.raises(ValueError, match="of size 32, image_size cannot be 64"):
        load_task("cifar10", source=str(tmp_path), image_size=64)
    with pytest.raises(ValueError, match="without an image in test"):
        load_task("arrows", num_test=0)
    with pytest.raises(ValueError, match="target_scale 'log' is a scale of numbers"):
        load_task("arrows", target_scale="log")
    with pytest.raises(ValueError, match="epoch_images must be at least 1, got 0"):
        load_task("arrows", epoch_images=0)
    with pytest.raises(ValueError, match=r"of augmentation do not fit the task arrows: there is no option 'flop'"):
        load_task("arrows", augmentation={"flop": True})
    with pytest.raises(ValueError, match=r"mixup must be from 0 to 1, got 1\.5"):
        load_task("arrows", augmentation={"mixup": 1.5})
    with pytest.raises(ValueError, match="symmetries must be 1 or 4 or 8, got 2"):
        load_task("arrows", symmetries=2)
    with pytest.raises(ValueError, match="epochs=0"):
        Training(epochs=0)
    with pytest.raises(ValueError, match="average=-1"):
        Training(average=-1)
    with pytest.raises(ValueError, match="keep must be 'best' or 'last', got 'first'"):
        Training(keep="first")
    with pytest.raises(ValueError, match="patience needs keep='best'"):
        Training(patience=3, keep="last")
    wrong = {**MODEL, "init_args": {**MODEL["init_args"], "out_channels": 3}}
    with pytest.raises(ValueError, match=r"gives \[2, 3\] for two images of halves, not \[2, 2\]"):
        task.make_model(wrong)
    with pytest.raises(ValueError, match="cannot be made with"):
        task.make_model({"class_path": "plstm_graph.nn.PLSTMVision", "init_args": {"depth": 3}})
