"""Ctrl-C and SIGTERM end every long command in good order: message, status, children; what is done stays."""

import os
import signal
import time

import pytest

from plstm_graph.cli import Terminated, main
from plstm_graph.datasets.storage.files import replace_text
from tests.long_commands import LONG_COMMANDS
from tests.processes import Command, environment, group_lives

_PATIENCE = 120.0  # seconds, on a machine that may be busy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number", "kept"),
    [
        ("fit-molecules", signal.SIGINT, "runs/run/plstm/seed_0/last.ckpt"),
        ("fit-molecules", signal.SIGTERM, "runs/run/plstm/seed_0/last.ckpt"),
        ("folds", signal.SIGINT, "runs/made-plstm/config.yaml"),
        ("benchmark", signal.SIGTERM, "runs/run/plstm/seed_0/last.ckpt"),
        ("dags", signal.SIGINT, "runs/run/plstm/lr_0.001/seed_0/last.ckpt"),
        ("images", signal.SIGTERM, "runs/run/vit/lr_0.01/seed_5/last.ckpt"),
    ],
)
def test_a_long_command_ends_in_good_order(name, number, kept, tmp_path):
    command, folder = LONG_COMMANDS[name], tmp_path / "work"
    command.prepare(folder, epochs=100_000)
    process = Command([command.command, "--config", "config.yaml"], folder, environment("PLSTM_DATA"))
    deadline = time.monotonic() + _PATIENCE
    try:
        while not (folder / kept).exists():
            assert process.poll() is None, process.err
            assert time.monotonic() < deadline, "it does not begin"
            time.sleep(0.1)
        # A terminal sends Ctrl-C to children, too.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        status = process.wait(_PATIENCE)
        while group_lives(process.pid):
            assert time.monotonic() < deadline + _PATIENCE, "children still live"
            time.sleep(0.1)
    finally:
        process.kill()
    message = process.err
    assert status == (130 if number == signal.SIGINT else 143), message
    assert "Traceback" not in message
    assert f"plstm-graph {command.command}: stopped. " in message and "he same command goes on" in message
    assert (folder / kept).exists()
    left = [path.name for path in folder.rglob(".*") if path.name.endswith(".part") or path.name == ".running"]
    assert not left


@pytest.mark.parametrize("name", ["folds", "benchmark", "dags", "images"])
def test_a_command_that_is_stopped_as_soon_as_its_folder_is_there_says_how_to_go_on(
    name, tmp_path, monkeypatch, capsys
):
    arguments = LONG_COMMANDS[name].prepare(tmp_path / "work", epochs=1)

    def write_and_stop(path, text):
        replace_text(path, text)
        raise KeyboardInterrupt

    monkeypatch.setattr("plstm_graph.config.run_config.replace_text", write_and_stop)
    monkeypatch.delenv("PLSTM_GRAPH_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path / "work")
    assert main(arguments[arguments.index(LONG_COMMANDS[name].command) :]) == 130
    assert "he same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_any_command_that_is_stopped_says_so(stop, status, monkeypatch, capsys):
    def stopped(*arguments):
        raise stop("How to go on.")

    monkeypatch.delenv("PLSTM_GRAPH_TRACEBACK", raising=False)
    monkeypatch.setattr("plstm_graph.datasets.dag_folder.check.check", stopped)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert main(["check", "anything"]) == status
    assert capsys.readouterr().err == "plstm-graph check: stopped. How to go on.\n"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_sigterm_raises_within_a_command(monkeypatch, capsys):
    def terminate(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE)

    monkeypatch.delenv("PLSTM_GRAPH_TRACEBACK", raising=False)
    monkeypatch.setattr("plstm_graph.datasets.dag_folder.check.check", terminate)
    assert main(["check", "anything"]) == 143
    assert capsys.readouterr().err == "plstm-graph check: stopped.\n"
