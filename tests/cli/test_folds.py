"""Studies over folds on real graphs: resuming, reports, and messages for what is wrong."""

import json
import os
import signal
import time

import pytest
import yaml

from plstm_graph.cli import main
from plstm_graph.report.study import markdown, summarise
from plstm_graph.tasks.tu import PAPER
from plstm_graph.train.arguments import parse_numbers
from plstm_graph.train.command import parse
from tests.processes import ROOT, Command

_CONFIG = """
task:
  name: tu
  set: MUTAG
training:
  epochs: 4
  batch_size: 64
models:
  plstm:
    class_path: plstm_graph.nn.PLSTM
    init_args:
      hidden_channels: 16
      num_layers: 1
      modes: P
seeds: 42
folds: 0-9
threads: 1
device: cpu
"""
_RUN = ("fit", "--config", "mutag.yaml", "--output", "out")


@pytest.fixture
def folder(tmp_path, real_data, monkeypatch):
    (tmp_path / "mutag.yaml").write_text(_CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLSTM_DATA", str(real_data))
    return tmp_path


def _fails(capsys, *arguments):
    """The message of a command that must fail."""
    try:
        status = main(arguments)
    except SystemExit as exit:  # how argparse and jsonargparse leave
        status = exit.code
    message = capsys.readouterr().err
    assert status == 2, message
    assert "Traceback" not in message
    return message


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_a_killed_run_goes_on_without_its_finished_folds(folder):
    long = (*_RUN, "--folds", "0-1", "--training.epochs", "8")
    run = Command(long, folder)
    results, plstm = folder / "out" / "results.jsonl", folder / "out" / "plstm"
    deadline = time.monotonic() + 600  # for a machine with other work
    while not (results.exists() and (plstm / "fold_1/seed_42/epochs.jsonl").exists()):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait(60) == -signal.SIGKILL
    before = _lines(results)
    assert [row["fold"] for row in before] == [0]

    again = Command(long, folder)
    assert again.wait(240) == 0, again.err
    after = _lines(results)
    assert "fold 0, seed 42, epoch" not in again.err and "fold 1" in again.err
    assert after[0] == before[0]
    assert [row["fold"] for row in after] == [0, 1]
    epochs = _lines(plstm / "fold_1/seed_42/epochs.jsonl")
    assert [row["epoch"] for row in epochs] == list(range(8))
    report = (folder / "out" / "report.md").read_text()
    assert report == again.out
    assert report.startswith("# MUTAG\n") and "| folds |" in report
    assert "| pLSTM (paper) | 0.8512 |" in report
    summary = json.loads((folder / "out" / "report.json").read_text())
    model = summary["models"]["plstm"]
    accuracies = [row["tests"]["test"]["accuracy"] for row in after]
    assert model["tests"]["test/accuracy"]["mean"] == pytest.approx(sum(accuracies) / 2)
    assert summary["config"]["training"]["epochs"] == 8
    assert (folder / "out" / "best.ckpt").is_file() and not list((folder / "out").glob("ogb_form*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task.set", "MUTAAG", "--task.source", "."), "no MUTAAG.zip or TU/MUTAAG.zip"),
        (("--task.source", "nowhere"), "it has no zips at all"),
        (("--folds", "0-10"), "folds are numbered from 0 to 9"),
        (("--folds", "all"), "folds must be numbers and ranges"),
        (("--workers", "0"), "workers"),
        (("--training.epoch", "5"), "epoch"),
        (("--task.tie", "loss"), "there is no option 'tie' (did you mean ties?)"),
        (("--only", "gru"), "gru"),
        (("--models.plstm.init_args.hidden", "5"), "hidden"),
        (("--models.plstm.init_args.hidden_channels", "600"), "more than max_parameters=300,000"),
        (("--device", "gpu"), "device 'gpu' cannot be used"),
        (("--config", "none.yaml"), "none.yaml"),
    ],
)
def test_bad_options(folder, capsys, options, message):
    assert message in _fails(capsys, *_RUN, *options)
    assert not (folder / "out").exists()


def test_a_truncated_zip(folder, capsys, real_data):
    (folder / "MUTAG.zip").write_bytes((real_data / "TU" / "MUTAG.zip").read_bytes()[:5000])
    assert "MUTAG.zip is no zip file, or damaged or cut short (5000 bytes)" in _fails(
        capsys, *_RUN, "--task.source", "."
    )
    assert sorted(path.name for path in folder.iterdir()) == ["MUTAG.zip", "datasets", "mutag.yaml"]
    assert not list((folder / "datasets").iterdir())


def test_results_of_another_configuration_are_left_alone(folder, capsys):
    study = parse([*_RUN[1:], "--training.epochs", "7", "--folds", "0-3"]).study
    study.claim()
    parse([*_RUN[1:], "--training.epochs", "7", "--workers", "2", "--training.compile", "true"]).study.claim()
    parse([*_RUN[1:], "--training.epochs", "7", "--task.source", "there", "--task.root", "elsewhere"]).study.claim()
    with pytest.raises(ValueError, match=r"of another configuration \(training.epochs is 4, was 7\): give another"):
        parse(_RUN[1:]).study.claim()
    with pytest.raises(ValueError, match=r"of another configuration \(task.split_seed is 43, was None\)"):
        parse([*_RUN[1:], "--training.epochs", "7", "--task.split_seed", "43"]).study.claim()
    assert yaml.safe_load((folder / "out" / "config.yaml").read_text())["training"]["epochs"] == 7
    (folder / "out" / "config.yaml").rename(folder / "out" / "thesis.tex")
    assert "it has no config.yaml" in _fails(capsys, *_RUN)
    assert [path.name for path in (folder / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((), "mutag-plstm"),
        (("--task.set", "PTC_FM"), "ptc-fm-plstm"),
        (("--models.gin.class_path", "plstm_graph.nn.baselines.GIN"), "mutag-plstm-gin"),
        (("--models.gin.class_path", "plstm_graph.nn.baselines.GIN", "--only", "gin"), "mutag-plstm-gin"),
        (("--config", str(ROOT / "configs/tu/models/lstm_gnn.yaml")), "mutag-lstm-gnn"),
        (("--name", "Mine"), "Mine"),
    ],
)
def test_each_configuration_gets_a_folder_of_its_own(tmp_path, options, name):
    (tmp_path / "mutag.yaml").write_text(_CONFIG)
    assert parse(["--config", str(tmp_path / "mutag.yaml"), *options]).study.folder.as_posix() == f"runs/{name}"


def test_folds():
    assert parse_numbers("0-9", "folds", 10) == list(range(10))
    assert parse_numbers("7,0,2-3", "folds", 10) == [0, 2, 3, 7]


@pytest.mark.parametrize("published", [{}, {name: {"test/accuracy": value} for name, value in PAPER["MUTAG"].items()}])
def test_the_spread_is_unbiased(published):
    row = {
        "seed": 42,
        "choice": {},
        "parameters": 10,
        "seconds": 2.0,
        "seconds_per_epoch": 1.0,
        "epoch": 3,
        "epochs": 4,
    }
    row |= {"valid": {"accuracy": 0.5}}
    rows = [
        row | {"fold": fold, "tests": {"test": {"accuracy": value, "seconds": 1.0}}}
        for fold, value in enumerate([0.7, 0.8, 0.9])
    ]
    summary = summarise("OTHER", {"gin": rows}, {"accuracy": "max"}, published)
    model = summary["models"]["gin"]
    assert model["tests"]["test/accuracy"]["std"] == pytest.approx(0.1)
    assert model["seconds"] == 2
    text = markdown(summary | {"machine": {"processor": "p", "packages": {}}, "command": "plstm-graph fit"})
    assert text.startswith("# OTHER\n\n| model | test/accuracy | folds |")
    assert "| gin | 0.8000 ± 0.1000 | 3 |" in text and "| gin | 1 | 42 | 0.5000 | 0.8000 | 3 | 4 | 2 |" in text
    assert ("0.8512" in text) == bool(published)
    alone = summarise("OTHER", {"gin": rows[:1]}, {"accuracy": "max"})
    assert alone["models"]["gin"]["tests"]["test/accuracy"]["std"] is None


_MODELS = [None, *sorted(path.stem for path in (ROOT / "configs/tu/models").glob("*.yaml"))]


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "tu").glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("model", _MODELS)
def test_shipped_configurations(path, model, real_data, tmp_path):
    from plstm_graph.tasks.registry import load_task
    from plstm_graph.train.trial import count_parameters, make_model

    extra = [] if model is None else ["--config", str(ROOT / f"configs/tu/models/{model}.yaml")]
    study = parse(["--config", str(path), *extra]).study
    assert study.plain["task"]["set"].lower() == path.stem
    assert (study.seeds, study.folds) == ([42], list(range(10)))
    (trial,) = study.first_trials(model or "plstm")
    assert trial.training.final_lr == 0 and trial.task["fold"] == 0
    # Features of MUTAG stand for those of all.
    small = load_task("tu", root=str(tmp_path), source=str(real_data), **{"set": "MUTAG", "max_parameters": None})
    assert count_parameters(make_model(trial.spec, small, trial.training)) < 300_000


@pytest.mark.parametrize(
    "path",
    sorted([*(ROOT / "configs/ogb").glob("*.yaml"), *(ROOT / "configs/lrgb").glob("*.yaml")]),
    ids=lambda p: p.stem,
)
@pytest.mark.parametrize("model", [None, *sorted(path.stem for path in (ROOT / "configs/ogb/models").glob("*.yaml"))])
def test_shipped_benchmarks(path, model):
    extra = [] if model is None else ["--config", str(ROOT / f"configs/ogb/models/{model}.yaml")]
    options = parse(["--config", str(path), *extra])
    assert options.study.plain["task"]["name"] == "benchmark" and list(options.entries) == [model or "plstm"]
    (trial,) = options.study.first_trials(model or "plstm")
    is_gnn = model is not None and model.startswith("g")
    assert trial.training.weight_decay == (0 if is_gnn else 0.01)
    assert "out_channels" not in trial.spec["init_args"] and len(options.study.seeds) in (4, 10)
