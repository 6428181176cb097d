"""Native code beside torch: every form is timed on small workloads, and rows of several runs stand in one file."""

import json

import pytest
import torch

from benchmarks import native
from tests.ops.grid2d.test_native import needs_compiler

SMALL = {"dag": ("nci-3", "random-60"), "grid": {"grid 5x5": (2, 5)}, "chain": {"chain 30": (2, 30)}}


@pytest.fixture
def small(monkeypatch):
    """Small workloads for every form."""
    monkeypatch.setattr(native, "GRIDS", SMALL["grid"])
    monkeypatch.setattr(native, "CHAINS", SMALL["chain"])
    workloads = {"grid": tuple(SMALL["grid"]), "chain": tuple(SMALL["chain"])}
    forms = {form: (make, workloads.get(form, SMALL["dag"])) for form, (make, _) in native.FORMS.items()}
    monkeypatch.setattr(native, "FORMS", forms)


@needs_compiler
def test_every_form_is_timed_with_native_code_and_without(small, tmp_path):
    path, before = tmp_path / "rows.json", torch.get_num_threads()
    try:
        native.main(["--here", "--threads", "1", "--seconds", "0", "--output", str(path)])
    finally:
        torch.set_num_threads(before)
    found = json.loads(path.read_text())
    assert found["torch"] == torch.backends.cpu.get_cpu_capability()
    assert {row["form"] for row in found["rows"]} == set(native.FORMS)
    for row in found["rows"]:
        assert row["ratio"] == pytest.approx(row["native_ms"] / row["torch_ms"], rel=0.05, abs=1e-2)
        assert row["repetitions"] == native._FEWEST and row["threads"] == 1


def test_nothing_is_timed_if_native_code_and_torch_do_not_agree(small, monkeypatch):
    results = iter([torch.zeros(3), torch.ones(3)])
    monkeypatch.setitem(native.FORMS, "grid", (lambda name: lambda: [next(results)], ("grid 5x5",)))
    with pytest.raises(AssertionError, match="grid, grid 5x5, result 0: off by 1"):
        native.measure("grid", "grid 5x5", 0.0)


def rows_of(machine, *rows):
    made = [
        {"form": form, "workload": "some", "threads": threads, "native_ms": 1.0, "torch_ms": 2.0, "ratio": ratio}
        for form, threads, ratio in rows
    ]
    return {"machine": machine, "instructions": {"all": {"torch": "AVX2", "rows": made}}}


def test_rows_of_the_same_machine_are_added(tmp_path):
    path, machine = tmp_path / "native.json", {"processor": "some", "revision": "1"}
    path.write_text(json.dumps(rows_of(machine, ("grid", 1, 0.5), ("parallel", 1, 0.4))))
    both = native.added(path, rows_of(machine, ("grid", 1, 0.25), ("grid", 2, 0.125)))
    shown = [(row["form"], row["threads"], row["ratio"]) for row in both["instructions"]["all"]["rows"]]
    assert shown == [("parallel", 1, 0.4), ("grid", 1, 0.25), ("grid", 2, 0.125)]
    assert "grid" in native.to_text(both) and "0.12" in native.to_text(both)
    other = rows_of(machine | {"revision": "2"}, ("grid", 1, 1.0))
    assert native.added(path, other) == other
    assert native.added(tmp_path / "none.json", other) == other
