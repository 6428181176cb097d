"""The script for a GPU, on the CPU: it checks, times and writes all that it should, and stops in time."""

import json

import pytest
import torch

from benchmarks import cuda
from tests.nn.test_device import needs_cuda

CPU = ["--device", "cpu", "--without_tests"]


def test_it_measures_every_case_and_writes_after_each_workload(tmp_path, monkeypatch):
    monkeypatch.setattr(cuda, "_ENOUGH", 3)
    path = tmp_path / "found.json"
    assert cuda.main([*CPU, "--output", str(path), "--molecules", "3", "--edges", "60"]) == 0
    found = json.loads(path.read_text())
    assert found["device"] == "cpu"
    assert all(error < 1e-10 for error in found["errors"].values())
    assert set(found["errors"]) == set(cuda.FORMS)
    assert set(found["workloads"]) == {"molecules-3", "random-60"}
    for rows in found["workloads"].values():
        assert set(rows) == {*cuda.FORMS, "auto", "GATv2Conv", "GINEConv"}
        assert all(row["median_ms"] > 0 and row["repetitions"] == 3 for row in rows.values())


def test_what_no_longer_fits_is_left_out_and_said(tmp_path):
    path = tmp_path / "found.json"
    assert cuda.main([*CPU, "--output", str(path), "--molecules", "2", "--edges", "--seconds", "0"]) == 0
    rows = json.loads(path.read_text())["workloads"]["molecules-2"]
    assert {row["left_out"] for row in rows.values()} == {"no time left"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path, capsys):
    assert cuda.main(["--output", str(tmp_path / "found.json")]) == 2
    assert "there is no GPU" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.cuda
@needs_cuda
def test_forms_do_not_wait_for_the_gpu_once_structure_is_there(tmp_path):
    path = tmp_path / "found.json"
    arguments = ["--output", str(path), "--without_tests", "--molecules", "16", "--edges", "500"]
    assert cuda.main(arguments) == 0
    for rows in json.loads(path.read_text())["workloads"].values():
        assert {rows[form]["waits"] for form in cuda.FORMS} == {0}
