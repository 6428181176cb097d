"""Studies in several processes: trials side by side, trials of several processes each, and some that are killed."""

import json
import os
import signal
import threading
import time

import pytest
import torch
import yaml
from joblib.externals.loky import reusable_executor

from plstm_graph.cli import main
from tests.processes import Command

SIZE = {"num_graphs": 12, "size": 6, "smallest": 2}
WIDTH = {"hidden_channels": 8, "num_layers": 1, "heads": 2}
CONFIG = {
    "name": "copy",
    # Of each chain one node has a target; the others have none.
    "task": {"name": "copy", "train": SIZE, "valid": SIZE | {"num_graphs": 5}, "tests": {"4": SIZE}},
    "models": {
        "plstm": {"class_path": "plstm_graph.nn.PLSTM", "init_args": {**WIDTH, "modes": "P", "direction": "forward"}},
        "bag": {
            "class_path": "plstm_graph.nn.baselines.BagOfNodes",
            "init_args": {"hidden_channels": 8, "ffn_ratio": 2},
        },
    },
    "training": {"epochs": 2, "batch_size": 4, "average": 1.0},
    "choose": {"training.lr": [0.001, 0.01]},
    "seeds": "0,1",
    "threads": 1,
    "device": "cpu",
}
_LONGEST = 300.0  # seconds that a command may take on a machine that may be busy


def write(folder, **changes):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG | changes, sort_keys=False))
    return str(path)


def numbers(folder):
    """What a study found, without times: of its report, and of the epochs of each trial."""
    report = json.loads((folder / "report.json").read_text())["models"]
    found = {
        name: {row["seed"]: [row["choice"], row["epoch"], row["valid"], plain(row["tests"])] for row in model["seeds"]}
        for name, model in report.items()
    }
    epochs = {}
    for path in sorted(folder.rglob("epochs.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        epochs[str(path.relative_to(folder))] = [
            {name: value for name, value in row.items() if name != "seconds"} for row in rows
        ]
    return found, epochs


def plain(tests):
    return {test: {name: value for name, value in row.items() if name != "seconds"} for test, row in tests.items()}


def run(folder, *more, status=0):
    """The command in a process of its own, as the leader of a group."""
    process = Command(["fit", "--config", write(folder), "--output", str(folder / "run"), *more], folder)
    assert process.wait(_LONGEST) == status, process.err
    return process.err


@pytest.mark.slow
def test_two_processes_of_a_trial_give_the_numbers_of_one(tmp_path):
    """Gradients and losses are means over known targets, of which the two have different numbers in each step."""
    folders = []
    for name, more in {"one": (), "two": ("--trainer.devices=2", "--trainer.strategy=ddp")}.items():
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        errors = run(folders[-1], "--trainer.precision=64-true", "--only=plstm", *more)
        assert errors.count("parameters, results in") == 1  # one of them speaks
    (one, one_epochs), (two, two_epochs) = (numbers(folder / "run") for folder in folders)
    assert one_epochs.keys() == two_epochs.keys()
    for name, rows in one_epochs.items():
        for row, other in zip(rows, two_epochs[name], strict=True):
            assert other == pytest.approx(row, rel=1e-5), name  # the sum of losses is passed on in float32
    for model, seeds in one.items():
        for seed, (choice, epoch, *_) in seeds.items():
            assert two[model][seed][:2] == [choice, epoch]
    for path in (folders[0] / "run").rglob("best.ckpt"):
        other = folders[1] / path.relative_to(folders[0])
        weights = [torch.load(each, weights_only=True)["state_dict"] for each in (path, other)]
        for key, value in weights[0].items():
            # Sums of float64 in another order, through some ten steps of an optimiser that divides by small numbers.
            torch.testing.assert_close(weights[1][key], value, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_trials_side_by_side_and_one_that_is_killed(tmp_path, capsys):
    """By kill -9 in the middle: nothing is lost, and all numbers are those of one process."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    more = ["--training.epochs=6"]
    assert main(["fit", "--config", write(tmp_path / "one"), "--output", str(tmp_path / "one/run"), *more]) == 0
    killed = []

    def kill_one():
        ended = time.monotonic() + _LONGEST
        while not killed and time.monotonic() < ended:
            pool = reusable_executor._executor  # asking for it would make another one
            if pool is not None and list((tmp_path / "two" / "run").rglob("epochs.jsonl")):
                killed.extend(list(pool._processes)[:1])
                os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one)
    thread.start()
    try:
        command = ["fit", "--config", write(tmp_path / "two"), "--output", str(tmp_path / "two/run"), "--workers=2"]
        assert main([*command, *more]) == 0
    finally:
        thread.join()
    assert killed
    assert numbers(tmp_path / "one/run") == numbers(tmp_path / "two/run")
    assert not list(tmp_path.rglob("last.ckpt"))
    capsys.readouterr()
    assert main([*command, *more]) == 0
    assert "epoch" not in capsys.readouterr().err


@pytest.mark.slow
def test_batches_that_two_processes_cannot_share(tmp_path):
    more = "--training.batch_size=5", "--trainer.strategy=ddp", "--trainer.devices=2"
    errors = run(tmp_path, *more, status=2)
    assert "batch_size must be a multiple of it" in errors and "Traceback" not in errors
