import json

import pytest

from benchmarks.operators.figures import FIGURES, measure_figures
from benchmarks.operators.plots import save_plots
from benchmarks.operators.report import to_markdown
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


def test_only_what_was_timed_together_is_compared():
    ours, theirs = measurement("nci-128", "plstm auto", 0.003), measurement("nci-128", "GATv2Conv", 0.004)
    assert measure_figures(results_of([ours], [theirs]))[0]["met"] == "not measured"
    row = measure_figures(results_of([ours, theirs]))[0]
    assert row["measured"] == pytest.approx(0.75)
    assert row["met"] == "aim"


def test_figures():
    big, small = 1_000_000, 100_000
    results = results_of(
        [measurement("chain-100000", "plstm auto", 1.2), measurement("chain-10000", "plstm auto", 0.1)],
        [measurement(f"random-{big}", "plstm auto", 20.0), measurement(f"random-{small}", "plstm auto", 1.0)],
        [
            measurement(f"random-{big}", "plstm recurrent", 5.0, peak_bytes=1000),
            measurement(f"random-{big}", "plstm chunkwise", 5.0, peak_bytes=150),
        ],
        [
            measurement("circuit-hyp", "plstm auto", 5.0, peak_bytes=1_000_000_000),
            measurement("circuit-hyp", "plstm auto, from edges", 7.0, peak_bytes=9_000_000_000),
        ],
        [
            measurement("nci-128", "PLSTM model", 0.2, "training step"),
            measurement("nci-128", "GATv2 model", 0.1, "training step"),
            measurement("nci-128", "structure", 0.01, "build"),
        ],
        graph_breaks=0,
    )
    rows = measure_figures(results)
    assert len(rows) == len(FIGURES)
    measured = [(row["measured"], row["met"]) for row in rows if row["measured"] is not None]
    values, met = zip(*measured, strict=True)
    assert values == pytest.approx((2.0, 0.05, 1.2, 2.0, 0.15, 7.0, 9.0, 0))
    assert met == ("limit", "limit", "limit", "no", "aim", "aim", "no", "aim")
    json.dumps(rows, allow_nan=False)
    text = to_markdown(results | {"figures": rows})
    assert "| 7.00 s | 60.0 s | 10.0 s | aim reached |" in text
    assert "| 9.00 GB | 8.00 GB | 8.00 GB | **not reached** |" in text


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
