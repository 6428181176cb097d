import json

import pytest

from benchmarks.operators.figures import FIGURES, measure_figures
from benchmarks.operators.plots import save_plots
from benchmarks.operators.report import figures_table, to_markdown
from benchmarks.operators.results import auto_against_best, find_together
from benchmarks.operators.suites import BOTH

GATE = {"passed": True, "tolerance": 1e-10, "forms": ["auto", "parallel"], "not_built": [], "workloads": []}
MACHINE = {
    **{"processor": "abacus", "cores": 2, "memory_gib": 4.0, "system": "Linux", "python": "3.11"},
    **{"packages": {"torch": "2.13.0"}, "revision": None},
}


def measurement(workload, operator, seconds, pass_name=BOTH, **more):
    spread = {"median": seconds, "q1": seconds, "q3": seconds, "min": seconds, "repetitions": 3}
    return {"workload": workload, "operator": operator, "pass": pass_name, "seconds": spread, **more}


def results_of(*groups, **more):
    names = {entry["workload"] for group in groups for entry in group}
    sizes = {name: int(name.split("-")[1]) if name.split("-")[1].isdigit() else 7 for name in names}
    return {
        **{"format": 1, "started": "now", "machine": MACHINE, "threads": 2, "repeat": 3, "budget_s": 10.0},
        **{"load_before": 0.0, "gate": GATE},
        "workloads": {name: {"edges": size, "depth": size} for name, size in sizes.items()},
        "groups": [
            {
                "width": {"heads": 4, "key": 24, "value": 24},
                "reference": "GATv2Conv",
                "measurements": list(group),
                "skipped": [],
            }
            for group in groups
        ],
        **more,
    }


def figures_of(cores=2, **runs):
    """Measured value and verdict of each figure that was measured, by the beginning of its name."""
    rows = measure_figures(runs, cores)
    assert len(rows) == len(FIGURES)
    json.dumps(rows, allow_nan=False)
    return {row["what"]: (row["measured"], row["met"]) for row in rows if row["measured"] is not None}


def test_only_what_was_timed_together_is_compared():
    ours, theirs = measurement("nci-128", "plstm auto", 0.003), measurement("nci-128", "GATv2Conv", 0.004)
    assert figures_of(figures=results_of([ours], [theirs])) == {}
    name = "operator, gates given, 128 molecules, against GATv2Conv"
    assert figures_of(figures=results_of([ours, theirs])) == {name: (pytest.approx(0.75), "no")}
    assert figures_of(figures=results_of([ours], [theirs | ours])) == {}


def test_figures():
    peers = ("GATv2Conv", "GATv2Conv, both directions")
    figures = results_of(
        [measurement("nci-128", name, t) for name, t in (("plstm auto", 4.8), ("GATv2Conv", 10.0), ("GINEConv", 4.0))],
        [
            measurement("peptides-128", name, t)
            for name, t in zip(("plstm auto", *peers), (9.0, 8.0, 10.0), strict=True)
        ],
        [measurement(f"chain-{size}", "plstm auto", t) for size, t in ((100_000, 1.2), (10_000, 0.1))],
        [
            measurement("random-1000000", "plstm auto", 20.0, peak_bytes=9_000_000_000),
            measurement("random-100000", "plstm auto", 1.0),
        ],
        [measurement("nci-128", f"{name} model", t, "training step") for name, t in (("PLSTM", 0.23), ("GATv2", 0.2))],
    )
    names = ("plstm auto, 1 thread", "plstm auto, 2 threads")
    threads = results_of([measurement("nci-512", name, t) for name, t in zip(names, (10.0, 6.0), strict=True)])
    sweep = results_of([measurement("chain-9", f"plstm {form}", t) for form, t in (("auto", 1.5), ("parallel", 1.0))])
    circuits = results_of([measurement("circuit-hyp", "plstm auto, from edges", 7.0, peak_bytes=9_000_000_000)])
    native = {"rows": [{"ratio": 0.5}, {"ratio": 1.01}]}
    grids = {"rows": {"grid 24x24, batch 8": {"plstm auto": {"ratio": 0.75}}}, "per_pixel": 1.2}
    runs = {"figures": figures, "threads": threads, "sweep": sweep, "circuits": circuits}
    found = figures_of(**runs, native=native, grids=grids, molecules=results_of(graph_breaks=0))
    expected = {
        "operator, gates given, 128 molecules, against GATv2Conv": (0.48, "limit"),
        "operator, gates given, 128 molecules, against GINEConv": (1.2, "limit"),
        "operator, gates given, 128 peptides, against GATv2Conv in both directions": (0.9, "aim"),
        "operator, gates given, 128 peptides, against GATv2Conv": (1.125, "not asked"),
        "training step of the PLSTM model against a GATv2 model of equal size, 128 molecules": (1.15, "limit"),
        "two threads against one, operator, 512 molecules": (0.6, "limit"),
        "native code against torch only, worst of all forms and workloads": (1.01, "limit"),
        "`auto` against the best form, worst of all workloads": (1.5, "no"),
        "random DAG of 1,000,000 edges, time per edge against 100,000": (2.0, "no"),
        "the same, peak memory": (9.0, "no"),
        "chain of 100,000 edges, time per edge against 10,000": (1.2, "limit"),
        "grid 24 x 24, against softmax attention": (0.75, "aim"),
        "grid, time per pixel, 96 x 96 against 24 x 24": (1.2, "no"),
        "deepest EPFL circuit, all structure and forward+backward": (7.0, "aim"),
        "graph breaks of the PLSTM model under torch.compile, dynamic shapes": (0, "aim"),
    }
    assert {what: met for what, (_, met) in found.items()} == {what: met for what, (_, met) in expected.items()}
    assert [found[what][0] for what in expected] == pytest.approx([value for value, _ in expected.values()])
    # With one thread more is asked of the operator.
    assert figures_of(cores=1, **runs)["operator, gates given, 128 molecules, against GATv2Conv"][1] == "no"


def test_table_of_figures():
    circuits = results_of([measurement("circuit-hyp", "plstm auto, from edges", 7.0, peak_bytes=9_000_000_000)])
    operator = results_of([measurement("nci-128", name, t) for name, t in (("plstm auto", 2.0), ("GATv2Conv", 4.0))])
    columns = {"abacus, 1 thread": ({"circuits": circuits}, 1), "abacus, 2 threads": ({"figures": operator}, 2)}
    lines = figures_table(columns).splitlines()
    assert lines[0] == "| what | at most | aim | abacus, 1 thread | abacus, 2 threads |"
    assert lines[2].endswith("128 molecules, against GATv2Conv | 0.450 / 0.500 | 0.350 |  | 0.500 |")
    assert any(line.endswith("| 60.0 s | 10.0 s | 7.00 s ✓ |  |") for line in lines)
    assert any(line.endswith("| 8.00 GB | 8.00 GB | **9.00 GB** |  |") for line in lines)


def test_auto_is_held_against_the_best_form():
    first = [
        measurement("chain-9", f"plstm {form}", t) for form, t in (("auto", 3.0), ("naive", 9.0), ("parallel", 2.0))
    ]
    second = [measurement("grid-3", "plstm auto", 1.0), measurement("grid-3", "plstm recurrent", 1.0)]
    alone = [measurement("grid-4", "plstm auto", 5.0), measurement("grid-4", "GCNConv", 1.0)]
    results = results_of(first, second, alone)
    assert auto_against_best(results) == [
        ("chain-9", "plstm parallel", pytest.approx(1.5)),
        ("grid-3", "plstm recurrent", pytest.approx(1.0)),
    ]
    assert "at most 1.50 times as long as the best form, forward+backward (on chain-9, where plstm parallel" in (
        to_markdown(results)
    )


def test_markdown():
    group = [
        measurement("nci-128", "plstm auto", 0.0042, peak_bytes=3 * 2**20),
        measurement("nci-128", "GATv2Conv", 0.0021),
        measurement("nci-128", "structure", 0.5, "build"),
    ]
    results = results_of(group, command="python -m benchmarks.operators", suite="molecules", load_before=1.5)
    results["groups"][0]["skipped"] = [{"workload": "nci-128", "operator": "plstm naive", "reason": "too slow"}]
    text = to_markdown(results, ["time_by_size.png"])
    assert "# Benchmark: molecules" in text
    assert "| plstm auto | 4.20 (4.20, 4.20) |  | 2.00 | 3.0 |" in text
    assert "| structure |  | 500 (500, 500) |  |  |" in text
    assert "* nci-128, plstm naive: too slow" in text
    assert "**the machine was busy** (load 1.5" in text
    assert "![time by size](time_by_size.png)" in text


def test_plots(tmp_path):
    chains = [measurement(f"chain-{n}", form, n / 1e6) for n in (10, 100, 1000) for form in ("plstm auto", "GCNConv")]
    layers = [measurement(f"layered-{n}", "plstm auto", n / 1e6, peak_bytes=n) for n in (10, 100, 1000)]
    assert save_plots(results_of(chains), tmp_path) == ["time_by_size.png"]
    assert save_plots(results_of(layers), tmp_path) == ["time_by_depth.png"]
    with_memory = [entry | {"peak_bytes": 1000} for entry in chains]
    assert save_plots(results_of(with_memory), tmp_path) == ["time_by_size.png", "memory_by_size.png"]
    assert save_plots(results_of(chains[:2]), tmp_path) == []
    found = sorted(tmp_path.iterdir())
    assert [path.name for path in found] == ["memory_by_size.png", "time_by_depth.png", "time_by_size.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in found)


def test_a_case_with_one_other_pass_is_found_by_it():
    results = results_of([measurement("chain-1", "a", 1.0, "build"), measurement("chain-1", "b", 1.0, "forward")])
    assert find_together(results, BOTH, ("chain-1", "a"), ("chain-1", "b")) is not None
    assert find_together(results, BOTH, ("chain-1", "a"), ("chain-1", "c")) is None
