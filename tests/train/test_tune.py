"""The search over options: what may be searched, that it goes on, that tests stay untouched, what it leaves."""

import json
import random

import optuna
import pytest
import yaml

from plstm_graph.cli import main
from plstm_graph.train.choices import Range, check_space, suggest

SIZE = {"num_graphs": 12, "size": 6, "smallest": 2}
CONFIG = {
    "name": "copy",
    "task": {"name": "copy", "train": SIZE, "valid": SIZE | {"num_graphs": 5}, "tests": {"4": SIZE}},
    "models": {
        "bag": {
            "class_path": "plstm_graph.nn.baselines.BagOfNodes",
            "init_args": {"hidden_channels": 8, "ffn_ratio": 2},
        }
    },
    "training": {"epochs": 1, "batch_size": 4},
    "space": {"training": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}}, "model.num_layers": {"low": 1, "high": 3}},
    "choose": {"training.batch_size": [2, 4]},
    "seeds": "0-1",
    "threads": 1,
    "device": "cpu",
}


def tune(folder, *more, **changes):
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG | changes, sort_keys=False))
    return main(["tune", "--config", str(folder / "c.yaml"), "--output", str(folder / "run"), *more])


def test_a_search_goes_on_and_its_winner_is_a_configuration(tmp_path, capsys):
    assert tune(tmp_path, "--trials", "2") == 0
    first = {path: path.read_bytes() for path in (tmp_path / "run").rglob("result.json")}
    assert len(first) == 4  # two choices, two seeds
    assert tune(tmp_path, "--trials", "5") == 0
    capsys.readouterr()
    assert all(path.read_bytes() == content for path, content in first.items())
    assert not list((tmp_path / "run").rglob("tests.json"))
    search = json.loads((tmp_path / "run/search.json").read_text())["trials"]
    values = [row["valid/accuracy"] for row in search]
    assert len(search) == 5 and values == sorted(values, reverse=True)
    best = search[0]["choice"]
    assert best.keys() == {"training.lr", "model.num_layers", "training.batch_size"}
    results = [json.loads(path.read_text()) for path in (tmp_path / "run").rglob("result.json")]
    own = [row["valid"]["accuracy"] for row in results if row["choice"] == best]
    assert len(own) == 2 and sum(own) / 2 == pytest.approx(values[0], abs=1e-12)
    text = (tmp_path / "run/search.md").read_text()
    assert "| model.num_layers |" in text and "| option | importance |" in text
    assert (tmp_path / "run/parallel_coordinates.png").read_bytes().startswith(b"\x89PNG")
    assert main(["fit", "--config", str(tmp_path / "run/best.yaml"), "--seeds=0", f"--output={tmp_path / 'fit'}"]) == 0
    (row,) = json.loads((tmp_path / "fit/report.json").read_text())["models"]["bagofnodes"]["seeds"]
    alone = [each for each in results if each["choice"] == best and each["seed"] == 0]
    assert row["valid"] == alone[0]["valid"]


def test_what_a_killed_search_was_at_is_tried_again(tmp_path):
    """The state that kill -9 leaves: a trial that runs for ever in the journal."""
    assert tune(tmp_path, "--trials", "1") == 0
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "run/optuna.journal"))
    )
    left = optuna.load_study(study_name="bag", storage=storage).ask()
    choice = suggest(left, check_space(CONFIG["space"] | CONFIG["choose"]))
    assert tune(tmp_path, "--trials", "2") == 0
    search = json.loads((tmp_path / "run/search.json").read_text())["trials"]
    assert choice in [row["choice"] for row in search] and len(search) == 2


def test_a_choice_that_cannot_be_trained_stops_no_other(tmp_path, capsys):
    space = {"model.ffn_ratio": [2, -1]}
    assert tune(tmp_path, "--trials", "6", "--seeds", "0", space=space, choose={}) == 0
    said = capsys.readouterr().err
    assert "failed" in said and "the search is kept in" in said and "is left to fit" in said
    search = json.loads((tmp_path / "run/search.json").read_text())["trials"]
    assert {row["choice"]["model.ffn_ratio"] for row in search} == {2}
    assert tune(tmp_path, "--name", "b", f"--output={tmp_path / 'b'}", space={"model.ffn_ratio": [-1, -2]}) == 2
    assert "no choice of options could be trained" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {}, "choose": {}}, "nothing to search"),
        ({"space": {"training.lr": {"low": 1.0, "high": 0.1}}}, "from low up to high"),
        ({"space": {"training.lr": {"low": 0.0, "high": 0.1, "log": True}}}, "with log above 0"),
        ({"space": {"training.lr": {"low": 0.1, "hihg": 0.2}}}, "hihg"),
        ({"space": {"trainign.lr": [1, 2]}}, "did you mean training"),
        ({"space": {"training.lr": 3}}, "list of different values"),
        ({"space": {"training.lr": [1, 1]}}, "list of different values"),
        ({"models": CONFIG["models"] | {"other": CONFIG["models"]["bag"]}}, "tune is of one model.*bag, other"),
    ],
)
def test_what_cannot_be_searched(tmp_path, capsys, changes, message):
    import re

    assert tune(tmp_path, "--trials", "1", **changes) == 2
    assert re.search(message, capsys.readouterr().err.replace("\n", " "))
    assert not (tmp_path / "run").exists()


def test_another_search_in_the_same_folder_is_refused(tmp_path, capsys):
    assert tune(tmp_path, "--trials", "1") == 0
    assert tune(tmp_path, "--trials", "2", space={"training.lr": {"low": 1e-3, "high": 1e-1}}) == 2
    assert "space" in capsys.readouterr().err
    del (plain := dict(CONFIG))["space"]
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(plain))
    assert main(["fit", "--config", str(tmp_path / "fit.yaml"), "--output", str(tmp_path / "run")]) == 2


def test_suggestions_lie_in_the_space():
    space = check_space({"a": {"b": {"low": 1, "high": 9}, "c": [[1], {"x": 2}, None]}, "d": {"low": 0.5, "high": 2.0}})
    assert space == {"a.b": Range(1, 9), "a.c": [[1], {"x": 2}, None], "d": Range(0.5, 2.0)}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=random.Random(0).randrange(9)))
    found = [suggest(study.ask(), space) for _ in range(30)]
    assert {type(row["a.b"]) for row in found} == {int} and all(1 <= row["a.b"] <= 9 for row in found)
    assert all(row["a.c"] in space["a.c"] for row in found) and all(0.5 <= row["d"] <= 2 for row in found)
    assert len({str(row["a.c"]) for row in found}) == 3


def test_a_search_that_goes_on_proposes_something_new(tmp_path):
    space = {"training.lr": {"low": 1e-4, "high": 1e-1, "log": True}}
    for trials in ("2", "4"):
        assert tune(tmp_path, "--trials", trials, "--seeds=0", space=space, choose={}) == 0
    search = json.loads((tmp_path / "run/search.json").read_text())["trials"]
    assert len({row["choice"]["training.lr"] for row in search}) == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"low": 1e-4, "high": float("inf")}, "space.training.lr.*finite"),
        ({"low": 0.1, "high": 0.2, "step": 1.0}, "space.training.lr.*step goes at least once"),
        ({"low": 0.1, "high": 0.2, "step": 0.1, "log": True}, "space.training.lr.*not for those with log"),
    ],
)
def test_a_range_that_is_none_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        check_space({"training.lr": values})
