"""Trained models come back from their checkpoints as they were; what is no such checkpoint is named."""

import math

import pytest
import torch

from plstm_graph.config.names import allow_names
from plstm_graph.predict.predictor import load_predictor
from plstm_graph.tasks.dag_folder import dag_folder
from plstm_graph.tasks.molecules import molecules
from plstm_graph.tasks.task import Shard
from plstm_graph.train.checkpoint import CheckpointError
from plstm_graph.train.checkpoint_io import SafeCheckpointIO
from tests.made_checkpoints import checkpoint_of, make_recipe, task_checkpoint
from tests.made_sets import made_table, make_folder
from tests.tasks.made_task import alcohols
from tests.train.tiny_model import TinyModel

TINY = "tests.train.tiny_model.TinyModel"


@pytest.fixture(autouse=True)
def _allow_tests():
    with allow_names(["tests.train"]):
        yield


def _recipe(hidden_channels=16, **changes):
    return make_recipe(**{"model": {"class_path": TINY, "init_args": {"hidden_channels": hidden_channels}}} | changes)


def _saved(folder, hidden_channels=16, **changes):
    torch.save(checkpoint_of(TinyModel(), _recipe(hidden_channels, **changes)), folder / "a.ckpt")
    return folder / "a.ckpt"


def test_a_saved_model_comes_back(tmp_path):
    checkpoint = checkpoint_of(TinyModel(), _recipe())
    SafeCheckpointIO().save_checkpoint(checkpoint, tmp_path / "new" / "a.ckpt")
    predictor = load_predictor(tmp_path / "new" / "a.ckpt")
    assert not predictor.training and not predictor.model.training
    assert predictor.target_names == ["y"]
    torch.testing.assert_close(predictor.model.state_dict(), checkpoint["state_dict"], rtol=0, atol=0)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_predictions_have_the_unit_of_the_scale(count, tmp_path):
    scale = {"kind": "standard", "mean": [0.5], "std": [2.0]}
    predictor = load_predictor(_saved(tmp_path, scale=scale))
    graphs = alcohols([[0.0]] * count)
    predicted = predictor.predict(graphs)
    assert predicted.shape == (count, 1) and predicted.dtype == torch.double
    if count:
        output = predictor(predictor.collate(graphs)).detach()
        torch.testing.assert_close(predicted, output.double() * 2.0 + 0.5)


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("kind", ["molecules", "dag_folder"])
def test_models_of_a_task_come_back(kind, members, tmp_path):
    spec = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"hidden_channels": 8, "num_layers": 1, "heads": 2}}
    if kind == "molecules":
        section = {"root": str(tmp_path / "root"), "path": str(made_table(tmp_path / "t.csv"))}
        task = molecules(**section, target_columns=["activity"], split="random")
    else:
        section = {"path": str(make_folder(tmp_path / "dags"))}
        task = dag_folder(**section)
    model = task.make_model(spec, members).eval()
    torch.save(task_checkpoint(task, section | {"name": kind}, spec, model), tmp_path / "a.ckpt")
    predictor = load_predictor(tmp_path / "a.ckpt")
    graphs = task.parts["test"]
    (batch,) = task.batches("test", task.needs(model), len(graphs), torch.device("cpu"), Shard())
    with torch.no_grad():
        expected = task.restored(task.output(model, batch, task.needs(model)))
    expected = expected if kind == "molecules" else expected.double().softmax(dim=1)
    torch.testing.assert_close(predictor.predict(graphs), expected)  # an ensemble gives the mean of its members
    assert predictor.target_names == task.labelled.target_names


def test_another_model(tmp_path):
    path = _saved(tmp_path, hidden_channels=8)
    with pytest.raises(CheckpointError, match=r"a\.ckpt: the checkpoint belongs to another model: .*atoms\.weight is"):
        load_predictor(path)


@pytest.mark.parametrize("name", ["collections.Counter", "os.system", "plstm_graph.nn.Gone", "torch.nn.Linear", 3])
def test_a_class_that_is_no_model_is_not_made(name, tmp_path):
    path = _saved(tmp_path, model={"class_path": name, "init_args": {}})
    with pytest.raises(CheckpointError, match=r"a\.ckpt cannot be made"):
        load_predictor(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "no recipe of format 2"),
        ({"format": 1}, "it was written by another version; train the model anew"),
        ({"target_names": "y"}, "has something else for target_names"),
        ({"target_names": [1]}, "has targets without a name"),
        ({"model": []}, "has something else for model"),
        ({"reading": {"classes": ["ab"]}}, "has classes that are no names"),
        ({"reading": {"classes": 3}}, "has classes that are no names"),
        ({"kind": "ranking"}, "has something else for kind"),
        ({"kind": "binary", "scale": {"kind": "raw", "mean": [0.0], "std": [1.0]}}, "no scale that fits the kind"),
        ({"scale": None}, "no scale that fits the kind"),
        ({"scale": {"kind": "cubic", "mean": [0.0], "std": [1.0]}}, "no scale that fits the kind"),
        ({"scale": {"kind": "raw", "mean": [math.nan], "std": [1.0]}}, "no scale that fits the kind"),
        ({"scale": {"kind": "standard", "mean": [0.0, 1.0], "std": [1.0, 1.0]}}, "no scale that fits the kind"),
        ({"scale": {"kind": "raw", "mean": [0.0], "std": [1.0, 1.0]}}, "no scale that fits the kind"),
        ({"model": {"class_path": TINY, "init_args": {"hidden_channels": 10**9}}}, "too few for a model of hidden"),
    ],
)
def test_recipes_are_checked(changes, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        load_predictor(_saved(tmp_path, **changes))


@pytest.mark.parametrize("name", ["model", "data", "given", "target_names", "reading"])
def test_recipes_are_whole(name, tmp_path):
    recipe = _recipe()
    del recipe[name]
    torch.save(checkpoint_of(TinyModel(), recipe), tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        load_predictor(tmp_path / "a.ckpt")


def test_a_model_of_a_task_without_predictions(tmp_path):
    recipe = {name: value for name, value in _recipe().items() if name in ("format", "task", "model", "seed")}
    torch.save(checkpoint_of(TinyModel(), recipe | {"task": {"name": "copy"}}), tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"is of the task .*copy.*, for whose models there is no `predict`"):
        load_predictor(tmp_path / "a.ckpt")
