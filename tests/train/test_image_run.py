"""Training of image models: order of images, resuming, learning, tests."""

import json

import pytest
import torch

from plstm_graph.datasets.images.sets import ImageArrays
from plstm_graph.datasets.images.task import ImageTask, load_image_task
from plstm_graph.testing import assert_close
from plstm_graph.train.images.batches import epoch_rows, image_batches
from plstm_graph.train.images.run import ImageTraining, accuracy, evaluate_run, load_run, make_model, train_run
from plstm_graph.train.images.symmetries import averaged_output, views
from tests.rounding import rounding

CPU = torch.device("cpu")
MODEL = {
    "class_path": "plstm_graph.nn.PLSTMVision",
    "init_args": {
        **{"out_channels": 2, "image_size": 16, "in_channels": 1, "patch_size": 4},
        **{"hidden_channels": 16, "num_layers": 2, "heads": 2},
    },
}


def halves(count, seed):
    """Images that are bright at the top (label 0) or at the bottom (label 1)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (count,), generator=generator)
    images = torch.randint(0, 100, (count, 1, 16, 16), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, 8 * label : 8 * label + 8] += 80
    return ImageArrays(images, labels, ("top", "bottom"))


@pytest.fixture(scope="module")
def task():
    parts = {"valid": halves(32, 1), "valid_more": halves(8, 4)}, {"test": halves(64, 2), "test_more": halves(8, 3)}
    return ImageTask("halves", ("top", "bottom"), lambda seed: halves(96, 10 + seed), *parts, 1, 16)


def run(task, folder, report=lambda row: None, **options):
    training = ImageTraining(**({"epochs": 4, "batch_size": 16} | options))
    return train_run(task, MODEL, training, 3e-3, 0, folder, CPU, report), training


def test_it_learns_and_tests(task, tmp_path):
    result, training = run(task, tmp_path)
    assert result["valid/accuracy"] > 0.9
    assert result["parameters"] == sum(parameter.numel() for parameter in make_model(MODEL, task).parameters())
    tested = evaluate_run(task, MODEL, training, tmp_path, CPU)
    assert tested["test"] > 0.9
    assert set(tested) == {"test", "test_more", "seconds"}
    lines = [json.loads(line) for line in (tmp_path / "epochs.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]
    assert result["valid_more/accuracy"] > 0.8
    assert not any("valid_more/accuracy" in line for line in lines)
    assert result["valid/accuracy"] == max(line["valid/accuracy"] for line in lines)
    assert not (tmp_path / "state.pt").exists()
    assert run(task, tmp_path)[0] == result
    assert evaluate_run(task, MODEL, training, tmp_path, CPU) == tested


def test_resumed_training_goes_on_as_if_never_stopped(task, tmp_path):
    def stop(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    whole, _ = run(task, tmp_path / "whole", epochs=3)
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path / "cut", stop, epochs=3)
    assert (tmp_path / "cut" / "state.pt").is_file()
    seen = []
    resumed, _ = run(task, tmp_path / "cut", seen.append, epochs=3)
    assert [row["epoch"] for row in seen] == [0, 1, 2]
    assert resumed | {"seconds": 0} == whole | {"seconds": 0}
    first, second = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("whole", "cut"))
    # Exact: the same operations in the same order on one machine. A tolerance would hide what was not restored,
    # and is no use either: where a gradient is nothing but rounding, Adam makes full steps of it.
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_last_weights_on_demand(task, tmp_path):
    result, _ = run(task, tmp_path, epochs=2, keep="last")
    assert result["epoch"] == 2


def test_bfloat16_is_close_to_float32(task, tmp_path):
    result, _ = run(task, tmp_path, precision="bfloat16")
    assert result["valid/accuracy"] > 0.9
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert all(weight.dtype == torch.float32 for weight in weights.values())


def test_symmetries_change_what_comes_after_training_only(task, tmp_path):
    """Top and bottom cannot be told apart from all sides."""
    plain, _ = run(task, tmp_path / "plain")
    averaged, training = run(task, tmp_path / "averaged", symmetries=8)
    first, second = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("plain", "averaged"))
    # Exact: the same operations in the same order on one machine. A tolerance would hide that something was drawn,
    # and is no use either: where a gradient is nothing but rounding, Adam makes full steps of it.
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert averaged["epoch"] == plain["epoch"]
    model = load_run(task, MODEL, training, tmp_path / "averaged", CPU)
    x = torch.rand(6, 1, 16, 16)
    output = averaged_output(model, x, 8)
    torch.testing.assert_close(output, sum(model(view) for view in views(x, 8)) / 8)
    for view in views(x, 8):
        torch.testing.assert_close(averaged_output(model, view, 8), output)
    torch.testing.assert_close(averaged_output(model, x.rot90(1, (2, 3)), 4), averaged_output(model, x, 4))
    assert_close(averaged_output(model, x, 1), model(x), rounding(torch.float32, 16), "a single view")
    assert averaged["valid/accuracy"] == accuracy(model, task, task.valid["valid"], training, CPU)
    assert averaged["valid/accuracy"] < 0.8 < plain["valid/accuracy"]


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


def test_batches(task):
    images = task.valid["valid"]
    batches = list(image_batches(images, [5, 3, 8, 2, 1], 2, 0, CPU))
    assert [len(batch.x) for batch in batches] == [2, 3]
    torch.testing.assert_close(batches[0].x[1], images[3][0] / 255)
    assert batches[0].y.tolist() == [images[5][1], images[3][1]]


def test_workers_give_the_same_batches(task):
    images = task.valid["valid"]
    alone, together = ([batch.x for batch in image_batches(images, range(8), 4, workers, CPU)] for workers in (0, 2))
    # Exact: bytes, divided by one number.
    assert all(torch.equal(first, second) for first, second in zip(alone, together, strict=True))


def test_arrows_have_all_parts():
    task = load_image_task("arrows", num_train=6, num_valid=5, num_test=4, test_sizes=[128, 512], num_per_size=3)
    sizes = {name: (len(part), part.image_size, part.seed) for name, part in (task.valid | task.test).items()}
    assert sizes == {
        "valid": (5, 192, 100_042),
        "valid_ext": (5, 384, 100_043),
        "test": (4, 192, 200_042),
        "test_ext": (4, 384, 200_043),
        "test_128": (3, 128, 200_042),
        "test_512": (3, 512, 200_042),
    }
    assert task.train(44).seed == 44


def test_fashion_mnist_sets_validation_images_apart(real_data, monkeypatch):
    monkeypatch.setenv("PLSTM_DATA", str(real_data))
    task = load_image_task("fashion_mnist", num_valid=1000, num_train=500)
    train, valid = task.train(0), task.valid["valid"]
    assert (len(train), len(valid), len(task.test["test"])) == (500, 1000, 10_000)
    assert not set(train.indices) & set(valid.indices)
    assert (task.channels, task.image_size, len(task.classes)) == (1, 28, 10)


def test_averaged_weights_are_those_that_are_kept(task, tmp_path):
    result, training = run(task, tmp_path / "averaged", average=1)
    run(task, tmp_path / "last")
    averaged, last = (load_run(task, MODEL, training, tmp_path / name, CPU) for name in ("averaged", "last"))
    assert accuracy(averaged, task, task.valid["valid"], training, CPU) == result["valid/accuracy"]
    assert not torch.equal(averaged.model.head.weight, last.model.head.weight)


def test_bad_arguments(task, tmp_path, monkeypatch):
    monkeypatch.delenv("PLSTM_DATA", raising=False)
    with pytest.raises(ValueError, match="fashion_mnist needs its folder: give root"):
        load_image_task("fashion_mnist")
    with pytest.raises(ValueError, match="test_sizes are for arrows"):
        load_image_task("cifar10", root=str(tmp_path), test_sizes=[64])
    with pytest.raises(ValueError, match="of size 32, image_size cannot be 64"):
        load_image_task("cifar10", root=str(tmp_path), image_size=64)
    with pytest.raises(ValueError, match="epochs=0"):
        ImageTraining(epochs=0)
    with pytest.raises(ValueError, match="average=-1"):
        ImageTraining(average=-1)
    with pytest.raises(ValueError, match="average needs keep='best'"):
        ImageTraining(average=1, keep="last")
    wrong = {**MODEL, "init_args": {**MODEL["init_args"], "out_channels": 3}}
    with pytest.raises(ValueError, match=r"gives \[2, 3\] for two images of halves, not \[2, 2\]"):
        make_model(wrong, task)
    with pytest.raises(ValueError, match="the model cannot be made"):
        make_model({"class_path": "plstm_graph.nn.PLSTMVision", "init_args": {"depth": 3}}, task)
