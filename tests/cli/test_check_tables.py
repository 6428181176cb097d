"""What `check` prints is whole at every width, on a terminal or in a pipe."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from plstm_graph.cli import main

_REAL = str(Path(__file__).parents[2] / "datasets" / "nas_bench_graph_proteins")
_LONG = "a_name_of_a_target_that_is_so_long_that_no_terminal_has_room_for_it_and_for_numbers_beside_it"


def folder(targets, task="regression"):
    """Columns of graphs by name, each with its cells."""
    made, number = Path("dags"), len(next(iter(targets.values())))
    made.mkdir()
    rows = zip(*targets.values(), strict=True)
    lines = [f"g{each},{','.join(map(str, row))}" for each, row in enumerate(rows)]
    (made / "graphs.csv").write_text("\n".join([",".join(["graph", *targets]), *lines, ""]))
    (made / "edges.csv").write_text("graph,source,target\n" + "".join(f"g{each},a,b\n" for each in range(number)))
    (made / "dag.yaml").write_text(json.dumps({"targets": list(targets), "task": task}))


_FOLDERS = {
    "long name, many classes": ({_LONG: [f"class number {n % 35} of many" for n in range(200)]}, "classification"),
    "two hundred classes": ({"y": [f"c{n % 200}" if n < 400 else f"c{n % 20}" for n in range(800)]}, "classification"),
    "many targets": ({f"target_{t}_of_many": [t * n for n in range(40)] for t in range(30)}, "regression"),
    "many labels": ({f"label_{t}": [(n + t) % 2 for n in range(40)] for t in range(30)}, "multilabel"),
    "huge numbers": ({"y": [n * 1.23456789e30 for n in range(40)], "z": [n * -1e-30 for n in range(40)]}, "regression"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("kind", _FOLDERS)
def test_counts_are_whole(kind, columns, monkeypatch, capsys):
    targets, task = _FOLDERS[kind]
    folder(targets, task)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["check", "dags", "--output", "dags.json"]) == 0
    shown = capsys.readouterr().out
    assert "…" not in shown
    tables = [line for line in shown.split("\n") if line[:1] in "│┃" and line]
    assert max(map(len, tables)) <= columns
    found = json.loads(Path("dags.json").read_text())["targets"]
    labels = re.sub(r"\s", "", "".join(re.findall(r"^[│┃] (.*?) *[│┃]", shown, flags=re.M)))
    for name in targets:
        assert name in labels
    if kind == "two hundred classes":
        assert "161otherclasses" in labels
        others = re.search(r"161 other[^│]*│([^\n]*)│", shown)
        known = found["y"]["train"]
        listed = sum(int(count) for count in re.findall(r"^│ c\d+ +│ (\d+)", shown, flags=re.M))
        assert listed + int(others[1].split("│")[0].replace(",", "")) == known["known"]
    elif task == "classification":
        for part, counts in found[_LONG].items():
            assert part in shown and all(f" {count} " in shown for count in counts.values())
            assert all(re.sub(r"\s", "", word) in labels for word in counts)


def test_a_pipe_gets_all_of_it(tmp_path):
    """As a process of its own, whose output is no terminal."""
    folder(*_FOLDERS["long name, many classes"])
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "plstm_graph.cli", "check", "dags"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert "…" not in shown and "class number 34 of many" in shown


@pytest.mark.parametrize("columns", [40, 80])
def test_real_rows(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["check", _REAL]) == 0
    shown = capsys.readouterr().out
    rows = dict(re.findall(r"^│ (known|mean|std|min|max) +│ (\d[\d.,]*) ", shown, flags=re.M))
    assert len(rows) == 5 and "…" not in shown
