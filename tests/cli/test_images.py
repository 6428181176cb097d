"""``plstm-graph images``: choice of the learning rate, resume, report, refusals."""

import json
from pathlib import Path

import pytest
import yaml

from plstm_graph.cli import main
from plstm_graph.datasets.images.task import ImageTask, load_image_task
from plstm_graph.train.images.options import parse
from plstm_graph.train.images.run import check_test_images, make_model

CONFIGS = Path(__file__).parent.parent.parent / "configs"
TINY = """
data: {name: arrows, image_size: 128, num_train: 16, num_valid: 8, num_test: 8, test_sizes: [160], num_per_size: 4}
model:
  class_path: plstm_graph.nn.vision.ViT
  init_args: {out_channels: 2, image_size: 128, patch_size: 32, hidden_channels: 8, num_layers: 1, heads: 1}
training: {epochs: 2, batch_size: 8}
lr: [1.0e-2, 1.0e-3]
seeds: 5-6
device: cpu
threads: 1
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    return "tiny.yaml"


def test_a_run(config, capsys):
    assert main(["images", "--config", config, "--name", "tiny"]) == 0
    folder = Path("runs/images/tiny")
    report = json.loads((folder / "report.json").read_text())
    assert [row["lr"] for row in report["tried"]] == [1e-2, 1e-3]
    best = max(report["tried"], key=lambda row: row["valid/accuracy"])
    assert report["lr"] == best["lr"]
    assert [row["seed"] for row in report["seeds"]] == [5, 6]
    assert set(report["test"]) == {"test", "test_ext", "test_160"}
    assert set(report["validation"]) == {"valid", "valid_ext"}
    accuracies = [row["tests"]["test"] for row in report["seeds"]]
    assert report["test"]["test"]["mean"] == pytest.approx(sum(accuracies) / 2)
    # The rate that was not chosen is neither tested nor trained with another seed.
    other = folder / f"lr_{({1e-2, 1e-3} - {best['lr']}).pop():g}"
    assert [path.name for path in other.iterdir()] == ["seed_5"]
    assert not (other / "seed_5" / "test.json").exists()
    text = (folder / "report.md").read_text()
    assert "| mean |" in text and f"learning rate {best['lr']:g}" in text
    assert "epoch 2/2" in capsys.readouterr().err

    assert main(["images", "--config", config, "--name", "tiny", "--seeds", "5-7"]) == 0
    assert [row["seed"] for row in json.loads((folder / "report.json").read_text())["seeds"]] == [5, 6, 7]
    assert "seed 6" not in capsys.readouterr().err, "finished trainings are not run again"


def test_another_configuration_is_refused(config, capsys):
    Path("runs/images/tiny").mkdir(parents=True)
    earlier = yaml.safe_load(TINY)
    earlier["training"]["epochs"] = 9
    Path("runs/images/tiny/config.yaml").write_text(yaml.safe_dump(earlier))
    assert main(["images", "--config", config, "--name", "tiny"]) == 2
    message = capsys.readouterr().err
    assert "holds a run of another configuration" in message and "training.epochs is 2, was 9" in message


def test_a_size_that_the_model_cannot_take_stops_the_command_first(config, capsys):
    assert main(["images", "--config", config, "--name", "tiny", "--data.test_sizes", "[160, 144]"]) == 2
    message = capsys.readouterr().err
    assert "images of test_144" in message and "multiples of the patch size, 32, got 144 x 144" in message
    assert not Path("runs").exists()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("arrows/*.yaml")), ids=lambda path: path.stem)
def test_models_of_arrows_take_all_sizes_that_are_tested(path):
    plain = parse(["--config", str(path)]).plain
    task = load_image_task(**plain["data"])
    assert len(task.test) > 5
    check_test_images(make_model(plain["model"], task), task)


def test_bad_rates(config, capsys):
    assert main(["images", "--config", config, "--lr", "[0.1, 0.1]"]) == 2
    assert "list of different ones" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted([*CONFIGS.glob("arrows/**/*.yaml"), *CONFIGS.glob("vision/**/*.yaml")]))
def test_configurations_are_understood(path):
    """Those of models stand behind that of a task."""
    first = {"arrows": "arrows/cpu.yaml", "vision": "vision/fashion_mnist.yaml"}[path.relative_to(CONFIGS).parts[0]]
    arguments = ["--config", str(CONFIGS / first), "--config", str(path)] if path.parent.name == "models" else []
    options = parse(arguments or ["--config", str(path)])
    name = options.plain["data"]["name"]
    size, channels, classes = {
        "arrows": (192, 3, 2),
        "fashion_mnist": (28, 1, 10),
        "cifar10": (32, 3, 10),
        "imagenet": (192, 3, 1000),
    }[name]
    task = ImageTask(name, tuple(map(str, range(classes))), lambda seed: [], {}, {}, channels, size)
    make_model(options.plain["model"], task)
    assert name == path.stem or path.parent.name in ("arrows", "models")
