"""Weights of a checkpoint in a new model: which are taken, which are new, and what is refused."""

import math

import pytest
import torch

from plstm_graph.nn import PLSTM, Ensemble, SequenceHead
from plstm_graph.nn.baselines import GIN, MPNN, OGBGNN, DAGTransformer, LevelGRU
from plstm_graph.tasks.dag_folder import dag_folder
from plstm_graph.train.checkpoint import CheckpointError
from plstm_graph.train.transfer import start_of, take_weights
from tests.made_checkpoints import checkpoint_of, make_recipe, task_checkpoint
from tests.made_sets import make_folder, with_edge_features

_SIZES = {"in_channels": "atom", "edge_dim": "bond", "hidden_channels": 8, "num_layers": 1, "out_channels": 1}
_CLASSES = [PLSTM, GIN, MPNN, LevelGRU, DAGTransformer, OGBGNN]


def _spec(model, **changes):
    network = model.members[0] if isinstance(model, Ensemble) else model
    return {"class_path": f"any.{type(network).__name__}", "init_args": _SIZES | changes}


def _saved(folder, old, /, **changes):
    torch.save(checkpoint_of(old, make_recipe(**{"model": _spec(old)} | changes)), folder / "a.ckpt")
    return start_of(str(folder / "a.ckpt"))


def _taken(model, start, /, **changes):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    taken = take_weights(model, make_recipe(**{"model": _spec(model)} | changes), start)
    after = model.state_dict()
    for name, value in after.items():  # what it says is what was done
        if name not in taken.names and value.is_floating_point():
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    return taken


def _equal(one, other):
    """Names of the tensors that are the same in two models."""
    second = other.state_dict()
    return {name for name, value in one.state_dict().items() if torch.equal(value, second[name])}


@pytest.mark.parametrize("make", _CLASSES)
def test_all_but_the_output_is_taken_where_the_targets_are_others(make, tmp_path):
    old, model = make(**_SIZES), make(**_SIZES)
    for buffer in old.buffers():
        if buffer.is_floating_point():
            buffer.add_(0.5)
    taken = _taken(model, _saved(tmp_path, old), target_names=["other"])
    output = {"head.weight", "head.bias"} if make is OGBGNN else {"head.3.weight", "head.3.bias"}
    assert taken.names == set(model.state_dict()) - output
    assert taken.names <= _equal(model, old) and not output & _equal(model, old)
    name = "head" if make is OGBGNN else "head.3"
    assert f"new: {name} (other targets)" in taken.text and "a.ckpt" in taken.text


@pytest.mark.parametrize("make", _CLASSES)
def test_all_is_taken_where_the_targets_are_the_same(make, tmp_path):
    old, model = make(**_SIZES), make(**_SIZES)
    taken = _taken(model, _saved(tmp_path, old))
    assert taken.names == set(model.state_dict()) == _equal(model, old)
    assert "new" not in taken.text


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "multilabel", "scale": None},
        {"scale": {"kind": "log", "mean": [0.0], "std": [1.0]}},
        {"reading": {"classes": [["a", "b"]]}},
        {"target_names": ["z"]},
    ],
)
def test_targets_are_the_same_only_if_all_that_is_said_of_them_is(other, tmp_path):
    taken = _taken(PLSTM(**_SIZES), _saved(tmp_path, PLSTM(**_SIZES)), **other)
    assert "new: head.3 (other targets)" in taken.text


def test_another_read_out_is_new_and_other_layers_are_named(tmp_path):
    old = PLSTM(**_SIZES, pool="mean")
    model = PLSTM(**_SIZES | {"num_layers": 2, "out_channels": 3}, pool=["mean", "max"], readout_channels=12)
    taken = _taken(model, _saved(tmp_path, old), model=_spec(model, num_layers=2, readout_channels=12))
    for text in ("blocks.1", "widen", "head (another shape)", "num_layers is 2 here and 1 there"):
        assert text in taken.text, text
    assert {name.partition(".")[0] for name in taken.names} >= {"node_encoder", "edge_encoder", "blocks", "norm"}
    assert not any(name.startswith(("widen", "head", "blocks.1")) for name in taken.names)
    shallow = _taken(PLSTM(**_SIZES, pool="mean"), _saved(tmp_path, model), target_names=["z"])
    assert "not used: blocks.1" in shallow.text


@pytest.mark.parametrize(("sources", "targets"), [(1, 3), (3, 3), (2, 3), (3, 1), (1, 1), (3, 2)])
def test_members_take_networks_in_turn(sources, targets, tmp_path):
    def make(size):
        return Ensemble(PLSTM(**_SIZES), size) if size > 1 else PLSTM(**_SIZES)

    old, model = make(sources), make(targets)
    taken = _taken(model, _saved(tmp_path, old))
    assert taken.names == set(model.state_dict())
    networks = [list(each.members) if isinstance(each, Ensemble) else [each] for each in (old, model)]
    for number, network in enumerate(networks[1]):
        assert _equal(network, networks[0][number % sources]) == set(network.state_dict())
    words = {
        (1, 3): "each of the 3",
        (3, 3): "one by one",
        (2, 3): "in turn",
        (3, 1): "first is",
        (3, 2): "first 2 are",
    }
    assert words.get((sources, targets), "begins with") in taken.text


def test_a_head_of_sequences_is_seen_through(tmp_path):
    old = SequenceHead(PLSTM(**_SIZES | {"out_channels": 6}), 2)
    model = PLSTM(**_SIZES)
    taken = _taken(model, _saved(tmp_path, old, model=_spec(model)), target_names=["z"])
    assert len(taken.names) == len(model.state_dict()) - 2


def _refused(model, start, /, **changes):
    with pytest.raises(CheckpointError) as error:
        _taken(model, start, **changes)
    return str(error.value)


def test_other_classes_sizes_and_data_are_named(tmp_path):
    start = _saved(tmp_path, PLSTM(**_SIZES))
    assert "is of a PLSTM, and the model here is a GIN" in _refused(GIN(**_SIZES), start)
    wide = PLSTM(**_SIZES | {"hidden_channels": 16})
    message = _refused(wide, start, model=_spec(wide, hidden_channels=16))
    assert "hidden_channels is 16 here and 8 there" in message and "[174, 8] there and [174, 16] here" in message
    assert "was trained on 'molecules', and the data here are 'dag_folder'" in _refused(
        PLSTM(**_SIZES), start, data="dag_folder"
    )
    torch.save(checkpoint_of(PLSTM(**_SIZES), make_recipe()), tmp_path / "a.ckpt")
    assert "is another file than the one that this run began from" in _refused(PLSTM(**_SIZES), start)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 1}, "another version"),
        ({"model": "PLSTM"}, "another version"),
        ({"model": {"class_path": 3, "init_args": []}}, "is of a 3"),
        ({"model": {"class_path": "a.PLSTM", "init_args": {"model": {"class_path": "b.GIN"}}}}, "is of a GIN"),
    ],
)
def test_recipes_that_say_something_else_are_refused(changes, message, tmp_path):
    assert message in _refused(PLSTM(**_SIZES), _saved(tmp_path, PLSTM(**_SIZES), **changes))


@pytest.mark.parametrize(
    "changes", [{"target_names": 3}, {"reading": [1]}, {"scale": "log"}, {"data": 5.0}, {"kind": {}}, {"reading": {}}]
)
def test_recipes_with_nonsense_beside_the_model_decide_nothing(changes, tmp_path):
    start = _saved(tmp_path, PLSTM(**_SIZES), **changes)
    if "data" in changes:
        assert "was trained on 5.0" in _refused(PLSTM(**_SIZES), start)
    else:
        assert "new: head.3" in _taken(PLSTM(**_SIZES), start).text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(value, tmp_path):
    old = PLSTM(**_SIZES)
    old.node_encoder.embedding.weight.data[3, 2] = value
    message = _refused(PLSTM(**_SIZES), _saved(tmp_path, old))
    assert "node_encoder.embedding.weight of the checkpoint has values that are not finite" in message


def test_tensors_of_other_kinds_are_refused(tmp_path):
    weights = PLSTM(**_SIZES).state_dict()
    for strange in (torch.zeros(174, 8).to_sparse(), torch.zeros(174, 8, dtype=torch.cfloat), 3, "text"):
        checkpoint = checkpoint_of(PLSTM(**_SIZES), make_recipe(model=_spec(PLSTM(**_SIZES))))
        checkpoint["state_dict"] = dict(weights) | {"node_encoder.embedding.weight": strange}
        torch.save(checkpoint, tmp_path / "a.ckpt")
        assert "is no dense tensor of real numbers" in _refused(PLSTM(**_SIZES), start_of(str(tmp_path / "a.ckpt")))
    for none in ({}, {"elsewhere.weight": torch.ones(2)}):
        checkpoint["state_dict"] = none
        torch.save(checkpoint, tmp_path / "a.ckpt")
        assert "no weights" in _refused(PLSTM(**_SIZES), start_of(str(tmp_path / "a.ckpt")))


def _dag_task(folder, words=(), level="graph", edges=False):
    path = make_folder(folder, level, "regression")
    if edges:
        with_edge_features(path)
    nodes = path / "nodes.csv"
    text = nodes.read_text()
    for old, new in words:
        text = text.replace(f",{old},", f",{new},")
    nodes.write_text(text)
    return dag_folder(str(path))


_DAG_SPEC = {"class_path": "plstm_graph.nn.PLSTM", "init_args": {"hidden_channels": 8, "num_layers": 1}}


def _dag_start(folder, task, spec=None):
    spec = spec or _DAG_SPEC
    model = task.make_model(spec)
    for parameter in model.parameters():
        parameter.data.add_(0.25)
    torch.save(task_checkpoint(task, {"name": "dag_folder"}, spec, model), folder / "a.ckpt")
    return start_of(str(folder / "a.ckpt")), model


def _dag_taken(task, start, spec=None):
    spec = spec or _DAG_SPEC
    model = task.make_model(spec)
    recipe = make_recipe(**task.recipe(model, spec, 1))
    return model, take_weights(model, recipe, start)


def test_words_and_numbers_are_found_by_name(tmp_path):
    start, old = _dag_start(tmp_path, _dag_task(tmp_path / "one", edges=True))
    # `sub` comes where `add` was, and `neg` before it: as many words, in another order.
    task = _dag_task(tmp_path / "two", [("add", "sub")], edges=True)
    model, taken = _dag_taken(task, start)
    words = [None, *next(each for each in task.labelled.encoding.columns if each.name == "op").words]
    before = [None, "add", "mul", "neg"]
    assert set(words) == {None, "mul", "neg", "sub"}
    weight, there = (each.node_encoder.embedding.embedding.weight for each in (model, old))
    for row, word in enumerate(words):
        if word == "sub":
            assert not any(torch.equal(weight[row], each) for each in there)
        else:
            torch.testing.assert_close(weight[row], there[before.index(word)], rtol=0, atol=0)
    assert "2 of 3 words of nodes.op are known" in taken.text
    # A table with new rows is no whole of what was there; all else is.
    assert taken.names == set(model.state_dict()) - {"node_encoder.embedding.embedding.weight"}
    torch.testing.assert_close(model.node_encoder.lin.weight, old.node_encoder.lin.weight, rtol=0, atol=0)
    torch.testing.assert_close(model.edge_encoder.state_dict(), old.edge_encoder.state_dict(), rtol=0, atol=0)


def test_columns_that_are_not_there_are_new(tmp_path):
    start, old = _dag_start(tmp_path, _dag_task(tmp_path / "one"))
    path = make_folder(tmp_path / "two", "node", "regression")
    spec = (path / "dag.yaml").read_text()
    (path / "dag.yaml").write_text(spec.replace("{op: category, size: number}", "{op: category, width: number}"))
    nodes = (path / "nodes.csv").read_text()
    (path / "nodes.csv").write_text(nodes.replace("size", "width", 1))
    model, taken = _dag_taken(dag_folder(str(path)), start)
    assert "nodes.width is new" in taken.text
    assert "node_encoder.lin.weight" not in taken.names and "node_encoder.lin.bias" in taken.names
    assert "node_encoder.embedding.embedding.weight" in taken.names
    assert not torch.equal(model.node_encoder.lin.weight, old.node_encoder.lin.weight)


def test_only_words_or_only_numbers_find_their_rows_too(tmp_path):
    start, old = _dag_start(tmp_path, _dag_task(tmp_path / "one"))
    for kept, prefix in (("op: category", "embedding."), ("size: number", "")):
        path = make_folder(tmp_path / kept[:2], "graph", "regression")
        spec = (path / "dag.yaml").read_text()
        (path / "dag.yaml").write_text(spec.replace("op: category, size: number", kept))
        model, taken = _dag_taken(dag_folder(str(path)), start)
        there = old.node_encoder.embedding.embedding if prefix else old.node_encoder.lin
        torch.testing.assert_close(model.state_dict()[f"node_encoder.{prefix}weight"], there.weight.data)
        assert f"node_encoder.{prefix}weight" in taken.names


def test_an_encoding_that_does_not_fit_its_weights_is_of_no_use_and_no_harm(tmp_path):
    task = _dag_task(tmp_path / "one")
    _dag_start(tmp_path, task)
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    columns = checkpoint["plstm_graph"]["reading"]["encoding"]["columns"]
    next(column for column in columns if column["name"] == "op")["words"] = ["neg"] * 50
    torch.save(checkpoint, tmp_path / "a.ckpt")
    _, taken = _dag_taken(task, start_of(str(tmp_path / "a.ckpt")))
    assert "new: node_encoder.embedding" in taken.text
    checkpoint["plstm_graph"]["reading"]["encoding"] = {"columns": 3}
    torch.save(checkpoint, tmp_path / "a.ckpt")
    _, taken = _dag_taken(task, start_of(str(tmp_path / "a.ckpt")))
    assert "new: node_encoder" in taken.text and not any(name.startswith("node_encoder") for name in taken.names)


def test_models_without_encoders_of_known_names_need_the_same_columns(tmp_path):
    spec = {"class_path": "plstm_graph.nn.MakespanPLSTM", "init_args": {"hidden_channels": 8, "times": ["size"]}}
    path = make_folder(tmp_path / "one", "graph", "regression")
    text = (path / "dag.yaml").read_text()
    (path / "dag.yaml").write_text(text.replace("size: number", "size: raw"))
    task = dag_folder(str(path))
    start, old = _dag_start(tmp_path, task, spec)
    model, taken = _dag_taken(task, start, spec)
    assert taken.names == set(model.state_dict()) == _equal(model, old)
    nodes = (path / "nodes.csv").read_text()
    (path / "nodes.csv").write_text(nodes.replace(",add,", ",sub,"))
    with pytest.raises(CheckpointError, match=r"other columns or words .* not in MakespanPLSTM"):
        _dag_taken(dag_folder(str(path)), start, spec)
