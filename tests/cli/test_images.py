"""Tasks of images on the command line: choice of the learning rate, resume, report, refusals."""

import json
from pathlib import Path

import pytest
import yaml

from plstm_graph.cli import main
from plstm_graph.datasets.images.sets import ImageArrays
from plstm_graph.tasks.image_task import ImageTask
from plstm_graph.tasks.registry import load_task
from plstm_graph.train.command import parse

CONFIGS = Path(__file__).parent.parent.parent / "configs"
TINY = """
task: {name: arrows, image_size: 128, num_train: 16, num_valid: 8, num_test: 8, test_sizes: [160], num_per_size: 4}
model:
  class_path: plstm_graph.nn.vision.ViT
  init_args: {patch_size: 32, hidden_channels: 8, num_layers: 1, heads: 1}
training: {epochs: 2, batch_size: 8}
choose: {training.lr: [1.0e-2, 1.0e-3]}
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
    assert main(["fit", "--config", config, "--name", "tiny"]) == 0
    folder = Path("runs/tiny")
    report = json.loads((folder / "report.json").read_text())
    (model,) = report["models"].values()
    assert sorted(row["choice"]["training.lr"] for row in model["tried"]) == [1e-3, 1e-2]
    assert all(set(row["validations"]) == {"valid_ext"} for row in model["tried"])
    (best,) = (row for row in model["tried"] if row["choice"] == model["choice"])
    assert best["valid"]["accuracy"] == max(row["valid"]["accuracy"] for row in model["tried"])
    assert [row["seed"] for row in model["seeds"]] == [5, 6]
    assert {name for name in model["tests"] if not name.endswith("/seconds")} == {
        "test/accuracy",
        "test_ext/accuracy",
        "test_160/accuracy",
    }
    assert set(model["valid"]) == {"valid/accuracy", "valid_ext/accuracy"}
    for part, kept in (("tests", "test"), ("validations", "valid_ext")):
        accuracies = [row[part][kept]["accuracy"] for row in model["seeds"]]
        mean = model["tests" if part == "tests" else "valid"][f"{kept}/accuracy"]["mean"]
        assert mean == pytest.approx(sum(accuracies) / 2)
    # The rate that was not chosen is neither tested nor trained with another seed.
    other = folder / "vit" / f"lr_{({1e-2, 1e-3} - {best['choice']['training.lr']}).pop():g}"
    assert [path.name for path in other.iterdir()] == ["seed_5"]
    assert not (other / "seed_5" / "tests.json").exists()
    said = capsys.readouterr()
    text = (folder / "report.md").read_text()
    header = text.splitlines()[2]
    assert all(f"| {name} |" in header for name in ("valid/accuracy", "valid_ext/accuracy", "test_160/accuracy"))
    assert f"| {best['choice']['training.lr']:g} |" in text and "| vit |" in said.out
    assert "epoch 2/2" in said.err

    assert main(["fit", "--config", config, "--name", "tiny", "--seeds", "5-7"]) == 0
    (model,) = json.loads((folder / "report.json").read_text())["models"].values()
    assert [row["seed"] for row in model["seeds"]] == [5, 6, 7]
    assert "seed 6, epoch" not in capsys.readouterr().err, "finished trainings are not run again"


def test_another_configuration_is_refused(config, capsys):
    Path("runs/tiny").mkdir(parents=True)
    earlier = yaml.safe_load(TINY)
    earlier["training"]["epochs"] = 9
    earlier["models"] = {"vit": earlier.pop("model")}
    Path("runs/tiny/config.yaml").write_text(yaml.safe_dump(earlier))
    assert main(["fit", "--config", config, "--name", "tiny"]) == 2
    message = capsys.readouterr().err
    assert "holds a run of another configuration" in message and "training.epochs is 2, was 9" in message


@pytest.mark.parametrize("sizes", ["[160, 144]", "[144]", "[160, 192, 144, 130]"])
def test_a_size_that_the_model_cannot_take_stops_the_command_first(config, capsys, sizes):
    assert main(["fit", "--config", config, "--name", "tiny", "--task.test_sizes", sizes]) == 2
    message = capsys.readouterr().err
    assert "images of test_144" in message and "multiples of the patch size, 32, got 144 x 144" in message
    assert not Path("runs").exists()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("arrows/*.yaml")), ids=lambda path: path.stem)
def test_models_of_arrows_take_all_sizes_that_are_tested(path):
    plain = parse(["--config", str(path)]).study.plain
    task = load_task(**plain["task"])
    assert len(task.tests) > 5
    (spec,) = plain["models"].values()
    task.check(task.make_model(spec))


def test_bad_rates(config, capsys):
    assert main(["fit", "--config", config, "--name", "a", "--choose.training.lr", "[0.1, 0.1]"]) == 2
    assert "list of different values" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task.symmetries", "3"], "symmetries must be 1 or 4 or 8, got 3"),
        (["--task.augmentation.mixup", "2"], "mixup must be from 0 to 1"),
        (["--task.augmentation.mixup", "a"], "mixup must be of the type float, got 'a'"),
        (["--task.nam_train", "2"], "did you mean num_train?"),
        (["--training.keep", "first"], "keep"),
        (["--models.vit.class_path", "plstm_graph.nn.PLSTMVision"], "two models are called vit"),
        (["--model.hidden", "3"], "hidden"),
        (["--folder", "made"], "the task arrows has none"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_written(config, capsys, arguments, message):
    try:
        status = main(["fit", "--config", config, "--name", "tiny", *arguments])
    except SystemExit as exit:
        status = exit.code
    assert status == 2 and message in capsys.readouterr().err
    assert not Path("runs").exists() and not Path("made").exists()


@pytest.mark.parametrize("path", sorted([*CONFIGS.glob("arrows/**/*.yaml"), *CONFIGS.glob("vision/**/*.yaml")]))
def test_configurations_are_understood(path, monkeypatch):
    """Those of models stand behind that of a task."""
    first = {"arrows": "arrows/cpu.yaml", "vision": "vision/fashion_mnist.yaml"}[path.relative_to(CONFIGS).parts[0]]
    arguments = ["--config", str(CONFIGS / first), "--config", str(path)] if path.parent.name == "models" else []
    options = parse([*(arguments or ["--config", str(path)]), "--device", "cpu"])
    plain = options.study.plain
    name = plain["task"]["name"]
    size, channels, classes = {
        "arrows": (192, 3, 2),
        "fashion_mnist": (28, 1, 10),
        "cifar10": (32, 3, 10),
        "imagenet": (192, 3, 1000),
    }[name]
    task = ImageTask(name=name, parts={}, classes=tuple(map(str, range(classes))), channels=channels, image_size=size)
    ((model, spec),) = plain["models"].items()
    made = task.make_model(spec)
    assert type(made).__name__.lower() == model
    # What the class knows of the arguments of the first file stays, what the second says comes before.
    given = yaml.safe_load(path.read_text()).get("model", {}).get("init_args", {})
    assert {key: spec["init_args"][key] for key in given} == given
    if path.parent.name == "models" and path.stem == "symmetric":
        assert plain["task"]["symmetries"] == 8 and plain["task"]["epoch_images"] == 4000
    assert name == path.stem or path.parent.name in ("arrows", "models")


@pytest.mark.parametrize("symmetries", [1, 4])
def test_a_set_of_files_is_learned_and_read_again(tmp_path, monkeypatch, symmetries):
    """The numbers of a report are those of the weights that lie beside it."""
    from plstm_graph.tasks import images
    from plstm_graph.train.engine import outputs_of
    from plstm_graph.train.study import trained_models
    from tests.tasks.test_image_task import CPU, Shard, halves

    class Halves(ImageArrays):
        def __init__(self, root, part):
            found = halves(60, 1 if part == "train" else 2)
            super().__init__(found.images, found.labels, found.classes)

    monkeypatch.setattr(images, "CIFAR10", Halves)
    monkeypatch.setitem(images._SETS, "cifar10", images._SETS["cifar10"]._replace(image_size=16, channels=1))
    monkeypatch.chdir(tmp_path)
    command = ["fit", "--name", "a", "--task.name", "cifar10", "--task.source", ".", "--task.num_valid", "20"]
    command += ["--model", "plstm_graph.nn.vision.SmallCNN", "--model.channels", "[4, 8]"]
    command += ["--training.epochs", "1", "--seeds", "0", "--device", "cpu", "--threads", "1"]
    assert main([*command, "--task.symmetries", str(symmetries)]) == 0
    report = json.loads(Path("runs/a/report.json").read_text())
    task = load_task(**report["config"]["task"])
    (trained,) = trained_models("runs/a", task)
    for part, name in (("valid", "valid"), ("test", "tests")):
        output, columns = outputs_of(trained.model, task.batches(part, None, 32, CPU, Shard()), task)
        assert (
            task.score(output, **columns)["accuracy"] == report["models"]["smallcnn"][name][f"{part}/accuracy"]["mean"]
        )
