import json
import subprocess
import sys

import pytest

from benchmarks.operators.command import bench, main
from tests.processes import ROOT


def command(*arguments):
    """As a user runs it, from the root of the repository."""
    called = [sys.executable, "-m", "benchmarks.operators", *arguments]
    return subprocess.run(called, cwd=ROOT, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_smallest_suite(tmp_path):
    folder = tmp_path / "found"
    done = command("--suite", "smoke", "--threads", "1", "--repeat", "2", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["results.json", "results.md"]
    results = json.loads((folder / "results.json").read_text())
    assert results["format"] == 1
    assert results["threads"] == 1
    assert results["gate"]["passed"]
    assert results["command"] == "python -m benchmarks.operators --suite smoke --threads 1 --repeat 2 --budget 10"
    assert set(results["machine"]["packages"]) >= {"torch", "torch_geometric", "plstm_graph"}
    assert set(results["workloads"]) == {"nci-2", "random-60"}
    for sizes in results["workloads"].values():
        assert set(sizes) == {"graphs", "nodes", "edges", "pairs", "depth"}
    (group,) = results["groups"]
    found = {(entry["workload"], entry["operator"], entry["pass"]) for entry in group["measurements"]}
    for operator in ("plstm auto", "plstm naive", "GATv2Conv"):
        for workload in results["workloads"]:
            assert {(workload, operator, name) for name in ("forward", "forward+backward")} <= found
    assert ("nci-2", "structure", "build") in found
    for entry in group["measurements"]:
        assert 0 < entry["seconds"]["q1"] <= entry["seconds"]["median"] <= entry["seconds"]["q3"]
        assert entry["seconds"]["repetitions"] == 2
    assert {"workload": "random-60", "operator": "structure"}.items() <= group["skipped"][-1].items()
    text = (folder / "results.md").read_text()
    assert text in done.stdout
    assert "forward+backward / GATv2Conv" in text


def test_explain(capsys, tmp_path):
    assert bench("smoke", threads=1, repeat=1, budget=1.0, output=str(tmp_path / "none"), explain=True) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line.split() for line in lines if "random-60" in line]
    assert row[1:4] == ["2x4x4", "60", "156"]
    # Costs of two forms, no blocks for so small a graph, and the cheaper of the two.
    shown = {"recurrent": float(row[6]), "parallel": float(row[7])}
    assert shown[row[8]] == min(shown.values())
    assert not (tmp_path / "none").exists()


def test_bad_input_measures_nothing(tmp_path):
    with pytest.raises(ValueError, match="must be positive"):
        bench("smoke", threads=0, repeat=1, budget=1.0, output=str(tmp_path), explain=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        bench("smoke", threads=1, repeat=1, budget=1.0, output=str(tmp_path / "file"), explain=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "0"), "--threads, --repeat and --budget must be positive"),
        (("--threads", "1000000"), "--threads must be at most 1024"),
        (("--budget", "nan"), "--threads, --repeat and --budget must be positive"),
        (("--output", "/proc/none"), "/proc/none"),
        (("--suite", "nothing"), "invalid choice: 'nothing'"),
    ],
)
def test_bad_arguments_get_a_message(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--suite", "smoke", *arguments])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert message in shown.err and shown.out == ""


def test_help_names_the_suites(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(suite in shown for suite in ("figures", "molecules", "forms", "depth", "circuits"))
