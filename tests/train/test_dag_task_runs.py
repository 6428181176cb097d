"""Runs of the tasks of the documentation, made small: stopped, gone on with, and reported in a table of numbers."""

import json
import math

import pytest
import torch

from plstm_graph.cli import main
from plstm_graph.console import Console
from plstm_graph.datasets.workflows import workflows
from tests.made_circuits import circuit_folder
from tests.made_workflows import ForksAndJoins

FAMILY = "{num_graphs: 6, generations: 2, size: 10}"
FLOW = "num_graphs: 4, smallest: 5, largest: 20"
#: Options on top of the configuration, and metrics of a test that the table must have.
RUNS = {
    "timing": (
        ["--task.samples=16", "--task.nodes=20", "--task.target_scale=log"],
        [f"test_{circuit}/{metric}" for circuit in ("hyp", "voter") for metric in ("r2", "relative", "slack", "path")],
    ),
    "pedigrees": (
        [f"--task.train={FAMILY}", f"--task.valid={FAMILY}", f"--task.tests={{6: {FAMILY}}}"],
        [f"test_6/{metric}" for metric in ("accuracy", "of_blup", "blup", "rmse")],
    ),
    "workflows": (
        [
            "--task.applications=[bwa, genome]",
            f"--task.train={{{FLOW}}}",
            f"--task.valid=[{{{FLOW}}}]",
            f"--task.tests={{same: {{{FLOW}}}, others: {{applications: [blast], {FLOW}}}}}",
            "--task.target_scale=log1p",
        ],
        [f"test_{test}/{metric}" for test in ("same", "others") for metric in ("mape", "bounds", "informed")],
    ),
}
RUNS["workflows of finish times"] = (
    [*RUNS["workflows"][0][:-1], "--task.target=critical_path", "--task.target_scale=raw"],
    [f"test_{test}/{metric}" for test in ("same", "others") for metric in ("mape", "rmse", "planned")],
)


def table_of(text):
    """The rows of the first Markdown table in a text, by their first column."""
    first = text[text.index("\n|") :].strip().split("\n\n")[0]  # of models; one of trainings follows
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines()]
    header, _, *rows = rows
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def lasting(path):
    """What is written of a training, but how long it took and how much memory the process has had."""
    values = json.loads(path.read_text())
    rows = {name: row for name, row in values.items() if isinstance(row, dict)}
    plain = {
        name: value
        for name, value in values.items()
        if name not in rows and "seconds" not in name and "peak" not in name
    }
    return plain | {name: {key: value for key, value in row.items() if key != "seconds"} for name, row in rows.items()}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_goes_on_to_a_table_of_numbers(name, request, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workflows, "Recipe", ForksAndJoins)
    options, metrics = RUNS[name]
    task = name.split()[0]
    config = request.config.rootpath / "configs" / "dags" / f"{task}.yaml"
    if task == "timing":
        options = [*options, f"--task.source={circuit_folder(tmp_path / 'source', gates=30)}"]
    if task != "pedigrees":  # which are made anew each time
        options = [*options, f"--task.root={tmp_path / 'root'}"]
    command = [
        *("fit", "--config", str(config), "--only", "plstm", "--seeds", "0", "--training.lr", "0.003", "--choose={}"),
        *("--training.epochs=2", "--training.batch_size=4", "--threads=1", "--device=cpu", *options),
    ]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert main([*command, "--output", str(whole)]) == 0
    said = capsys.readouterr()
    row = table_of(said.out)["plstm"]
    assert set(metrics) <= set(row)
    assert all(math.isfinite(float(row[metric])) for metric in row if metric.startswith("test_"))
    report = json.loads((whole / "report.json").read_text())["models"]["plstm"]["tests"]
    assert all(
        f"{report[metric]['mean']:.4f}" == row[metric] for metric in metrics if abs(report[metric]["mean"]) > 0.01
    )

    say = Console.say

    def stop(self, text, *more, **options):
        say(self, text, *more, **options)
        if "epoch 1/2" in text:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Console, "say", stop)
        assert main([*command, "--output", str(stopped)]) == 130
    assert "goes on from the last whole epoch" in capsys.readouterr().err
    assert not list(stopped.rglob("result.json")) and not (stopped / "report.json").exists()
    assert main([*command, "--output", str(stopped)]) == 0
    assert table_of(capsys.readouterr().out)["plstm"].keys() == row.keys()
    for file in ("result.json", "tests.json"):
        (one,), (other,) = whole.rglob(file), stopped.rglob(file)
        assert lasting(one) == lasting(other)  # the same arithmetic, with a pause
    (one,), (other,) = whole.rglob("seed_0/best.ckpt"), stopped.rglob("seed_0/best.ckpt")
    one, other = (torch.load(path, weights_only=True)["state_dict"] for path in (one, other))
    assert all(torch.equal(one[key], other[key]) for key in one)
    # Nothing is left to train.
    assert main([*command, "--output", str(stopped)]) == 0
    assert "epoch" not in capsys.readouterr().err
