"""``plstm-graph crossval`` on real graphs: resuming, reports, and messages for what is wrong."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from plstm_graph.train.crossval.fold import count_parameters
from plstm_graph.train.crossval.options import (
    MODELS,
    expand,
    make_parser,
    open_folder,
    parse_folds,
    read_results,
    write_results,
)
from plstm_graph.train.crossval.report import markdown, summarise

from plstm_graph.cli import main
from tests.cli.conftest import ROOT, command

_CONFIG = """
data:
  name: MUTAG
training:
  epochs: 4
model:
  class_path: plstm_graph.nn.PLSTM
  init_args:
    hidden_channels: 16
    num_layers: 1
    modes: P
"""
_RUN = ("crossval", "--config", "mutag.yaml", "--output", "out")


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
    long = (*_RUN, "--folds", "0-1", "--jobs", "1", "--training.epochs", "12")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen([sys.executable, "-m", "plstm_graph.cli", *long], env=environment, stderr=subprocess.DEVNULL)
    results = folder / "out" / "results.jsonl"
    deadline = time.monotonic() + 600  # for a machine with other work
    while not (results.exists() and (folder / "out" / "folds" / "fold-1.jsonl").exists()):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    before = _lines(results)
    assert [row["fold"] for row in before] == [0]

    done = command(folder, *long)
    after = _lines(results)
    assert "1 of 2 folds to train" in done.stderr
    assert "fold 0" not in done.stderr
    assert after[0] == before[0]
    assert [row["fold"] for row in after] == [0, 1]
    epochs = _lines(folder / "out" / "folds" / "fold-1.jsonl")
    assert [row["epoch"] for row in epochs] == list(range(12))
    report = (folder / "out" / "report.md").read_text()
    assert report == done.stdout
    assert "# PLSTM on MUTAG: 0." in report
    assert "the paper's: pLSTM 0.8512" in report
    summary = json.loads((folder / "out" / "report.json").read_text())
    assert summary["test_accuracy"] == pytest.approx(sum(row["test_accuracy"] for row in after) / 2)
    assert summary["config"]["training"]["epochs"] == 12


def test_a_full_disk_keeps_the_finished_folds(tmp_path):
    results = [{"fold": 0, "test_accuracy": 0.8}]
    write_results(tmp_path, results)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))  # a file that cannot grow stands for a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            write_results(tmp_path, [*results, {"fold": 1, "test_accuracy": 0.7}] * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_results(tmp_path) == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data.name", "MUTAAG"), "no MUTAAG.zip or TU/MUTAAG.zip"),
        (("--data.source", "nowhere"), "it has no zips at all"),
        (("--folds", "0-10"), "folds are numbered from 0 to 9"),
        (("--folds", "all"), "folds must be numbers and ranges"),
        (("--jobs", "0"), "jobs"),
        (("--training.epoch", "5"), "epoch"),
        (("--model", "gru"), "gru"),
        (("--model.hidden", "5"), "hidden"),
        (("--model.hidden_channels", "600"), "more than max_parameters=300,000"),
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
        capsys, *_RUN, "--data.source", "."
    )
    assert sorted(path.name for path in folder.iterdir()) == ["MUTAG.zip", "datasets", "mutag.yaml"]
    assert not list((folder / "datasets").iterdir())


def test_results_of_another_configuration_are_left_alone(folder, capsys):
    old = {"training": {"epochs": 7, "lr": 0.1}, "data": {"source": "here"}, "folds": "0-3"}
    plain = {"training": {"epochs": 4, "lr": 0.1}, "data": {"source": "there"}, "folds": "0-9"}
    assert open_folder("out", old) == open_folder("out", old | {"folds": "0-9", "jobs": 1})
    with pytest.raises(ValueError, match=r"of another configuration \(training.epochs is 4, was 7\): give another"):
        open_folder("out", plain)
    assert "epochs: 7" in (folder / "out" / "config.yaml").read_text()
    (folder / "out" / "config.yaml").rename(folder / "out" / "thesis.tex")
    assert "it has no config.yaml" in _fails(capsys, *_RUN)
    assert [path.name for path in (folder / "out").iterdir()] == ["thesis.tex"]


def test_each_configuration_gets_a_folder_of_its_own(folder):
    plain = {"data": {"name": "MUTAG"}, "model": {"class_path": "plstm_graph.nn.baselines.GIN"}, "lr": 0.1}
    names = [open_folder(None, plain | {"lr": lr}).name for lr in (0.1, 0.2, 0.1)]
    assert names == ["MUTAG-GIN", "MUTAG-GIN-2", "MUTAG-GIN"]


def test_a_damaged_line_of_results_is_named(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"fold": 0}\n{"fold"')
    with pytest.raises(ValueError, match=r"results.jsonl, line 2 is not JSON .* remove it to run its fold again"):
        read_results(tmp_path)


def test_short_names():
    assert expand(["--model", "gin", "--seed", "3"]) == [
        "--model",
        "plstm_graph.nn.baselines.GIN",
        "--training.seed",
        "3",
    ]
    assert expand(["--model=LSTM-GNN", "--seed=1", "--data.name", "gin"]) == [
        "--model=plstm_graph.nn.baselines.LSTMGNN",
        "--training.seed=1",
        "--data.name",
        "gin",
    ]


def test_folds():
    assert parse_folds("0-9") == list(range(10))
    assert parse_folds("7,0,2-3") == [0, 2, 3, 7]


def test_the_spread_is_unbiased():
    fold = {"valid_accuracy": 0.5, "parameters": 10, "seconds": 2.0, "best_epoch": 3, "graphs": {"train": 8}}
    results = [fold | {"fold": number, "test_accuracy": value} for number, value in enumerate([0.7, 0.8, 0.9])]
    plain = {"data": {"name": "OTHER"}, "model": {"class_path": "plstm_graph.nn.baselines.GIN"}}
    summary = summarise(results, plain, "plstm-graph crossval")
    assert summary["test_std"] == pytest.approx(0.1)
    assert summary["seconds"] == 6
    text = markdown(summary)
    assert text.startswith("# GIN on OTHER: 0.8000 ± 0.1000 test accuracy")
    assert "the paper's" not in text
    assert summarise(results[:1], plain, "")["test_std"] is None


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "tu").glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("model", [None, *MODELS])
def test_shipped_configurations(path, model):
    parser = make_parser()
    extra = [] if model is None else ["--model", model]
    options = parser.instantiate(parser.parse_args(expand(["--config", str(path), *extra])))
    assert options.data.name.lower() == path.stem
    assert count_parameters(options.model(2, 18, 4)) < options.training.max_parameters
